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
//! - A disk that is full or failing gives [`CacheError`], never a panic, and leaves the old state valid.

use crate::types::{ByteRange, Ino, Nanos};
use parking_lot::{Mutex, MutexGuard};
use std::path::Path;
use std::sync::Arc;

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

/// While it lives, no fill is taken by its entry.
#[derive(Debug)]
pub struct FillPause<'a> {
    entry: &'a Entry,
}

/// The cache. Share it by `Arc`.
#[derive(Debug)]
pub struct Cache {}

/// An inode's entry. Obtained from [`Cache::entry`]; kept alive by whoever uses it.
#[derive(Debug)]
pub struct Entry {
    gate: Mutex<()>,
}

impl Cache {
    /// Opens or makes the cache in `dir` and recovers. `stored` is asked once for each inode that the
    /// journal knows. The time depends on the journal, not on the files' sizes.
    pub fn open(
        dir: &Path,
        limit: u64,
        boot: BootId,
        stored: &dyn Fn(Ino) -> StoredState,
    ) -> Result<(Arc<Cache>, Recovery), CacheError> {
        let _ = (dir, limit, boot, stored);
        todo!()
    }

    /// The entry of an inode; made in memory when there is none.
    pub fn entry(&self, ino: Ino) -> Arc<Entry> {
        let _ = ino;
        todo!()
    }

    /// The overlay's attributes, or `None` when the row is the whole truth. Read it *before* the row:
    /// the row is replaced first, the overlay goes after.
    pub fn overlay(&self, ino: Ino) -> Option<OverlayAttr> {
        let _ = ino;
        todo!()
    }

    /// Whether `bytes` more may be written now, after evicting clean data if needed. False: only dirty
    /// data is left (and what was just evicted did not suffice); a flush makes room.
    pub fn make_room(&self, bytes: u64) -> bool {
        let _ = bytes;
        todo!()
    }

    /// The inode is gone: its file and records are dropped (a dirty one's too).
    pub fn forget(&self, ino: Ino) -> Result<(), CacheError> {
        let _ = ino;
        todo!()
    }

    /// Drops all clean data (`pailctl dropcache`).
    pub fn drop_clean(&self) -> Result<(), CacheError> {
        todo!()
    }

    /// Another limit (`pailctl cachesize`); evicts down to it.
    pub fn set_limit(&self, limit: u64) {
        let _ = limit;
        todo!()
    }

    /// Figures.
    pub fn stats(&self) -> CacheStats {
        todo!()
    }

    /// Syncs every inode with an overlay.
    pub fn sync_all(&self) -> Result<(), CacheError> {
        todo!()
    }

    /// Everything to disk, and the mark that the stop was clean, so that clean data survives a reboot.
    pub fn close(&self) -> Result<(), CacheError> {
        todo!()
    }
}

impl Entry {
    /// Which inode.
    pub fn ino(&self) -> Ino {
        todo!()
    }

    /// Held by whoever changes content (write, truncate, punch: from before `begin` until the change is
    /// made) and by a flush's commit (from `unchanged_since` until `stored`). Order of locks: gate, then
    /// the metadata writer. Never held across the network.
    pub fn gate(&self) -> MutexGuard<'_, ()> {
        self.gate.lock()
    }

    /// Whether there is an overlay.
    pub fn is_dirty(&self) -> bool {
        todo!()
    }

    /// Starts an overlay over stored content of this size and times; `flushed` is the row's generation.
    /// The caller holds the gate and has committed the pending row. Moves the cache file to `dirty/`.
    pub fn begin(&self, size: u64, mtime: Nanos, ctime: Nanos, flushed: u64) -> Result<(), CacheError> {
        let _ = (size, mtime, ctime, flushed);
        todo!()
    }

    /// Writes data (gate held, overlay begun); grows the size; mtime and ctime become `now`.
    pub fn write(&self, offset: u64, data: &[u8], now: Nanos) -> Result<(), CacheError> {
        let _ = (offset, data, now);
        todo!()
    }

    /// Sets the size (gate held, overlay begun). Bytes beyond it are zeros if it grows again.
    pub fn truncate(&self, size: u64, now: Nanos) -> Result<(), CacheError> {
        let _ = (size, now);
        todo!()
    }

    /// Makes a range zeros without changing the size (gate held, overlay begun), giving its blocks back.
    pub fn punch(&self, range: ByteRange, now: Nanos) -> Result<(), CacheError> {
        let _ = (range, now);
        todo!()
    }

    /// Sets the overlay's times (gate held, overlay begun).
    pub fn set_times(&self, mtime: Nanos, ctime: Nanos) -> Result<(), CacheError> {
        let _ = (mtime, ctime);
        todo!()
    }

    /// Where each part of `range` is (not clipped to any size), ascending, without gaps.
    pub fn plan(&self, range: ByteRange) -> Vec<Piece> {
        let _ = range;
        todo!()
    }

    /// Reads a range that `plan` called local. False: evicted or changed meanwhile, plan again.
    pub fn read_local(&self, offset: u64, buf: &mut [u8]) -> Result<bool, CacheError> {
        let _ = (offset, buf);
        todo!()
    }

    /// Take it before reading the extents that a fill is made from.
    pub fn fill_token(&self) -> FillToken {
        todo!()
    }

    /// Puts stored content in the cache file wherever the plan says `Stored`, unless the stored content
    /// has changed since the token. Failing or having no room is no error for the reader: it is logged.
    pub fn fill(&self, token: FillToken, offset: u64, data: &[u8]) {
        let _ = (token, offset, data);
        todo!()
    }

    /// The stored content of `range` is about to be replaced without an overlay (gate held, not dirty):
    /// clean data there is given up, durably against the daemon's death, and no fill is taken until the
    /// guard is dropped; then fills need a new token.
    pub fn pause_fills(&self, range: ByteRange) -> Result<FillPause<'_>, CacheError> {
        let _ = range;
        todo!()
    }

    /// Starts a flush: what is dirty now. `None` when there is no overlay. Later changes belong to the
    /// next generation. One flush of an inode at a time.
    pub fn snapshot(&self) -> Option<FlushSnapshot> {
        todo!()
    }

    /// Whether nothing has changed since the snapshot (gate held): the flush settles the inode.
    pub fn unchanged_since(&self, generation: u64) -> bool {
        let _ = generation;
        todo!()
    }

    /// The snapshot's content is committed (gate held). Its data becomes clean; when nothing is newer the
    /// overlay ends and the file moves to `clean/`. With `release` the data that became clean is given up
    /// at once (a file larger than the cache is being written).
    pub fn stored(&self, generation: u64, release: bool) -> Result<(), CacheError> {
        let _ = (generation, release);
        todo!()
    }

    /// The flush was given up; its changes are dirty as before.
    pub fn flush_failed(&self, generation: u64) {
        let _ = generation;
        todo!()
    }

    /// Makes all that was accepted for this inode survive a power cut: fdatasync of the file, then the
    /// journal's record of it, synced (concurrent callers share a sync). Free when nothing is new.
    pub fn sync(&self) -> Result<(), CacheError> {
        todo!()
    }
}
