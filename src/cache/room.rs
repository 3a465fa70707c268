//! The cache as a whole: its entries, its figures, and the records of everything for a new segment.

use super::ballast::Ballast;
use super::entry::{Entry, State};
use super::files::Files;
use super::journal::{Append, Journal};
use super::record::{Kind, Record};
use super::{CacheError, CacheStats, OverlayAttr};
use crate::types::Ino;
use lru::LruCache;
use parking_lot::{Mutex, RwLock};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const SHARDS: usize = 16;
/// A shard is swept of entries that hold nothing when it has grown by this factor, from this many on.
const SWEEP_FROM: usize = 1024;

/// What the entries share.
#[derive(Debug)]
pub(super) struct Shared {
    pub files: Files,
    pub journal: Journal,
    pub ballast: Ballast,
    /// Shared by every change, exclusive while a new segment is written.
    pub world: RwLock<()>,
    pub limit: AtomicU64,
    bytes: AtomicU64,
    dirty_bytes: AtomicU64,
    pub dirty_entries: AtomicU64,
    /// Clean files, least recently used first.
    lru: Mutex<LruCache<Ino, ()>>,
    /// Stored, but perhaps by a transaction that a power cut still takes back.
    pub settling: Mutex<HashSet<Ino>>,
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Debug, Default)]
struct Shard {
    entries: HashMap<Ino, Arc<Entry>>,
    sweep_at: usize,
}

/// The cache. Share it by `Arc`.
#[derive(Debug)]
pub struct Cache {
    pub(super) shared: Arc<Shared>,
}

impl Shared {
    pub fn new(files: Files, journal: Journal, limit: u64) -> Shared {
        Shared {
            ballast: Ballast::new(&files.dir),
            files,
            journal,
            world: RwLock::new(()),
            limit: AtomicU64::new(limit),
            bytes: AtomicU64::new(0),
            dirty_bytes: AtomicU64::new(0),
            dirty_entries: AtomicU64::new(0),
            lru: Mutex::new(LruCache::unbounded()),
            settling: Mutex::new(HashSet::new()),
            shards: std::array::from_fn(|_| Mutex::new(Shard::default())),
        }
    }

    pub fn moved(&self, before: u64, after: u64) {
        shift(&self.bytes, before, after);
    }

    pub fn moved_dirty(&self, before: u64, after: u64) {
        shift(&self.dirty_bytes, before, after);
    }

    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub fn touch_lru(&self, ino: Ino) {
        self.lru.lock().promote(&ino);
    }

    pub fn join_lru(&self, ino: Ino) {
        self.lru.lock().put(ino, ());
    }

    pub fn leave_lru(&self, ino: Ino) {
        self.lru.lock().pop(&ino);
    }

    pub fn least_recent(&self) -> Option<Ino> {
        self.lru.lock().pop_lru().map(|(ino, ())| ino)
    }

    fn shard(&self, ino: Ino) -> &Mutex<Shard> {
        &self.shards[ino.0 as usize % SHARDS] // proof: a remainder is below the length
    }

    /// The entry, if the inode has one.
    pub fn find(&self, ino: Ino) -> Option<Arc<Entry>> {
        self.shard(ino).lock().entries.get(&ino).cloned()
    }

    /// The entry; made when there is none.
    pub fn entry(self: &Arc<Self>, ino: Ino) -> Arc<Entry> {
        let mut shard = self.shard(ino).lock();
        if let Some(entry) = shard.entries.get(&ino) {
            return Arc::clone(entry);
        }
        if shard.entries.len() >= shard.sweep_at.max(SWEEP_FROM) {
            // Nobody else holds it and it holds nothing: the next who asks makes it anew.
            shard.entries.retain(|_, e| Arc::strong_count(e) > 1 || !e.state.lock().is_empty());
            shard.sweep_at = shard.entries.len() * 2;
        }
        let entry = Arc::new(Entry::new(ino, Arc::clone(self), State::empty()));
        shard.entries.insert(ino, Arc::clone(&entry));
        entry
    }

    /// Puts an entry that recovery made.
    pub fn insert(self: &Arc<Self>, ino: Ino, state: State) {
        let (dirty, clean) = (state.dirty_bytes(), state.present.bytes());
        self.moved(0, dirty + clean);
        self.moved_dirty(0, dirty);
        match state.over {
            Some(_) => drop(self.dirty_entries.fetch_add(1, Ordering::Relaxed)),
            None => self.join_lru(ino),
        }
        let entry = Arc::new(Entry::new(ino, Arc::clone(self), state));
        self.shard(ino).lock().entries.insert(ino, entry);
    }

    pub fn remove(&self, ino: Ino) {
        self.shard(ino).lock().entries.remove(&ino);
    }

