//! Holes: fallocate(2) and lseek(2)'s SEEK_DATA and SEEK_HOLE.

use super::content::MAX_FILE;
use super::mode::{is_dir, is_file};
use super::{Allocate, Fs, FsError, SeekTo};
use crate::cache::Source;
use crate::types::{ByteRange, Ino, Nanos};
use std::sync::Arc;

/// Extents looked at in one step.
const STEP: usize = 512;

impl Fs {
    /// fallocate(2). Room in a bucket can't be reserved: what only reserves succeeds and does nothing.
    pub fn fallocate(
        self: &Arc<Self>,
        ino: Ino,
        how: Allocate,
        offset: u64,
        len: u64,
    ) -> Result<(), FsError> {
        self.changing()?;
        let end = offset.checked_add(len).filter(|end| *end <= MAX_FILE).ok_or(FsError::TooBig)?;
        let row = self.row(ino)?;
        match row.mode {
            _ if len == 0 => return Err(FsError::Invalid),
            mode if is_dir(mode) => return Err(FsError::IsDir),
            mode if !is_file(mode) => return Err(FsError::NotSupported),
            _ => {}
        }
        let now = Nanos::now();
        let entry = self.cache.entry(ino);
        {
            let _gate = entry.gate();
            let size = self.getattr(ino)?.size;
            let (zeroed, grows) = match how {
                Allocate::KeepSize => return Ok(()),
                Allocate::Extend => (0..0, true),
                Allocate::Punch => (offset..end.min(size), false),
                Allocate::Zero { keep_size } => (offset..end.min(size), !keep_size),
            };
            if !(zeroed.start < zeroed.end || grows && end > size) {
                return Ok(());
            }
            self.begin_overlay(&entry, now)?;
            if zeroed.start < zeroed.end {
                entry.punch(zeroed, now)?;
            }
            if grows && end > size {
                entry.truncate(end, now)?;
            }
        }
        self.flow.touched(ino);
        Ok(())
    }

    /// lseek(2) with SEEK_DATA or SEEK_HOLE.
    pub fn seek(&self, ino: Ino, offset: u64, to: SeekTo) -> Result<u64, FsError> {
        let size = self.getattr(ino)?.size;
        if offset >= size {
            return Err(FsError::NoSuchAddress);
        }
        let mut at = offset;
        for piece in self.cache.entry(ino).plan(offset..size) {
            match (piece.source, to) {
                (Source::Local, SeekTo::Data) | (Source::Zero, SeekTo::Hole) => return Ok(at),
                (Source::Stored, _) => {
                    if let Some(found) = self.seek_stored(ino, piece.range.clone(), to)? {
                        return Ok(found);
                    }
                }
                _ => {}
            }
            at = piece.range.end;
        }
        match to {
            SeekTo::Hole => Ok(size),
            SeekTo::Data => Err(FsError::NoSuchAddress),
        }
    }

    /// The first byte of `range` that is (not) in a stored extent.
    fn seek_stored(&self, ino: Ino, range: ByteRange, to: SeekTo) -> Result<Option<u64>, FsError> {
        let mut at = range.start;
        while at < range.end {
            let extents =
                self.meta.read(|view| view.extents(ino, at..range.end, STEP).map_err(FsError::from))?;
            let more = extents.len() == STEP;
            for extent in extents {
                match to {
                    SeekTo::Data => return Ok(Some(extent.range.start.max(at)).filter(|d| *d < range.end)),
                    SeekTo::Hole if extent.range.start > at => return Ok(Some(at)),
                    SeekTo::Hole => at = extent.range.end,
                }
            }
            if !more {
                break;
            }
        }
        Ok(Some(at).filter(|hole| matches!(to, SeekTo::Hole) && *hole < range.end))
    }
}
