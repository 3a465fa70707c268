//! stat and setattr: stored row + overlay.
//!
//! The overlay is read before the row: a flush replaces the row first and ends the overlay after, so
//! in this order no moment shows the old row without its overlay.

use super::acl::{self, Acl};
use super::mode::{PERMISSIONS, S_IFMT, is_dir, is_file, is_symlink};
use super::{Attr, Caller, Fs, FsError, SetAttr, SetTime};
use crate::cache::OverlayAttr;
use crate::meta::{Inode, Tx};
use crate::types::{Ino, Nanos};
use std::sync::Arc;

/// What a directory shows as its size, as ext4 does for a small one.
const DIR_SIZE: u64 = 4096;
/// The unit of `st_blocks`.
const BLOCK: u64 = 512;

impl SetTime {
    fn resolve(self, now: Nanos) -> Nanos {
        match self {
            SetTime::Now => now,
            SetTime::At(t) => t,
        }
    }
}

/// The attributes that a row and its overlay make together.
pub(super) fn combine(row: &Inode, overlay: Option<OverlayAttr>) -> Attr {
    let stored = row.size.saturating_sub(row.holes);
    let (size, mtime, ctime, allocated) = match overlay {
        _ if is_dir(row.mode) => (DIR_SIZE, row.mtime, row.ctime, 0),
        None => (row.size, row.mtime, row.ctime, if is_file(row.mode) { stored } else { 0 }),
        Some(over) => {
            let solid = over.size.saturating_sub(over.zero_bytes);
            (
                over.size,
                over.mtime,
                over.ctime.max(row.ctime),
                solid.min(stored.saturating_add(over.data_bytes)),
            )
        }
    };
    Attr {
        ino: row.ino,
        size,
        blocks: allocated.div_ceil(BLOCK),
        atime: row.atime,
        mtime,
        ctime,
        mode: row.mode,
        nlink: row.nlink,
        uid: row.uid,
        gid: row.gid,
        rdev: row.rdev,
    }
}

/// A row that must be there.
pub(super) fn row_in(tx: &Tx<'_>, ino: Ino) -> Result<Inode, FsError> {
    tx.inode(ino)?.ok_or(FsError::Stale)
}

impl Fs {
    /// stat(2).
    pub fn getattr(&self, ino: Ino) -> Result<Attr, FsError> {
        let overlay = self.cache.overlay(ino);
        Ok(combine(&self.row(ino)?, overlay))
    }

    /// The stored row.
    pub(super) fn row(&self, ino: Ino) -> Result<Inode, FsError> {
        self.meta.inode(ino)?.ok_or(FsError::Stale)
    }

    /// chmod, chown, truncate, utimensat.
    pub fn setattr(self: &Arc<Self>, _who: Caller, ino: Ino, change: SetAttr) -> Result<Attr, FsError> {
        self.changing()?;
        let now = Nanos::now();
        if let Some(size) = change.size {
            self.truncate(ino, size, now)?;
        }
        let rest = SetAttr { size: None, ..change };
        if rest != SetAttr::default() {
            self.set_row_and_times(ino, rest, now, change.size.is_some())?;
        }
        self.getattr(ino)
    }

    /// Times of a file with an overlay belong to the overlay; everything else to the row. The gate keeps
    /// a flush from ending the overlay between the look and the change.
    fn set_row_and_times(
        &self,
        ino: Ino,
        change: SetAttr,
        now: Nanos,
        truncated: bool,
    ) -> Result<(), FsError> {
        let entry = self.cache.entry(ino);
        let _gate = entry.gate();
        let ctime = change.ctime.unwrap_or(now);
        let overlaid = self.cache.overlay(ino).is_some();
        let mut row_change = change;
        if let Some(mtime) = change.mtime.filter(|_| overlaid) {
            entry.set_times(mtime.resolve(now), ctime)?;
            row_change.mtime = None;
            self.flow.touched(ino);
        }
        // The kernel's writeback cache reports the times of its writes this way, with nothing else for the
        // row to take: that is spared the transaction.
        let only_ctime = SetAttr { ctime: row_change.ctime, ..SetAttr::default() };
        if (overlaid || truncated) && row_change == only_ctime {
            return Ok(());
        }
        self.meta.write(move |tx| change_row(tx, ino, row_change, ctime, now))
    }
}

fn change_row(tx: &mut Tx<'_>, ino: Ino, change: SetAttr, ctime: Nanos, now: Nanos) -> Result<(), FsError> {
    let mut row = row_in(tx, ino)?;
    if let Some(mode) = change.mode {
        if is_symlink(row.mode) {
            return Err(FsError::NotSupported);
        }
        row.mode = (row.mode & S_IFMT) | (mode & PERMISSIONS);
        if let Some(mut acl) = tx.xattr(ino, acl::ACCESS)?.and_then(|value| Acl::parse(&value)) {
            acl.chmod(row.mode);
            tx.set_xattr(ino, acl::ACCESS, &acl.to_bytes())?;
        }
    }
    row.uid = change.uid.unwrap_or(row.uid);
    row.gid = change.gid.unwrap_or(row.gid);
    row.atime = change.atime.map_or(row.atime, |t| t.resolve(now));
    row.mtime = change.mtime.map_or(row.mtime, |t| t.resolve(now));
    row.ctime = ctime;
    Ok(tx.update_inode(&row)?)
}