    pub fn all(&self) -> Vec<Arc<Entry>> {
        self.shards.iter().flat_map(|s| s.lock().entries.values().cloned().collect::<Vec<_>>()).collect()
    }

    /// Records from which recovery makes everything again. `world` is held exclusively, everything is synced.
    pub fn write_all(&self, journal: &mut dyn Append) -> Result<(), CacheError> {
        self.all().into_iter().try_for_each(|entry| write_state(entry.ino, &entry.state.lock(), journal))
    }
}

/// Records of one inode; `Synced` vouches for those before it.
pub(super) fn write_state(ino: Ino, state: &State, journal: &mut dyn Append) -> Result<(), CacheError> {
    for range in state.present.iter() {
        journal.append(Record { a: range.start, b: range.end, ..Record::new(Kind::Present, ino) })?;
    }
    if let Some(over) = &state.over {
        over.to_records(ino, journal)?;
        if !state.failed {
            journal.append(Record { a: u64::MAX, ..Record::new(Kind::Synced, ino) })?;
        }
    }
    Ok(())
}

fn shift(total: &AtomicU64, before: u64, after: u64) {
    if after >= before {
        total.fetch_add(after - before, Ordering::Relaxed);
    } else {
        total.fetch_sub(before - after, Ordering::Relaxed);
    }
}

/// Entries know what they share, and that knows them: the circle is opened here.
impl Drop for Cache {
    fn drop(&mut self) {
        self.shared.shards.iter().for_each(|shard| shard.lock().entries.clear());
    }
}

impl Cache {
    /// The entry of an inode; made in memory when there is none.
    pub fn entry(&self, ino: Ino) -> Arc<Entry> {
        self.shared.entry(ino)
    }

    /// The overlay's attributes, or `None` when the row is the whole truth. Read it *before* the row:
    /// the row is replaced first, the overlay goes after.
    pub fn overlay(&self, ino: Ino) -> Option<OverlayAttr> {
        self.shared.find(ino)?.overlay()
    }

    /// Whether `bytes` more may be written now, after evicting clean data if needed. False: only dirty
    /// data is left (and what was just evicted did not suffice); a flush makes room.
    pub fn make_room(&self, bytes: u64) -> bool {
        self.shared.make_room(bytes)
    }

    /// The inode is gone for good (its caller has synced the metadata that says so): its file and records
    /// are dropped, a dirty one's too.
    pub fn forget(&self, ino: Ino) -> Result<(), CacheError> {
        let Some(entry) = self.shared.find(ino) else { return Ok(()) };
        {
            let _world = self.shared.world.read();
            let mut state = entry.state.lock();
            self.shared.journal.append(Record::new(Kind::Forget, ino))?;
            let dirty = state.over.is_some();
            entry.evictions.fetch_add(1, Ordering::AcqRel);
            entry.account(&mut state, |state| {
                state.over = None;
                state.present = Default::default();
            });
            state.version += 1;
            if dirty {
                self.shared.dirty_entries.fetch_sub(1, Ordering::Relaxed);
            }
            self.shared.files.remove(state.place, ino)?;
            state.exists = false;
            state.place = super::files::Place::Clean;
        }
        self.shared.leave_lru(ino);
        self.shared.settling.lock().remove(&ino);
        self.shared.remove(ino);
        Ok(())
    }

    /// Inodes with an overlay.
    pub fn dirty(&self) -> Vec<Ino> {
        self.shared.all().iter().filter(|e| e.is_dirty()).map(|e| e.ino).collect()
    }

    /// Drops all clean data (`pailctl dropcache`).
    pub fn drop_clean(&self) -> Result<(), CacheError> {
        while let Some(ino) = self.shared.least_recent() {
            self.shared.evict(ino, u64::MAX)?;
        }
        Ok(())
    }

    /// Another limit (`pailctl cachesize`); evicts down to it.
    pub fn set_limit(&self, limit: u64) {
        self.shared.limit.store(limit, Ordering::Relaxed);
        self.make_room(0);
    }

    /// Figures.
    pub fn stats(&self) -> CacheStats {
        let shared = &self.shared;
        let dirty_entries = shared.dirty_entries.load(Ordering::Relaxed);
        CacheStats {
            limit: shared.limit.load(Ordering::Relaxed),
            bytes: shared.bytes(),
            entries: shared.lru.lock().len() as u64 + dirty_entries,
            dirty_bytes: shared.dirty_bytes.load(Ordering::Relaxed),
            dirty_entries,
        }
    }

    /// Everything to disk, and the mark that the stop was clean, so that clean data survives a reboot.
    /// The caller has synced the metadata. Nothing may be changed afterwards.
    pub fn close(&self) -> Result<(), CacheError> {
        self.release_settled()?;
        let _world = self.shared.world.write();
        self.shared.files.sync_everything()?;
        self.shared.journal.rotate(true, |journal| self.shared.write_all(journal))
    }
}
