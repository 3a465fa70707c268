//! Data on its way: write-back (cut, de-duplicate, pack, commit), read-through and read-ahead, and
//! the deletion of what is dead. Owns the tokio runtime; what is above waits on callbacks.
//!
//! What holds:
//! - Order of a flush: pack object stored, then one metadata transaction that names its chunks; when all
//!   chunks of a file are named, one transaction replaces its size, mtime and extents, under the
//!   entry's gate; then the overlay goes.
//! - A failed put is retried for ever with backoff (the data is safe in the cache); a failed flush leaves
//!   everything dirty.
//! - Order of a delete: condemned in metadata, no flush running that could name it, object deleted,
//!   row forgotten.
//! - Memory is bounded: packs in the making and requests under way are counted.

use crate::cache::{Cache, CacheError};
use crate::meta::{Meta, MetaError};
use crate::pack::PackError;
use crate::seal::Compression;
use crate::types::{ByteRange, Epoch, Ino, WriterId};
use crate::vault::{Vault, VaultError};
use std::sync::Arc;
use std::time::Duration;

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

/// A reader's position, for read-ahead: one for each open file.
#[derive(Debug, Default)]
pub struct Stream {
    // flow adds fields
}

/// The engine. Share it by `Arc`.
pub struct Flow {}

impl Flow {
    /// Starts the runtime and the background work. `dirty`: what recovery found to be sent.
    pub fn start(
        options: FlowOptions,
        vault: Arc<Vault>,
        meta: Arc<Meta>,
        cache: Arc<Cache>,
        dirty: &[Ino],
    ) -> Result<Arc<Flow>, FlowError> {
        let _ = (options, vault, meta, cache, dirty);
        todo!()
    }

    /// Adopts packs that an earlier epoch stored and did not record (bounded listing from the mark);
    /// run once before `start` has anything to flush.
    pub fn adopt_packs(self: &Arc<Self>) -> Result<usize, FlowError> {
        todo!()
    }

    /// The bytes of `range` (the caller has clipped it to the file's size): overlay over stored content.
    /// Answered at once when all is local.
    pub fn read(self: &Arc<Self>, ino: Ino, range: ByteRange, stream: &Arc<Stream>, done: Done<Vec<u8>>) {
        let _ = (ino, range, stream, done);
        todo!()
    }

    /// An inode has new content: (re)schedules its flush by the upload delay.
    pub fn touched(&self, ino: Ino) {
        let _ = ino;
        todo!()
    }

    /// Calls back when `bytes` may be written to the cache: at once when there is room, else after a
    /// flush made some; `NoRoom` after `write_timeout`.
    pub fn room(self: &Arc<Self>, bytes: u64, done: Done<()>) {
        let _ = (bytes, done);
        todo!()
    }

    /// Calls back when all that was dirty at the call (of one inode, or of all) is stored and committed.
    pub fn flush(self: &Arc<Self>, which: Option<Ino>, done: Done<()>) {
        let _ = (which, done);
        todo!()
    }

    /// Runs `work` on a thread that may block on the disk.
    pub fn background(&self, work: Box<dyn FnOnce() + Send + 'static>) {
        let _ = work;
        todo!()
    }

    /// The kernel knows the inode (one reference more): it is not reaped.
    pub fn pin(&self, ino: Ino) {
        let _ = ino;
        todo!()
    }

    /// The kernel forgot `count` references. An orphan whose last one went is reaped in the background:
    /// its extents are dropped in bounded steps, then its row, then its cache file.
    pub fn unpin(&self, ino: Ino, count: u64) {
        let _ = (ino, count);
        todo!()
    }

    /// How far write-back is.
    pub fn progress(&self) -> Progress {
        todo!()
    }

    /// Ends: with `drain`, all dirty data is stored and dead packs are removed first. Then no task of
    /// ours runs any more. Dirty data that could not be stored stays in the cache.
    pub fn stop(&self, drain: bool) -> Result<(), FlowError> {
        let _ = drain;
        todo!()
    }
}
