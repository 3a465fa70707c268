//! Objects by key. The trait is what every backend can keep honestly, S3 included: whole-object
//! puts, ranged gets, listings by key; no seek, no append, no rename.
//!
//! What holds for every implementation (one conformance suite, `store::conformance`, runs over all):
//! - An object is either there whole or not at all; a put that returned is durable.
//! - After a put or delete returned, get, head and list of the same client see it.
//! - `put_if_absent` has exactly one winner among racing callers.
//! - Every error says whether trying again may help ([`StoreError::is_temporary`]).

use async_trait::async_trait;
use bytes::Bytes;
use std::fmt::Debug;
use std::ops::Range;

pub mod conformance;
mod error;
pub mod fault;
pub mod local;
pub mod memory;
pub mod retry;
mod url;

pub use error::StoreError;
pub use url::{StorageUrl, open_store};

/// No key is longer: S3 takes 1,024 bytes, a file name 255, and ours are far below.
const KEY_MAX: usize = 200;

/// Refuses what is not a key.
fn check_key(key: &str) -> Result<(), StoreError> {
    let good_byte = |b: u8| b.is_ascii_alphanumeric() || b"._/-".contains(&b);
    let good_part = |part: &str| !matches!(part, "" | "." | "..");
    if key.len() <= KEY_MAX && key.bytes().all(good_byte) && key.split('/').all(good_part) {
        return Ok(());
    }
    Err(StoreError::BadKey { key: key.to_owned() })
}

/// The part of a range that lies in an object of this size.
fn clip(range: Option<Range<u64>>, size: u64) -> Range<u64> {
    let asked = range.unwrap_or(0..size);
    let start = asked.start.min(size);
    start..asked.end.clamp(start, size)
}

/// What a store says of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// The whole key, the storage URL's prefix not included.
    pub key: String,
    /// Its length in bytes.
    pub size: u64,
    /// When it was last written, seconds since 1970, by the store's clock.
    pub modified: i64,
}

/// A page of a listing.
#[derive(Clone, Debug, Default)]
pub struct ListPage {
    /// Ascending by key, as bytes.
    pub objects: Vec<ObjectInfo>,
    /// Whether a call with `start_after` = the last key would bring more.
    pub more: bool,
}

/// What became of a conditional put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// The object is ours.
    Created,
    /// Somebody's object was there already; it is untouched.
    Exists,
}

/// Objects by key. Keys are ASCII `[A-Za-z0-9._/-]`, at most 200 bytes, no empty, `.` or `..` part.
#[async_trait]
pub trait Store: Send + Sync + Debug {
    /// Stores a whole object, replacing what was there.
    async fn put(&self, key: &str, body: Bytes) -> Result<(), StoreError>;
    /// Stores a whole object unless the key is taken.
    async fn put_if_absent(&self, key: &str, body: Bytes) -> Result<PutOutcome, StoreError>;
    /// Reads an object, or a range of it. A range that reaches past the end gives what is there;
    /// one that starts past the end gives nothing.
    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes, StoreError>;
    /// An object's size and time, or `None` when there is no such object.
    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>, StoreError>;
    /// Objects whose keys begin with `prefix` (a plain string) and sort after `start_after`,
    /// at most `limit` (1 to 1000) of them.
    async fn list(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        limit: usize,
    ) -> Result<ListPage, StoreError>;
    /// Deletes objects; one that is not there counts as deleted. On an error some may be gone.
    async fn delete(&self, keys: &[String]) -> Result<(), StoreError>;
    /// The storage URL, for messages; never a credential in it.
    fn describe(&self) -> String;
}
