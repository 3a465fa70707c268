//! An inode's entry: its file, what of it is clean, and its overlay.

use super::files::{Place, io_error, sync_dir};
use super::journal::Position;
use super::overlay::{Overlay, plan};
use super::record::{Kind, Record};
use super::room::{Cache, Shared};
use super::{CacheError, FillToken, FlushSnapshot, OverlayAttr, Piece, Source};
use crate::types::{ByteRange, Ino, Nanos, RangeSet};
use parking_lot::{Mutex, MutexGuard};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// An inode's entry. Obtained from [`Cache::entry`]; kept alive by whoever uses it.
#[derive(Debug)]
pub struct Entry {
    pub(super) ino: Ino,
    pub(super) shared: Arc<Shared>,
    gate: Mutex<()>,
    /// Held through a sync: who comes second must not return before the first one's data is on the disk.
    syncing: Mutex<()>,
    pub(super) state: Mutex<State>,
    /// Rises before blocks are given back: a read that saw it rise starts over.
    pub(super) evictions: AtomicU64,
}

#[derive(Debug)]
pub(super) struct State {
    /// Stored content in the cache file.
    pub present: RangeSet,
    pub over: Option<Overlay>,
    pub place: Place,
    /// The cache file is known to be there.
    pub exists: bool,
    /// The version of the stored content; see [`FillToken`].
    pub version: u64,
    /// Pauses of fills that are under way.
    pub paused: u32,
    /// Something was accepted since the last sync.
    pub unsynced: bool,
    /// The file's directory entry is not synced yet.
    pub new_name: bool,
    /// A sync of the file failed: its dirty pages may be lost, nothing more is promised until it is stored.
    pub failed: bool,
    /// Blocks that no range names any more: given back when the overlay ends.
    pub slack: bool,
}

impl State {
    pub fn empty() -> State {
        State {
            present: RangeSet::new(),
            over: None,
            place: Place::Clean,
            exists: false,
            version: 0,
            paused: 0,
            unsynced: false,
            new_name: false,
            failed: false,
            slack: false,
        }
    }

    pub fn dirty_bytes(&self) -> u64 {
        self.over.as_ref().map_or(0, |o| o.all.data.bytes())
    }

    pub fn is_empty(&self) -> bool {
        self.over.is_none() && self.present.is_empty()
    }

    fn overlay(&mut self, ino: Ino) -> Result<&mut Overlay, CacheError> {
        self.over.as_mut().ok_or_else(|| CacheError::Io {
            path: format!("inode {ino}"),
            source: std::io::Error::other("changed without an overlay (a bug)"),
        })
    }
}

/// While it lives, no fill is taken by its entry.
#[derive(Debug)]
pub struct FillPause<'a> {
    entry: &'a Entry,
}

impl Drop for FillPause<'_> {
    fn drop(&mut self) {
        let mut state = self.entry.state.lock();
        state.paused -= 1;
        state.version += 1;
    }
}

impl Entry {
    pub(super) fn new(ino: Ino, shared: Arc<Shared>, state: State) -> Entry {
        let (gate, syncing) = (Mutex::new(()), Mutex::new(()));
        Entry { ino, shared, gate, syncing, state: Mutex::new(state), evictions: AtomicU64::new(0) }
    }

    /// Which inode.
    pub fn ino(&self) -> Ino {
        self.ino
    }

