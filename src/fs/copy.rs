//! copy_file_range(2): shares what is stored, copies in the cache what is not; never the network.
//!
//! Sharing changes a file's stored content without an overlay, so the destination's cached copy of the
//! range is given up first and no fill may bring the old content back meanwhile (`Entry::pause_fills`).

use super::content::MAX_FILE;
use super::mode::{is_dir, is_file};
use super::{Fs, FsError};
use crate::cache::{Entry, Source};
use crate::types::{ByteRange, Ino, Nanos};
use std::sync::Arc;

/// What one call copies through the cache at most; the caller comes back for the rest.
const COPY_STEP: u64 = 4 << 20;

impl Fs {
    /// copy_file_range(2); may copy less than asked. `NotSupported` sends the caller to read and write.
    pub fn copy_range(
        self: &Arc<Self>,
        from: Ino,
        offset: u64,
        to: Ino,
        at: u64,
        len: u64,
    ) -> Result<u64, FsError> {
        self.changing()?;
        for ino in [from, to] {
            match self.row(ino)?.mode {
                mode if is_dir(mode) => return Err(FsError::IsDir),
                mode if !is_file(mode) => return Err(FsError::Invalid),
                _ => {}
            }
        }
        let (source, target) = (self.cache.entry(from), self.cache.entry(to));
        // Both gates, in the order of the inode numbers: the one rule for who needs two.
        let (first, second) = if from < to { (&source, &target) } else { (&target, &source) };
        let _first = first.gate();
        let _second = (from != to).then(|| second.gate());

        let size = self.getattr(from)?.size;
        let len = len.min(size.saturating_sub(offset));
        if len == 0 {
            return Ok(0);
        }
        if at.checked_add(len).is_none_or(|end| end > MAX_FILE) {
            return Err(FsError::TooBig);
        }
        if from == to && offset < at + len && at < offset + len {
            return Err(FsError::Invalid);
        }
        if source.is_dirty() || target.is_dirty() {
            let copied = self.copy_cached(&source, offset..offset + len.min(COPY_STEP), &target, at)?;
            self.flow.touched(to);
            return Ok(copied);
        }
        self.share(&target, from, offset..offset + len, at)?;
        Ok(len)
    }

    /// Both without an overlay, gates held: the extents are shared in one transaction.
    fn share(&self, target: &Entry, from: Ino, range: ByteRange, at: u64) -> Result<(), FsError> {
        let to = target.ino();
        let len = range.end - range.start;
        let _paused = target.pause_fills(at..at + len)?;
        self.meta.write(move |tx| {
            let now = Nanos::now();
            tx.share_extents(from, range, to, at)?;
            let mut row = tx.inode(to)?.ok_or(FsError::Stale)?;
            row.mtime = now;
            row.ctime = now;
            Ok(tx.update_inode(&row)?)
        })
    }

    /// Copies what is at hand in the cache; stops short before what is only in the store.
    fn copy_cached(&self, source: &Entry, range: ByteRange, target: &Entry, at: u64) -> Result<u64, FsError> {
        let mut copied = 0;
        for piece in source.plan(range.clone()) {
            let len = piece.range.end - piece.range.start;
            let to = at + (piece.range.start - range.start);
            let mut buf = vec![0; usize::try_from(len).map_err(|_| FsError::Invalid)?];
            let at_hand = match piece.source {
                Source::Local => source.read_local(piece.range.start, &mut buf)?,
                Source::Zero => true,
                Source::Stored => self
                    .meta
                    .read(|v| v.extents(source.ino(), piece.range.clone(), 1).map_err(FsError::from))?
                    .is_empty(),
            };
            if !at_hand || !self.cache.make_room(len) {
                break;
            }
            let now = Nanos::now();
            self.begin_overlay(target, now)?;
            target.write(to, &buf, now)?;
            copied += len;
        }
        if copied == 0 { Err(FsError::NotSupported) } else { Ok(copied) }
    }
}
