//! One entry against bytes in memory, through writes, flushes, fills, evictions, daemon deaths and power cuts.

use super::*;
use crate::types::RangeSet;
use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;

const BOOT: BootId = BootId([1; 16]);
const OTHER_BOOT: BootId = BootId([2; 16]);
const INO: Ino = Ino(5);
const SIZE: u64 = 64 << 10;
const NOW: Nanos = Nanos(1_000);

fn open_at(dir: &Path, boot: BootId, flushed: u64) -> (Arc<Cache>, Recovery) {
    Cache::open(dir, 1 << 20, boot, &|_| StoredState::Flushed(flushed)).expect("open")
}

#[derive(Clone, Debug)]
enum Step {
    Write(u64, u64, u8),
    Truncate(u64),
    Punch(u64, u64),
    Flush { fail: bool, between: bool },
    Fill(u64, u64),
    Evict,
    Death,
    Sync,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..SIZE, 1..5000u64, any::<u8>()).prop_map(|(at, len, b)| Step::Write(at, len, b)),
        1 => (0..SIZE).prop_map(Step::Truncate),
        1 => (0..SIZE, 1..9000u64).prop_map(|(at, len)| Step::Punch(at, len)),
        2 => (any::<bool>(), any::<bool>()).prop_map(|(fail, between)| Step::Flush { fail: fail && between, between }),
        2 => (0..SIZE, 1..20000u64).prop_map(|(at, len)| Step::Fill(at, len)),
        1 => Just(Step::Evict),
        1 => Just(Step::Death),
        1 => Just(Step::Sync),
    ];
    prop::collection::vec(step, 1..40)
}

/// The cache beside what is stored and what the file should hold.
struct World {
    dir: tempfile::TempDir,
    cache: Arc<Cache>,
    stored: Vec<u8>,
    flushed: u64,
    now: Vec<u8>,
}

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().expect("tempdir");
        let cache = open_at(dir.path(), BOOT, 0).0;
        World { dir, cache, stored: Vec::new(), flushed: 0, now: Vec::new() }
    }

    fn begin(&self) -> Arc<Entry> {
        let entry = self.cache.entry(INO);
        entry.begin(self.stored.len() as u64, NOW, NOW, self.flushed).expect("begin");
        entry
    }

    fn write(&mut self, at: u64, len: u64, byte: u8) {
        let data = vec![byte; len as usize];
        self.begin().write(at, &data, NOW).expect("write");
        let end = (at + len) as usize;
        if self.now.len() < end {
            self.now.resize(end, 0);
        }
        self.now[at as usize..end].copy_from_slice(&data);
    }

    /// What a reader sees: the plan over the stored bytes.
    fn read(&self, range: ByteRange) -> Vec<u8> {
        let entry = self.cache.entry(INO);
        let mut out = vec![0; (range.end - range.start) as usize];
        for piece in entry.plan(range.clone()) {
            let part = &mut out
                [(piece.range.start - range.start) as usize..(piece.range.end - range.start) as usize];
            match piece.source {
                Source::Local => assert!(entry.read_local(piece.range.start, part).expect("read_local")),
                Source::Zero => {}
                Source::Stored => part.copy_from_slice(&self.stored_part(piece.range)),
            }
        }
        out
    }

    fn stored_part(&self, range: ByteRange) -> Vec<u8> {
        (range.start..range.end).map(|i| self.stored.get(i as usize).copied().unwrap_or(0)).collect()
    }

    fn check(&self) {
        let size = self.cache.overlay(INO).map_or(self.stored.len() as u64, |o| o.size);
        assert_eq!(size, self.now.len() as u64, "size");
        assert!(self.read(0..size) == self.now, "content");
        let stats = self.cache.stats();
        let all = self.cache.entry(INO);
        let state = all.state.lock();
        assert_eq!(stats.bytes, state.present.bytes() + state.dirty_bytes());
        assert_eq!(stats.dirty_bytes, state.dirty_bytes());
    }

    fn flush(&mut self, fail: bool, between: bool) {
        let entry = self.cache.entry(INO);
        let Some(snapshot) = entry.snapshot() else { return };
        let mut content = self.stored.clone();
        content.resize(snapshot.size as usize, 0);
        for range in &snapshot.zero {
            let end = range.end.min(snapshot.size);
            content
                .get_mut(range.start as usize..end.max(range.start) as usize)
                .into_iter()
                .for_each(|p| p.fill(0));
        }
        for range in &snapshot.data {
            let part = &mut content[range.start as usize..range.end as usize];
            assert!(entry.read_local(range.start, part).expect("read"));
        }
        assert!(content == self.now, "the snapshot over the stored content is the content");
        if between {
            self.write(10, 300, 0xee);
        }
        if fail {
            entry.flush_failed(snapshot.generation);
            return;
        }
        let settled = entry.unchanged_since(snapshot.generation);
        assert_eq!(settled, !between);
        self.stored = content;
        self.flushed = snapshot.generation;
        entry.stored(snapshot.generation).expect("stored");
        assert_eq!(entry.is_dirty(), !settled);
        self.cache.release_settled().expect("release");
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Write(at, len, byte) => self.write(at, len, byte),
            Step::Truncate(size) => {
                self.begin().truncate(size, NOW).expect("truncate");
                self.now.resize(size as usize, 0);
            }
            Step::Punch(at, len) => {
                self.begin().punch(at..at + len, NOW).expect("punch");
                let end = ((at + len) as usize).min(self.now.len());
                self.now.get_mut(at as usize..end.max(at as usize)).into_iter().for_each(|p| p.fill(0));
            }
            Step::Flush { fail, between } => self.flush(fail, between),
            Step::Fill(at, len) => {
                let entry = self.cache.entry(INO);
                let token = entry.fill_token();
                entry.fill(token, at, &self.stored_part(at..at + len));
            }
            Step::Evict => self.cache.drop_clean().expect("drop_clean"),
            Step::Death => {
                let (cache, recovery) = open_at(self.dir.path(), BOOT, self.flushed);
                assert!(recovery.lost.is_empty());
                self.cache = cache;
            }
            Step::Sync => self.cache.entry(INO).sync().expect("sync"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// At every moment, also after the daemon's death, overlay over stored content is the content.
    #[test]
    fn an_entry_agrees_with_bytes_in_memory(steps in steps()) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
            world.check();
        }
    }

    /// After a reboot what was synced is there, what was not is the older state, and nothing else is shown.
    #[test]
    fn a_reboot_keeps_what_was_synced(before in steps(), after in steps()) {
        let mut world = World::new();
        before.iter().for_each(|step| world.step(step));
        world.cache.entry(INO).sync().expect("sync");
        let (synced, flushed, stored) = (world.now.clone(), world.flushed, world.stored.clone());
        // Only changes that leave the synced bytes on the disk as they are: an overwrite may tear.
        for step in after.iter().filter(|s| matches!(s, Step::Truncate(_) | Step::Punch(..) | Step::Fill(..))) {
            world.step(step);
        }
        world.cache = open_at(world.dir.path(), OTHER_BOOT, flushed).0;
        world.now = synced;
        world.stored = stored;
        world.check();
    }
}

