//! What makes commits durable: syncing the WAL, and copying it into the database.
//!
//! What holds:
//! - With synchronous=NORMAL a COMMIT only writes to the WAL. SQLite itself syncs the WAL before a
//!   checkpoint copies from it, the database after all of it is copied, and only then reuses the WAL
//!   (and syncs its new header). So at every moment fdatasync of the WAL makes durable whatever is
//!   committed and not already in the synced database.
//! - The WAL's directory entry was synced at open, and the file stays until the last connection goes
//!   (no checkpoint on close), so the descriptor here is always that of the WAL in use.
//! - After a sync that failed, the kernel may have dropped the pages and call the next one a success
//!   (fsync's old trap): a checkpoint, which writes the pages anew elsewhere, must come first.
//! - A reader that keeps an old snapshot delays the WAL's reset, not the copying.

use super::database::Meta;
use super::error::MetaError;
use parking_lot::Mutex;
use rusqlite::Connection;
use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// The writer copies the WAL into the database when it is this long ...
const WAL_SOFT: u64 = 64 << 20;

/// ... waits for readers with old snapshots when it is this long (decision 9's 256 MiB, less what one
/// more group may write) ...
const WAL_HARD: u64 = 224 << 20;

/// ... and after an attempt that could not reset it, tries again when it has grown by this.
const WAL_RETRY: u64 = 16 << 20;

/// How long a checkpoint waits, with the writer stopped, for readers: below and above the hard bound.
const SOFT_WAIT: Duration = Duration::from_millis(50);
const HARD_WAIT: Duration = Duration::from_secs(10);

/// The WAL's file and what of it is synced.
pub(super) struct Wal {
    pub file: File,
    pub path: PathBuf,
    /// The commit up to which all is durable.
    pub synced: Mutex<u64>,
    /// The last sync failed: none of the file's is to be trusted before a checkpoint.
    failed: AtomicBool,
    /// Its length at which the writer tries a checkpoint.
    pub try_at: AtomicU64,
}

impl Wal {
    pub fn new(file: File, path: PathBuf) -> Wal {
        Wal {
            file,
            path,
            synced: Mutex::new(0),
            failed: AtomicBool::new(false),
            try_at: AtomicU64::new(WAL_SOFT),
        }
    }

    /// Its length now. A reset truncates it, so this is what is to be copied, or was and could not be
    /// reset yet.
    pub fn bytes(&self) -> u64 {
        self.file.metadata().map_or(0, |m| m.len())
    }

    /// Syncs the file, with no lock of ours: the leader does so with the writer locked.
    pub fn sync_file(&self) -> Result<(), MetaError> {
        if self.failed.load(Ordering::Acquire) {
            return Err(self.failure());
        }
        rustix::fs::fdatasync(&self.file).map_err(|e| {
            self.failed.store(true, Ordering::Release);
            MetaError::io(&self.path)(e.into())
        })
    }

    /// As if the kernel had failed a sync.
    #[cfg(test)]
    pub fn fail(&self) {
        self.failed.store(true, Ordering::Release);
    }

    fn failure(&self) -> MetaError {
        MetaError::io(&self.path)(std::io::Error::other("an earlier sync of the file failed"))
    }
}

impl Meta {
    /// Makes everything committed durable; free when nothing was committed since the last time.
    /// Concurrent callers share one sync.
    pub fn sync(&self) -> Result<(), MetaError> {
        let wanted = self.committed.load(Ordering::Acquire);
        let mut synced = self.wal.synced.lock();
        let failed = self.wal.failed.load(Ordering::Acquire);
        if *synced >= wanted && !failed {
            return Ok(());
        }
        // Everything up to here is in the WAL (or the database): those who wait meanwhile are served.
        let covers = self.committed.load(Ordering::Acquire);
        if failed {
            self.copy_after_failure()?;
        } else {
            self.wal.sync_file()?;
        }
        *synced = covers;
        Ok(())
    }

    fn copy_after_failure(&self) -> Result<(), MetaError> {
        if !self.copy_wal(&self.checkpointer.lock(), "PASSIVE")? {
            return Err(self.wal.failure());
        }
        self.wal.failed.store(false, Ordering::Release);
        Ok(())
    }

    /// Copies the WAL into the database and syncs it; called now and then and at unmount. The writer
    /// also does it by itself when the WAL passes a bound.
    pub fn checkpoint(&self) -> Result<(), MetaError> {
        self.checkpoint_waiting(SOFT_WAIT).map(drop)
    }

    /// Bytes of meta.db (without the WAL).
    pub fn database_bytes(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |m| m.len())
    }

    /// After a group: keeps the WAL within its bounds. Only this group's leader, already answered,
    /// spends the time; other writers wait just for the second, short step.
    pub(super) fn bound_wal(&self) {
        let bytes = self.wal.bytes();
        if bytes < self.wal.try_at.load(Ordering::Relaxed) {
            return;
        }
        let wait = if bytes < WAL_HARD { SOFT_WAIT } else { HARD_WAIT };
        // Raised first, so that the next leaders don't line up for the same work.
        self.wal.try_at.store(bytes + WAL_RETRY, Ordering::Relaxed);
        match self.checkpoint_waiting(wait) {
            Ok(true) => self.wal.try_at.store(WAL_SOFT, Ordering::Relaxed),
            Ok(false) => tracing::debug!(bytes, "a reader keeps the metadata WAL from being reset"),
            Err(error) => tracing::warn!(%error, bytes, "the metadata WAL could not be copied"),
        }
    }

    /// First most of the WAL while others write, then the rest and the reset with the writer stopped.
    /// Whether the WAL is empty now.
    fn checkpoint_waiting(&self, wait: Duration) -> Result<bool, MetaError> {
        let conn = self.checkpointer.lock();
        self.copy_wal(&conn, "PASSIVE")?;
        let _writer = self.writer.lock();
        conn.busy_timeout(wait)?;
        self.copy_wal(&conn, "TRUNCATE")
    }

    /// Every checkpoint comes through here: this is where shipping notes, synced, the page numbers of
    /// the frames that are about to be copied (design.md, decision 9). Whether all was copied (and,
    /// with TRUNCATE, the WAL reset).
    fn copy_wal(&self, conn: &Connection, mode: &str) -> Result<bool, MetaError> {
        let sql = format!("PRAGMA wal_checkpoint({mode})");
        let (busy, frames, copied) = conn.query_row(&sql, [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        })?;
        Ok(busy == 0 && frames == copied)
    }
}
