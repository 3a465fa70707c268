//! Bytes: read, write, truncate, fsync.
//!
//! Order of a change (design.md, decision 1): gate, pending row committed, overlay begun, change made.
//! Order of a sync (decision 5): the cache file, the journal, the WAL.

use super::mode::{is_dir, is_file};
use super::{Done, Fs, FsError, Handle};
use crate::cache::{CacheError, Entry};
use crate::flow::Stream;
use crate::types::{Ino, Nanos};
use std::sync::Arc;

/// 16 TiB: no file is larger.
pub(super) const MAX_FILE: u64 = 1 << 44;

impl Fs {
    /// read(2): short only at the end of the file.
    pub fn read(self: &Arc<Self>, ino: Ino, fh: Handle, offset: u64, len: u32, done: Done<Vec<u8>>) {
        let size = match self.getattr(ino) {
            Ok(attr) => attr.size,
            Err(e) => return done(Err(e)),
        };
        let end = offset.saturating_add(u64::from(len)).min(size);
        if offset >= end {
            return done(Ok(Vec::new()));
        }
        let stream = match self.open_file(fh) {
            Some(file) => file.stream,
            None => Arc::new(Stream::default()),
        };
        self.flow.read(ino, offset..end, &stream, Box::new(move |r| done(r.map_err(FsError::from))));
    }

    /// write(2): all of it or an error. `data` is copied only when it has to wait for room.
    pub fn write(self: &Arc<Self>, ino: Ino, fh: Handle, offset: u64, data: &[u8], done: Done<u32>) {
        let room = data.len() as u64;
        let fits = offset.checked_add(room).is_some_and(|end| end <= MAX_FILE);
        if let Err(e) = self.growing().and(if fits { Ok(()) } else { Err(FsError::TooBig) }) {
            return done(Err(e));
        }
        let entry = match self.open_file(fh) {
            Some(file) if file.ino == ino => file.entry,
            _ => self.cache.entry(ino),
        };
        if self.cache.make_room(room) {
            return done(self.write_now(&entry, offset, data));
        }
        let (fs, data) = (Arc::clone(self), data.to_vec());
        let then = move |waited: Result<(), crate::flow::FlowError>| {
            done(waited.map_err(FsError::from).and_then(|()| fs.write_now(&entry, offset, &data)));
        };
        self.flow.room(room, Box::new(then));
    }

    fn write_now(&self, entry: &Entry, offset: u64, data: &[u8]) -> Result<u32, FsError> {
        let now = Nanos::now();
        {
            let _gate = entry.gate();
            self.begin_overlay(entry, now)?;
            match entry.write(offset, data, now) {
                // The disk is smaller than the cache's limit: clean data makes way.
                Err(CacheError::DiskFull { .. }) if self.cache.relieve_disk() => {
                    entry.write(offset, data, now)?
                }
                done => done?,
            }
        }
        self.flow.touched(entry.ino());
        Ok(data.len() as u32)
    }

    /// With the entry's gate held: makes sure that there is an overlay, its pending row committed first.
    pub(super) fn begin_overlay(&self, entry: &Entry, now: Nanos) -> Result<(), FsError> {
        if entry.is_dirty() {
            return Ok(());
        }
        let ino = entry.ino();
        let row = self.meta.write(move |tx| {
            let row = tx.inode(ino)?.ok_or(FsError::Stale)?;
            if !is_file(row.mode) {
                return Err(if is_dir(row.mode) { FsError::IsDir } else { FsError::Invalid });
            }
            tx.set_pending(ino, now)?;
            Ok(row)
        })?;
        Ok(entry.begin(row.size, row.mtime, row.ctime, row.flushed)?)
    }

    /// truncate(2), both ways.
    pub(super) fn truncate(&self, ino: Ino, size: u64, now: Nanos) -> Result<(), FsError> {
        if size > MAX_FILE {
            return Err(FsError::TooBig);
        }
        let entry = self.cache.entry(ino);
        {
            let _gate = entry.gate();
            self.begin_overlay(&entry, now)?;
            entry.truncate(size, now)?;
        }
        self.flow.touched(ino);
        Ok(())
    }

    /// fsync(2) and fdatasync(2).
    pub fn fsync(self: &Arc<Self>, ino: Ino, done: Done<()>) {
        let fs = Arc::clone(self);
        self.flow.background(Box::new(move || done(fs.sync_now(ino))));
    }

    /// What fsync does, on a thread that may block on the disk.
    pub(super) fn sync_now(&self, ino: Ino) -> Result<(), FsError> {
        if self.cache.overlay(ino).is_some() {
            self.cache.entry(ino).sync()?;
        }
        Ok(self.meta.sync()?)
    }

    /// fsync(2) of a directory: names are in the database alone.
    pub fn fsync_dir(self: &Arc<Self>, _ino: Ino, done: Done<()>) {
        let fs = Arc::clone(self);
        self.flow.background(Box::new(move || done(fs.meta.sync().map_err(FsError::from))));
    }

    /// Everything that was accepted, to the local disk: what `pailctl sync` asks for (the kernel does not
    /// forward syncfs(2) to a FUSE file system).
    pub fn sync_all(self: &Arc<Self>, done: Done<()>) {
        let fs = Arc::clone(self);
        self.flow.background(Box::new(move || done(fs.sync_all_now())));
    }

    fn sync_all_now(&self) -> Result<(), FsError> {
        self.cache.sync_all()?;
        Ok(self.meta.sync()?)
    }
}
