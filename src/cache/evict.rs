//! Making room: clean data goes, least recently used first.
//!
//! A small file goes whole; of a large one a stretch at a time, so that reading one file that is larger
//! than the cache works. Data that was just stored waits in `settling` until the metadata that names it
//! is synced: until then a power cut may want it back.

use super::CacheError;
use super::entry::{Entry, State};
use super::files::{Place, io_error};
use super::record::{Kind, Record};
use super::room::{Cache, Shared};
use crate::types::{ByteRange, Ino, RangeSet};
use rustix::fs::{FallocateFlags, fallocate};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What one step takes of a file at most.
const STRETCH: u64 = 64 << 20;
/// Steps of one call at most: what a write waits for is bounded.
const STEPS: usize = 256;
/// Stored parts of a file that is still being written go when the cache is fuller than this many eighths.
const FULL_EIGHTHS: u64 = 6;

impl Shared {
    pub fn make_room(self: &Arc<Self>, bytes: u64) -> bool {
        let fits = || self.bytes().saturating_add(bytes) <= self.limit.load(Ordering::Relaxed);
        for _ in 0..STEPS {
            if fits() {
                return true;
            }
            let Some(ino) = self.least_recent() else { break };
            let wanted = (self.bytes() + bytes).saturating_sub(self.limit.load(Ordering::Relaxed));
            if let Err(error) = self.evict(ino, wanted) {
                tracing::warn!(%ino, %error, "clean data could not be given up");
            }
        }
        fits()
    }

    /// Gives up clean data of one file: all of it, or a stretch of a large one.
    pub fn evict(self: &Arc<Self>, ino: Ino, wanted: u64) -> Result<(), CacheError> {
        let Some(entry) = self.find(ino) else { return Ok(()) };
        let _world = self.world.read();
        let mut state = entry.state.lock();
        if state.over.is_some() || self.settling.lock().contains(&ino) {
            // It comes back to the list when it is settled.
            return Ok(());
        }
        if state.present.bytes() <= STRETCH || wanted >= state.present.bytes() {
            self.journal.append(Record::new(Kind::Forget, ino))?;
            entry.evictions.fetch_add(1, Ordering::AcqRel);
            entry.account(&mut state, |state| state.present = RangeSet::new());
            state.exists = false;
            self.files.remove(state.place, ino)?;
            return Ok(());
        }
        let mut gone = Vec::new();
        let mut left = wanted.max(STRETCH / 4);
        for range in state.present.iter() {
            let part = range.start..range.end.min(range.start + left);
            left -= part.end - part.start;
            gone.push(part);
            if left == 0 {
                break;
            }
        }
        self.give_back(&entry, &mut state, gone)?;
        self.join_lru(ino);
        Ok(())
    }

    /// Takes ranges out of the clean data and gives their blocks back.
    fn give_back(&self, entry: &Entry, state: &mut State, gone: Vec<ByteRange>) -> Result<(), CacheError> {
        entry.evictions.fetch_add(1, Ordering::AcqRel);
        for range in gone {
            let absent = Record { a: range.start, b: range.end, ..Record::new(Kind::Absent, entry.ino) };
            self.journal.append(absent)?;
            entry.account(state, |state| state.present.remove(range.clone()));
            self.punch(state.place, entry.ino, range)?;
        }
        Ok(())
    }

    fn punch(&self, place: Place, ino: Ino, range: ByteRange) -> Result<(), CacheError> {
        let file = match self.files.get(place, ino, false) {
            Err(CacheError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Ok(());
            }
            other => other?,
        };
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let punched = fallocate(&*file, flags, range.start, range.end - range.start);
        punched.map_err(|e| io_error(&self.files.path(place, ino), e.into()))
    }

    /// What was stored is safe: the overlay's blocks that nothing names are given back, a settled file
    /// moves to clean/ and may be evicted.
    fn settle(self: &Arc<Self>, ino: Ino) -> Result<(), CacheError> {
        let Some(entry) = self.find(ino) else { return Ok(()) };
        let _world = self.world.read();
        let mut state = entry.state.lock();
        self.settling.lock().remove(&ino);
        if state.over.is_some() {
            let full = self.bytes() > self.limit.load(Ordering::Relaxed) / 8 * FULL_EIGHTHS;
            let gone = if full { state.present.iter().collect() } else { Vec::new() };
            return self.give_back(&entry, &mut state, gone);
        }
        if state.present.is_empty() {
            state.exists = false;
            return self.files.remove(state.place, ino);
        }
        if state.place == Place::Dirty {
            self.files.rename(ino, Place::Dirty, Place::Clean)?;
            state.place = Place::Clean;
        }
        // Clean data is vouched for by records, one for each range: recovery of this boot needs them.
        for range in state.present.iter() {
            self.journal.append(Record {
                a: range.start,
                b: range.end,
                ..Record::new(Kind::Present, ino)
            })?;
        }
        if std::mem::take(&mut state.slack) {
            let len = self.files.get(Place::Clean, ino, true)?.metadata().map_or(0, |m| m.len());
            for range in state.present.missing(0..len) {
                self.punch(Place::Clean, ino, range)?;
            }
        }
        self.join_lru(ino);
        Ok(())
    }
}

impl Cache {
    /// The metadata of everything stored so far is synced (the caller has just done it): that data may be
    /// evicted, and its records dropped. A long journal is replaced.
    pub fn release_settled(&self) -> Result<(), CacheError> {
        let settled: Vec<Ino> = self.shared.settling.lock().iter().copied().collect();
        settled.into_iter().try_for_each(|ino| self.shared.settle(ino))?;
        if !self.shared.journal.is_long() {
            return Ok(());
        }
        self.shared.files.sync_everything()?;
        let _world = self.shared.world.write();
        // What was stored meanwhile by another caller is not safe yet: next time.
        if !self.shared.settling.lock().is_empty() {
            return Ok(());
        }
        self.shared.files.sync_everything()?;
        self.shared.journal.rotate(false, |journal| self.shared.write_all(journal))?;
        for entry in self.shared.all() {
            let mut state = entry.state.lock();
            state.unsynced = false;
            state.new_name = false;
        }
        Ok(())
    }
}