#[test]
fn a_clean_stop_keeps_clean_data_over_a_reboot_and_no_other_stop_does() {
    for clean in [true, false] {
        let mut world = World::new();
        world.write(0, 5000, 7);
        world.flush(false, false);
        if clean {
            world.cache.close().expect("close");
        }
        world.cache = open_at(world.dir.path(), OTHER_BOOT, world.flushed).0;
        assert_eq!(world.cache.stats().bytes > 0, clean);
        world.check();
    }
}

/// A flush whose commit a power cut took back: the synced overlay is still there.
#[test]
fn a_commit_that_was_lost_leaves_the_synced_data() {
    let mut world = World::new();
    world.write(0, 5000, 7);
    let entry = world.cache.entry(INO);
    entry.sync().expect("sync");
    let snapshot = entry.snapshot().expect("dirty");
    entry.stored(snapshot.generation).expect("stored");
    // The metadata was not synced, so nothing was released.
    assert!(world.cache.make_room(0));
    world.cache.drop_clean().expect("drop_clean");
    let (cache, recovery) = open_at(world.dir.path(), OTHER_BOOT, 0);
    assert_eq!(recovery.dirty, [INO]);
    world.cache = cache;
    world.check();
}

#[test]
fn a_torn_tail_costs_only_what_is_torn() {
    let mut world = World::new();
    world.write(0, 100, 1);
    world.write(100, 100, 2);
    let journal = std::fs::read_dir(world.dir.path().join("journal")).expect("journal").next();
    let path = journal.expect("a segment").expect("entry").path();
    let whole = std::fs::read(&path).expect("read");
    for cut in 0..record::RECORD {
        std::fs::write(&path, &whole[..whole.len() - cut]).expect("write");
        let copy = tempfile::tempdir().expect("tempdir");
        let from = format!("{}/.", world.dir.path().display());
        let copied = std::process::Command::new("cp").args(["-a", &from]).arg(copy.path()).status();
        assert!(copied.expect("cp").success());
        let (cache, recovery) = open_at(copy.path(), BOOT, 0);
        assert_eq!(recovery.dirty, [INO]);
        let size = cache.overlay(INO).expect("dirty").size;
        assert_eq!(size, if cut == 0 { 200 } else { 100 }, "cut of {cut}");
    }
}

