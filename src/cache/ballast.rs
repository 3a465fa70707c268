//! A file that is only there to be given up (design.md, decision 13): when the disk of the cache directory
//! is full, the flush and the deletes that make room must still be able to commit.
//!
//! While it is gone, whoever would grow the file system gets ENOSPC; it is made again when there is room.

use super::files::io_error;
use super::{Cache, CacheError};
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Enough for a WAL of some thousand commits.
const SIZE: u64 = 8 << 20;
/// It is made again when the disk has this many times its size free.
const RESTORE_FROM: u64 = 4;
/// What is given up of clean data when the disk is full before the cache's limit is reached.
const RELIEF: u64 = 64 << 20;

#[derive(Debug)]
pub(super) struct Ballast {
    path: PathBuf,
    held: AtomicBool,
}

impl Ballast {
    pub fn new(dir: &Path) -> Ballast {
        let ballast = Ballast { path: dir.join("ballast"), held: AtomicBool::new(false) };
        if let Err(error) = ballast.make() {
            tracing::warn!(%error, "no room for the ballast file: nothing can be added before there is");
        }
        ballast
    }

    fn make(&self) -> Result<(), CacheError> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(&self.path);
        let made = file.and_then(|file| Ok(fallocate(file, FallocateFlags::empty(), 0, SIZE)?));
        if made.is_ok() {
            self.held.store(true, Ordering::Relaxed);
        } else {
            let _ = std::fs::remove_file(&self.path);
        }
        made.map_err(|e| io_error(&self.path, e))
    }
}

impl Cache {
    /// Whether the disk is not so full that only what makes room may go on.
    pub fn has_ballast(&self) -> bool {
        self.shared.ballast.held.load(Ordering::Relaxed)
    }

    /// Gives the ballast up; false: it was gone already.
    pub fn release_ballast(&self) -> bool {
        let ballast = &self.shared.ballast;
        if !ballast.held.swap(false, Ordering::Relaxed) {
            return false;
        }
        tracing::warn!("the disk of the cache directory is full: only what makes room goes on");
        std::fs::remove_file(&ballast.path).is_ok()
    }

    /// Takes it again when there is room; called now and then.
    pub fn restore_ballast(&self) {
        let ballast = &self.shared.ballast;
        let free = || statvfs(&self.shared.files.dir).map_or(0, |s| s.f_bavail.saturating_mul(s.f_frsize));
        if !self.has_ballast() && free() > SIZE * RESTORE_FROM && ballast.make().is_ok() {
            tracing::info!("there is room again on the disk of the cache directory");
        }
    }

    /// The disk is full although the limit is not reached: some clean data goes; whether any did.
    pub fn relieve_disk(&self) -> bool {
        let before = self.stats().bytes;
        while before.saturating_sub(self.stats().bytes) < RELIEF {
            let Some(ino) = self.shared.least_recent() else { break };
            if let Err(error) = self.shared.evict(ino, RELIEF) {
                tracing::warn!(%ino, %error, "clean data could not be given up");
                break;
            }
        }
        self.stats().bytes < before
    }
}