    /// Held by whoever changes content (write, truncate, punch: from before `begin` until the change is
    /// made) and by a flush's commit (from `unchanged_since` until `stored`). Order of locks: gate, then
    /// the metadata writer. Never held across the network.
    pub fn gate(&self) -> MutexGuard<'_, ()> {
        self.gate.lock()
    }

    /// Whether there is an overlay.
    pub fn is_dirty(&self) -> bool {
        self.state.lock().over.is_some()
    }

    pub(super) fn overlay(&self) -> Option<OverlayAttr> {
        self.state.lock().over.as_ref().map(Overlay::attr)
    }

    fn record(&self, kind: Kind) -> Record {
        Record::new(kind, self.ino)
    }

    /// Starts an overlay over stored content of this size and times; `flushed` is the row's generation.
    /// The caller holds the gate and has committed the pending row. Moves the cache file to `dirty/`.
    pub fn begin(&self, size: u64, mtime: Nanos, ctime: Nanos, flushed: u64) -> Result<(), CacheError> {
        let _world = self.shared.world.read();
        let mut state = self.state.lock();
        if state.over.is_some() {
            return Ok(());
        }
        if state.place == Place::Clean {
            if state.exists {
                self.shared.files.rename(self.ino, Place::Clean, Place::Dirty)?;
                state.new_name = true;
            }
            state.place = Place::Dirty;
        }
        let generation = flushed + 1;
        let begin = Record { generation, a: size, t1: mtime.0, t2: ctime.0, ..self.record(Kind::Begin) };
        self.shared.journal.append(begin)?;
        state.over = Some(Overlay::new(size, mtime, ctime, generation));
        self.shared.leave_lru(self.ino);
        self.shared.dirty_entries.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Writes data (gate held, overlay begun); grows the size; mtime and ctime become `now`.
    pub fn write(&self, offset: u64, data: &[u8], now: Nanos) -> Result<(), CacheError> {
        let _world = self.shared.world.read();
        let mut state = self.state.lock();
        let range = offset..offset + data.len() as u64;
        let generation = state.overlay(self.ino)?.generation;
        let file = self.shared.files.get(Place::Dirty, self.ino, true)?;
        if !state.exists {
            state.exists = true;
            state.new_name = true;
        }
        self.give_up_present(&mut state, range.clone())?;
        file.write_all_at(data, offset).map_err(|e| self.failure(Place::Dirty, e))?;
        let record =
            Record { generation, a: range.start, b: range.end, t1: now.0, ..self.record(Kind::Data) };
        self.shared.journal.append(record)?;
        self.account(&mut state, |state| {
            if let Some(over) = &mut state.over {
                over.write(range, now);
            }
        });
        state.unsynced = true;
        Ok(())
    }

    /// Sets the size (gate held, overlay begun). Bytes beyond it are zeros if it grows again.
    pub fn truncate(&self, size: u64, now: Nanos) -> Result<(), CacheError> {
        let truncate = Record { a: size, t1: now.0, ..self.record(Kind::Truncate) };
        self.zeros(size..u64::MAX, truncate, |over| over.truncate(size, now))
    }

    /// Makes a range zeros without changing the size (gate held, overlay begun).
    pub fn punch(&self, range: ByteRange, now: Nanos) -> Result<(), CacheError> {
        let zero = Record { a: range.start, b: range.end, t1: now.0, ..self.record(Kind::Zero) };
        self.zeros(range.clone(), zero, |over| over.punch(range, now))
    }

    /// Only the bookkeeping changes: the blocks below may be what a power cut brings back.
    fn zeros(
        &self,
        range: ByteRange,
        record: Record,
        change: impl FnOnce(&mut Overlay),
    ) -> Result<(), CacheError> {
        let _world = self.shared.world.read();
        let mut state = self.state.lock();
        let generation = state.overlay(self.ino)?.generation;
        self.give_up_present(&mut state, range)?;
        self.shared.journal.append(Record { generation, ..record })?;
        self.account(&mut state, |state| {
            if let Some(over) = &mut state.over {
                change(over);
            }
        });
        state.slack = true;
        state.unsynced = true;
        Ok(())
    }

    /// Sets the overlay's times (gate held, overlay begun).
    pub fn set_times(&self, mtime: Nanos, ctime: Nanos) -> Result<(), CacheError> {
        let _world = self.shared.world.read();
        let mut state = self.state.lock();
        let generation = state.overlay(self.ino)?.generation;
        self.shared.journal.append(Record {
            generation,
            t1: mtime.0,
            t2: ctime.0,
            ..self.record(Kind::Times)
        })?;
        state.overlay(self.ino)?.times(mtime, ctime);
        state.unsynced = true;
        Ok(())
    }

    /// Before clean bytes are overwritten or hidden, the journal stops vouching for them.
    fn give_up_present(&self, state: &mut State, range: ByteRange) -> Result<(), CacheError> {
        if !state.present.intersects(range.clone()) {
            return Ok(());
        }
        self.shared.journal.append(Record { a: range.start, b: range.end, ..self.record(Kind::Absent) })?;
        state.slack = true;
        self.account(state, |state| state.present.remove(range));
        Ok(())
    }

    /// Makes a change to the ranges and keeps the totals.
    pub(super) fn account(&self, state: &mut State, change: impl FnOnce(&mut State)) {
        let (present, dirty) = (state.present.bytes(), state.dirty_bytes());
        change(state);
        self.shared.moved(present + dirty, state.present.bytes() + state.dirty_bytes());
        self.shared.moved_dirty(dirty, state.dirty_bytes());
    }

    fn failure(&self, place: Place, e: std::io::Error) -> CacheError {
        io_error(&self.shared.files.path(place, self.ino), e)
    }

    /// Where each part of `range` is (not clipped to any size), ascending, without gaps.
    pub fn plan(&self, range: ByteRange) -> Vec<Piece> {
        let state = self.state.lock();
        plan(range, &state.present, state.over.as_ref())
    }

    /// Reads a range that `plan` called local. False: evicted or changed meanwhile, plan again.
    pub fn read_local(&self, offset: u64, buf: &mut [u8]) -> Result<bool, CacheError> {
        let range = offset..offset + buf.len() as u64;
        // The handle is taken under the state's lock, as everywhere: whoever removes the file holds it too, so
        // that no handle of a removed file gets back into the list of open ones.
        let (place, dirty, before, file) = {
            let state = self.state.lock();
            let pieces = plan(range, &state.present, state.over.as_ref());
            if pieces.iter().any(|p| p.source != Source::Local) {
                return Ok(false);
            }
            let file = self.shared.files.get(state.place, self.ino, false);
            (state.place, state.over.is_some(), self.evictions.load(Ordering::Acquire), file)
        };
        if !dirty {
            self.shared.touch_lru(self.ino);
        }
        let read = file.and_then(|file| file.read_exact_at(buf, offset).map_err(|e| self.failure(place, e)));
        match read {
            // Renamed or evicted between the look and the open.
            Err(CacheError::Io { source, .. })
                if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof) =>
            {
                self.missing(place, &source)?;
                Ok(false)
            }
            Err(e) => Err(e),
            Ok(()) => Ok(self.evictions.load(Ordering::Acquire) == before),
        }
    }

    /// The file is not as the bookkeeping says. Clean data is simply gone; dirty data is an error.
    fn missing(&self, place: Place, source: &std::io::Error) -> Result<(), CacheError> {
        let mut state = self.state.lock();
        if state.place != place {
            return Ok(());
        }
        if state.over.is_some() && state.dirty_bytes() > 0 {
            return Err(self.failure(place, std::io::Error::new(source.kind(), "dirty data is missing")));
        }
        self.account(&mut state, |state| state.present = RangeSet::new());
        state.version += 1;
        Ok(())
    }

    /// Take it before reading the extents that a fill is made from.
    pub fn fill_token(&self) -> FillToken {
        FillToken(self.state.lock().version)
    }

    /// Puts stored content in the cache file wherever the plan says `Stored`, unless the stored content
    /// has changed since the token. Failing or having no room is no error for the reader: it is logged.
    pub fn fill(&self, token: FillToken, offset: u64, data: &[u8]) {
        if !self.shared.make_room(data.len() as u64) {
            return;
        }
        let filled = self.try_fill(token, offset, data);
        if let Err(error) = filled {
            tracing::debug!(ino = %self.ino, %error, "stored content was read but not kept");
        }
    }

    fn try_fill(&self, token: FillToken, offset: u64, data: &[u8]) -> Result<(), CacheError> {
        let _world = self.shared.world.read();
        let mut state = self.state.lock();
        if state.version != token.0 || state.paused > 0 {
            return Ok(());
        }
        let range = offset..offset + data.len() as u64;
        let pieces = plan(range, &state.present, state.over.as_ref());
        for piece in pieces.into_iter().filter(|p| p.source == Source::Stored) {
            let (start, end) = (piece.range.start, piece.range.end);
            let file = self.shared.files.get(state.place, self.ino, true)?;
            state.exists = true;
            let part = data.get((start - offset) as usize..(end - offset) as usize).unwrap_or_default();
            file.write_all_at(part, start).map_err(|e| self.failure(state.place, e))?;
            self.shared.journal.append(Record { a: start, b: end, ..self.record(Kind::Present) })?;
            self.account(&mut state, |state| state.present.insert(piece.range));
        }
        if state.over.is_none() && !state.present.is_empty() {
            self.shared.join_lru(self.ino);
        }
        Ok(())
    }

    /// The stored content of `range` is about to be replaced without an overlay (gate held, not dirty):
    /// clean data there is given up, durably against the daemon's death, and no fill is taken until the
    /// guard is dropped; then fills need a new token.
    pub fn pause_fills(&self, range: ByteRange) -> Result<FillPause<'_>, CacheError> {
        let _world = self.shared.world.read();
        let mut state = self.state.lock();
        self.give_up_present(&mut state, range)?;
        state.paused += 1;
        state.version += 1;
        Ok(FillPause { entry: self })
    }

    /// Starts a flush: what is dirty now. `None` when there is no overlay. Later changes belong to the
    /// next generation. One flush of an inode at a time.
    pub fn snapshot(&self) -> Option<FlushSnapshot> {
        let _world = self.shared.world.read();
        self.state.lock().over.as_mut().map(Overlay::snapshot)
    }

    /// Whether nothing has changed since the snapshot (gate held): the flush settles the inode.
    pub fn unchanged_since(&self, generation: u64) -> bool {
        let state = self.state.lock();
        state.over.as_ref().is_some_and(|o| o.flushing == Some(generation) && !o.changed_since)
    }

    /// The snapshot's content is committed (gate held). Its data becomes clean; when nothing is newer the
    /// overlay ends. The data can't be evicted before [`Cache::release_settled`].
    pub fn stored(&self, generation: u64) -> Result<(), CacheError> {
        let _world = self.shared.world.read();
        let mut state = self.state.lock();
        if state.over.as_ref().is_none_or(|o| o.flushing != Some(generation)) {
            return Ok(());
        }
        state.version += 1;
        self.account(&mut state, |state| {
            let clean = state.over.as_mut().map(Overlay::stored).unwrap_or_default();
            clean.iter().for_each(|r| state.present.insert(r));
            if state.over.as_ref().is_some_and(Overlay::is_settled) {
                state.over = None;
            }
        });
        if state.over.is_none() {
            self.shared.dirty_entries.fetch_sub(1, Ordering::Relaxed);
            state.unsynced = false;
            state.failed = false;
        }
        self.shared.settling.lock().insert(self.ino);
        Ok(())
    }

    /// The flush was given up; its changes are dirty as before.
    pub fn flush_failed(&self, generation: u64) {
        let _world = self.shared.world.read();
        let mut state = self.state.lock();
        if let Some(over) = state.over.as_mut().filter(|o| o.flushing == Some(generation)) {
            over.flush_failed();
        }
    }

    /// Makes all that was accepted for this inode survive a power cut: fdatasync of the file, then the
    /// journal's record of it, synced (concurrent callers share a sync). Free when nothing is new.
    pub fn sync(&self) -> Result<(), CacheError> {
        let _syncing = self.syncing.lock();
        let (upto, new_name, exists) = {
            let mut state = self.state.lock();
            if state.failed {
                return Err(self.failure(Place::Dirty, std::io::Error::other("an earlier sync of it failed")));
            }
            if state.over.is_none() || !state.unsynced {
                return self.shared.journal.sync();
            }
            state.unsynced = false;
            let new_name = std::mem::take(&mut state.new_name);
            (self.shared.journal.position(), new_name, state.exists)
        };
        let done = self.sync_to(upto, new_name, exists);
        if done.is_err() {
            let mut state = self.state.lock();
            state.unsynced = true;
            state.new_name |= new_name;
        }
        done
    }

    fn sync_to(&self, upto: Position, new_name: bool, exists: bool) -> Result<(), CacheError> {
        if exists {
            let (place, file) = {
                let state = self.state.lock();
                (state.place, self.shared.files.get(state.place, self.ino, true)?)
            };
            if let Err(e) = file.sync_data() {
                // The kernel may have dropped the pages: a second fsync that succeeds would prove nothing.
                self.state.lock().failed = true;
                return Err(self.failure(place, e));
            }
        }
        if new_name {
            sync_dir(&self.shared.files.folder(Place::Dirty, self.ino))?;
        }
        // Held, no new segment can come between: the record's index counts in the segment that it goes to.
        let world = self.shared.world.read();
        if self.shared.journal.position().segment == upto.segment {
            self.shared.journal.append(Record { a: upto.records, ..self.record(Kind::Synced) })?;
        }
        drop(world);
        self.shared.journal.sync()
    }
}

impl Cache {
    /// Syncs every inode with an overlay.
    pub fn sync_all(&self) -> Result<(), CacheError> {
        self.dirty().into_iter().try_for_each(|ino| self.entry(ino).sync())
    }
}
