//! Data on its way: write-back (cut, de-duplicate, pack, commit), read-through and read-ahead, and
//! the deletion of what is dead. Owns the tokio runtime; what is above waits on callbacks.
//!
//! What holds:
//! - Order of a flush: pack object stored, then one metadata transaction that names its chunks; when all
//!   chunks of a file are named, one transaction replaces its size, mtime and extents, under the
//!   entry's gate; then the overlay goes.
//! - A failed put is retried for ever with backoff (the data is safe in the cache); a failed flush leaves
//!   everything dirty.
//! - Order of a delete: condemned in metadata, metadata synced, no flush running that could name it, object deleted,
//!   row forgotten.
//! - Memory is bounded: packs in the making and requests under way are counted.

use crate::cache::CacheError;
use crate::meta::MetaError;
use crate::pack::PackError;
use crate::seal::Compression;
use crate::types::{Epoch, Ino, WriterId};
use crate::vault::VaultError;
use std::time::Duration;

mod adopt;
mod ahead;
mod batch;
mod cut;
mod engine;
mod flusher;
mod gather;
mod packs;
mod pins;
mod read;
mod reap;
mod remove;
mod schedule;

pub use ahead::Stream;
pub use engine::Flow;

/// Called once with the outcome, on the caller's thread when it is known at once, else on one of flow's.
pub type Done<T> = Box<dyn FnOnce(Result<T, FlowError>) + Send + 'static>;

/// Errors of this room.
#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    /// Local disk.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The database.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// A pack could not be read, or a chunk in it is damaged.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The store or a key.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Stored content can't be read: its chunk is damaged or missing. Others are not affected.
    #[error("inode {ino}: stored content can't be read: {reason}")]
    Unreadable {
        /// Which file.
        ino: Ino,
        /// What is wrong, with the chunk.
        reason: String,
    },
    /// The store did not answer in time.
    #[error("the store gave no answer in {0:?}")]
    TimedOut(Duration),
    /// A thread or the runtime can't be started.
    #[error("can't start: {0}")]
    Start(std::io::Error),
    /// The cache is full of dirty data and none could be stored within the limit of waiting.
    #[error("the cache is full of data that is not stored yet, and none could be stored in {0:?}")]
    NoRoom(Duration),
    /// The mount is ending, or is read-only.
    #[error("the file system is stopping or read-only")]
    Stopped,
}

/// What a mount decides.
#[derive(Clone, Debug)]
pub struct FlowOptions {
    /// Packs' compression for this mount.
    pub compression: Compression,
    /// Parallel requests to the store.
    pub connections: usize,
    /// A file is sent this long after its last write ...
    pub upload_delay: Duration,
    /// ... and at the latest this long after its first.
    pub upload_limit: Duration,
    /// How long a write waits for room.
    pub write_timeout: Duration,
    /// How long a read waits for the store.
    pub read_timeout: Duration,
    /// `None`: read-only, nothing is flushed or deleted.
    pub writer: Option<(Epoch, WriterId)>,
}

/// How far write-back is, for progress bars and status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Files with content that is not stored.
    pub dirty_files: u64,
    /// Bytes of it.
    pub dirty_bytes: u64,
    /// Bytes of packs put since the mount.
    pub uploaded_bytes: u64,
    /// Packs put since the mount.
    pub uploaded_packs: u64,
    /// Objects whose removal is waiting.
    pub queued_removals: u64,
    /// Chunks that could not be read because they are damaged or missing, since the mount.
    pub damaged_chunks: u64,
}