#[test]
fn a_removed_dirty_file_is_called_lost_and_a_gone_inode_is_dropped() {
    let mut world = World::new();
    world.write(0, 5000, 7);
    std::fs::remove_file(world.cache.shared.files.path(files::Place::Dirty, INO)).expect("remove");
    let (_, recovery) = open_at(world.dir.path(), BOOT, 0);
    assert_eq!((recovery.lost, recovery.dirty), (vec![INO], vec![]));

    let mut world = World::new();
    world.write(0, 5000, 7);
    let (cache, recovery) = Cache::open(world.dir.path(), 1, BOOT, &|_| StoredState::Gone).expect("open");
    assert!(recovery.dirty.is_empty() && recovery.lost.is_empty());
    assert!(cache.shared.files.list(files::Place::Dirty).expect("list").is_empty());
}

#[test]
fn a_journal_of_a_newer_version_is_refused() {
    let world = World::new();
    let path = world.dir.path().join("journal/1");
    let mut bytes = std::fs::read(&path).expect("read");
    bytes[8] = 2;
    std::fs::write(&path, bytes).expect("write");
    let refused = Cache::open(world.dir.path(), 1, BOOT, &|_| StoredState::Gone);
    assert!(matches!(refused, Err(CacheError::Journal { .. })));
}

/// A flush that is given up leaves what was written meanwhile in the next segment too: it was once left
/// out, and lost at the next start.
#[test]
fn what_came_during_a_given_up_flush_is_in_a_new_segment() {
    let mut world = World::new();
    world.write(0, 5000, 1);
    let entry = world.cache.entry(INO);
    let snapshot = entry.snapshot().expect("dirty");
    world.write(10_000, 5000, 2);
    entry.flush_failed(snapshot.generation);
    world.cache.close().expect("close");
    let (cache, recovery) = open_at(world.dir.path(), BOOT, 0);
    assert_eq!(recovery.dirty, [INO]);
    world.cache = cache;
    world.check();
}

/// Readers, fillers and an evictor at the same time: whatever is read is what is stored.
#[test]
fn a_reader_that_races_with_eviction_never_sees_a_hole() {
    let dir = tempfile::tempdir().expect("tempdir");
    let cache = Cache::open(dir.path(), 200 << 10, BOOT, &|_| StoredState::Flushed(1)).expect("open").0;
    let content = |ino: u64, at: u64| (ino * 31 + at / 512) as u8 | 1;
    let threads: Vec<_> = (0..4u64)
        .map(|t| {
            let cache = Arc::clone(&cache);
            std::thread::spawn(move || {
                for i in 0..2000u64 {
                    let ino = (t + i * 7) % 8 + 1;
                    let at = (i * 4096 * 13) % (128 << 10);
                    let entry = cache.entry(Ino(ino));
                    let mut buf = vec![0; 4096];
                    let local = entry.plan(at..at + 4096).iter().all(|p| p.source == Source::Local);
                    if local && entry.read_local(at, &mut buf).expect("read_local") {
                        let right = buf.iter().zip(at..).all(|(b, at)| *b == content(ino, at));
                        assert!(right, "inode {ino} at {at}");
                    } else {
                        let token = entry.fill_token();
                        let data: Vec<u8> = (at..at + 4096).map(|at| content(ino, at)).collect();
                        entry.fill(token, at, &data);
                    }
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|t| t.join().expect("thread"));
    assert!(cache.stats().bytes <= 200 << 10);
}

#[test]
fn a_fill_that_began_before_a_flush_or_a_pause_is_not_taken() {
    let mut world = World::new();
    let entry = world.cache.entry(INO);
    let token = entry.fill_token();
    world.write(0, 4096, 1);
    world.flush(false, false);
    world.cache.drop_clean().expect("drop_clean");
    entry.fill(token, 0, &[9; 4096]);
    assert_eq!(entry.plan(0..4096)[0].source, Source::Stored);
    let token = entry.fill_token();
    drop(entry.pause_fills(0..4096).expect("pause"));
    entry.fill(token, 0, &[9; 4096]);
    assert_eq!(entry.plan(0..4096)[0].source, Source::Stored);
    assert!(RangeSet::new().is_empty());
}
