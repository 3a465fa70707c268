//! Local disk: one plain sparse file an inode, the journal of what is newer than the store (the
//! overlay), clean data, eviction. Knows no SQL and no bucket.
//!
//! Layout of the cache directory (docs/format.md "Cache directory"): `dirty/<xx>/<ino>`,
//! `clean/<xx>/<ino>`, `journal/<n>`. A file with any overlay lies in `dirty/`, where eviction has no
//! reach; when a flush settles it, it moves to `clean/` by rename(2).
//!
//! What holds (design.md, decisions 1, 4, 5):
//! - Reading the overlay over the stored content gives the file's newest content, always.
//! - After the daemon's death (same boot) everything that was accepted is found again. Bytes that were
//!   never journalled as dirty are never served in place of stored content: where a range is not
//!   present, data is written first and journalled second; where it is present and clean, a record
//!   that gives up its presence comes first, then the data, then the dirty record.
//! - After a power cut (other boot id) what `sync` returned for is found again. Records that no data
//!   sync preceded are dropped, and so is all clean data unless the last stop was clean and synced.
//! - Recovery drops what the metadata says is stored already (records of generations up to the row's).
//! - Room is counted in allocated bytes; clean data is evicted least recently used first; dirty never.
//! - Data that was just stored is not evicted, and records of it are not dropped, before
//!   [`Cache::release_settled`]: its caller has synced the metadata that names it. Truncating and punching
//!   only change the overlay: blocks are given back when no recovery can want them any more.
//! - Locks, from the outside in: an entry's gate, `world` (shared by every change, exclusive for a new
//!   journal segment), an entry's state, then the leaves (journal, open files, LRU list).
//! - A disk that is full or failing gives [`CacheError`], never a panic, and leaves the old state valid.

use crate::types::{ByteRange, Ino, Nanos};

mod ballast;
mod entry;
mod evict;
mod files;
mod journal;
mod overlay;
mod record;
mod recover;
mod room;
#[cfg(test)]
mod tests;

pub use entry::{Entry, FillPause};
pub use room::Cache;

/// Errors of this room.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The cache's disk is full.
    #[error("the disk of the cache directory is full ({path})")]
    DiskFull {
        /// The file being written.
        path: String,
    },
    /// The cache's disk failed.
    #[error("cache {path}: {source}")]
    Io {
        /// The file or directory.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The journal is not one of ours, or of a newer version.
    #[error("cache journal {path} can't be used: {reason}")]
    Journal {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

/// `/proc/sys/kernel/random/boot_id`, parsed: tells a power cut from a daemon's death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootId(pub [u8; 16]);

/// What metadata says of an inode that the journal knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredState {
    /// There is no such inode any more: drop everything.
    Gone,
    /// Its last flush stored this generation (0: never).
    Flushed(u64),
}

/// What opening found.
#[derive(Debug, Default)]
pub struct Recovery {
    /// Inodes that have an overlay: to be flushed.
    pub dirty: Vec<Ino>,
    /// Inodes whose journalled data is missing or shorter on disk than the journal says (somebody
    /// removed files of the cache): their overlay is dropped, they fall back to what is stored.
    pub lost: Vec<Ino>,
    /// Whether this start follows a power cut or crash of the machine.
    pub rebooted: bool,
}

/// What `stat` shows of an overlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverlayAttr {
    /// The file's size.
    pub size: u64,
    /// Its mtime.
    pub mtime: Nanos,
    /// Its ctime as far as content goes; the row's may be newer.
    pub ctime: Nanos,
    /// Bytes of dirty data.
    pub data_bytes: u64,
    /// Bytes below `size` that are known to be holes in the overlay.
    pub zero_bytes: u64,
}

/// Where a piece of a file is to be read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// In the cache file.
    Local,
    /// Punched, or beyond what was ever stored: zeros.
    Zero,
    /// In the stored content (which may have a hole there).
    Stored,
}

/// A piece of a read plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Which bytes.
    pub range: ByteRange,
    /// From where.
    pub source: Source,
}

/// The overlay at the start of a flush.
#[derive(Clone, Debug)]
pub struct FlushSnapshot {
    /// What to record as stored.
    pub generation: u64,
    /// The size then.
    pub size: u64,
    /// The mtime then.
    pub mtime: Nanos,
    /// The ctime then.
    pub ctime: Nanos,
    /// Ranges with new data (in the cache file), ascending.
    pub data: Vec<ByteRange>,
    /// Ranges that became zeros, ascending, disjoint from `data`; the last may reach to `u64::MAX`
    /// (everything from there on was cut off).
    pub zero: Vec<ByteRange>,
}

/// Figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// The limit.
    pub limit: u64,
    /// Bytes in all cache files.
    pub bytes: u64,
    /// Files.
    pub entries: u64,
    /// Bytes that are not stored yet.
    pub dirty_bytes: u64,
    /// Files with an overlay.
    pub dirty_entries: u64,
}

/// A version of an entry's stored content: a fill that began under another is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FillToken(pub u64);
