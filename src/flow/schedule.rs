//! When which inode is to be sent, and who waits for what (design.md, decision 16).

use super::{Done, FlowError};
use crate::types::Ino;
use parking_lot::{Condvar, Mutex};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// When a file is due, others that are due within this part of the delay go along and share its packs.
const ALONG: u32 = 4;
/// Between two looks for room when there is nothing to send.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(50);
/// After a batch that failed, the next try waits.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug)]
struct Times {
    first: Instant,
    last: Instant,
}

struct FlushWait {
    /// Inodes that are still to be stored by a batch that began after the wait did.
    left: HashSet<Ino>,
    /// The first batch that counts.
    from_batch: u64,
    done: Option<Done<()>>,
}

struct RoomWait {
    number: u64,
    bytes: u64,
    done: Done<()>,
}

#[derive(Default)]
struct State {
    dirty: HashMap<Ino, Times>,
    flushes: Vec<FlushWait>,
    room: VecDeque<RoomWait>,
    next_room: u64,
    /// The batch that runs or ran last.
    batch: u64,
    not_before: Option<Instant>,
    gc: bool,
    stop: Option<bool>,
}

pub(super) struct Schedule {
    delay: Duration,
    limit: Duration,
    state: Mutex<State>,
    changed: Condvar,
    /// The next sequence number of a pack of this epoch.
    next_pack: AtomicU64,
}

/// What the flusher is to do.
pub(super) enum Work {
    /// Send these (of all that is dirty, when there is no room); nameless ones only when there is no room.
    Batch { inos: Vec<Ino>, for_room: bool },
    /// Remove dead packs.
    Collect,
    /// End; after sending everything that is dirty, or at once.
    Stop { drain: bool },
}

impl Schedule {
    pub fn new(delay: Duration, limit: Duration) -> Schedule {
        Schedule {
            delay,
            limit,
            state: Mutex::default(),
            changed: Condvar::new(),
            next_pack: AtomicU64::new(0),
        }
    }

    /// Reserves a sequence number for a pack.
    pub fn next_pack(&self) -> u64 {
        self.next_pack.fetch_add(1, Ordering::Relaxed)
    }

    /// Numbers below this are reserved.
    pub fn packs_reserved(&self) -> u64 {
        self.next_pack.load(Ordering::Relaxed)
    }

    /// An inode has new content.
    pub fn touched(&self, ino: Ino) {
        let now = Instant::now();
        let mut state = self.state.lock();
        let idle = state.dirty.is_empty();
        state.dirty.entry(ino).and_modify(|t| t.last = now).or_insert(Times { first: now, last: now });
        // Otherwise the flusher sleeps no longer than until something is due, and looks again then.
        if idle {
            self.changed.notify_all();
        }
    }

    pub fn wake(&self) {
        self.changed.notify_all();
    }

    /// Dead packs may be there.
    pub fn collect(&self) {
        self.state.lock().gc = true;
        self.changed.notify_all();
    }

    pub fn stop(&self, drain: bool) {
        self.state.lock().stop = Some(drain);
        self.changed.notify_all();
    }

    pub fn wait_for(&self, inos: Vec<Ino>, done: Done<()>) {
        let mut state = self.state.lock();
        let from_batch = state.batch + 1;
        state.flushes.push(FlushWait { left: inos.into_iter().collect(), from_batch, done: Some(done) });
        drop(state);
        self.changed.notify_all();
    }

    pub fn wait_for_room(&self, bytes: u64, done: Done<()>) -> u64 {
        let mut state = self.state.lock();
        state.next_room += 1;
        let number = state.next_room;
        state.room.push_back(RoomWait { number, bytes, done });
        drop(state);
        self.changed.notify_all();
        number
    }

    /// Takes a waiter for room back, if it is still waiting.
    pub fn give_up_room(&self, number: u64) -> Option<Done<()>> {
        let mut state = self.state.lock();
        let at = state.room.iter().position(|w| w.number == number)?;
        state.room.remove(at).map(|w| w.done)
    }

    pub fn wants_room(&self) -> bool {
        !self.state.lock().room.is_empty()
    }

    /// Lets those in whom there is room for, first come first.
    pub fn serve_room(&self, make_room: impl Fn(u64) -> bool) {
        loop {
            let Some(bytes) = self.state.lock().room.front().map(|w| w.bytes) else { return };
            if !make_room(bytes) {
                return;
            }
            let Some(waiter) = self.state.lock().room.pop_front() else { return };
            (waiter.done)(Ok(()));
        }
    }

    /// The next thing to do; waits until there is one.
    pub fn next(&self, all_dirty: impl Fn() -> Vec<Ino>) -> Work {
        let mut state = self.state.lock();
        loop {
            if let Some(drain) = state.stop {
                return Work::Stop { drain };
            }
            let now = Instant::now();
            let paused = state.not_before.filter(|t| *t > now);
            if paused.is_none() {
                if !state.room.is_empty() {
                    state.dirty.clear();
                    let inos = all_dirty();
                    if inos.is_empty() {
                        // Nothing to send makes room: what was stored is just being released, or it is too much.
                        self.changed.wait_for(&mut state, NO_ROOM_PAUSE);
                    }
                    return Work::Batch { inos, for_room: true };
                }
                let wanted: HashSet<Ino> =
                    state.flushes.iter().flat_map(|w| w.left.iter().copied()).collect();
                if !state.flushes.is_empty() || self.any_due(&state, now) {
                    let inos = self.take_due(&mut state, now, wanted);
                    return Work::Batch { inos, for_room: false };
                }
                if std::mem::take(&mut state.gc) {
                    return Work::Collect;
                }
            }
            match paused.or_else(|| self.earliest(&state)) {
                Some(at) => drop(self.changed.wait_until(&mut state, at)),
                None => self.changed.wait(&mut state),
            }
        }
    }

    fn due(&self, times: &Times) -> Instant {
        (times.last + self.delay).min(times.first + self.limit)
    }

    fn earliest(&self, state: &State) -> Option<Instant> {
        state.dirty.values().map(|t| self.due(t)).min()
    }

    fn any_due(&self, state: &State, now: Instant) -> bool {
        state.dirty.values().any(|t| self.due(t) <= now)
    }

    /// Takes what is due, or nearly, or waited for.
    fn take_due(&self, state: &mut State, now: Instant, wanted: HashSet<Ino>) -> Vec<Ino> {
        let until = now + self.delay / ALONG;
        let mut inos: Vec<Ino> = wanted.into_iter().collect();
        inos.extend(state.dirty.iter().filter(|(_, t)| self.due(t) <= until).map(|(ino, _)| *ino));
        inos.sort_unstable();
        inos.dedup();
        inos.iter().for_each(|ino| {
            state.dirty.remove(ino);
        });
        inos
    }

    /// A batch begins: its number.
    pub fn batch_begins(&self) -> u64 {
        let mut state = self.state.lock();
        state.batch += 1;
        state.batch
    }

    /// These are stored (or need not be), as of their state when this batch began or later.
    pub fn stored(&self, batch: u64, inos: &[Ino]) {
        let mut ready = Vec::new();
        {
            let mut state = self.state.lock();
            for wait in state.flushes.iter_mut().filter(|w| w.from_batch <= batch) {
                inos.iter().for_each(|ino| {
                    wait.left.remove(ino);
                });
                if wait.left.is_empty() {
                    ready.extend(wait.done.take());
                }
            }
            state.flushes.retain(|w| w.done.is_some());
        }
        ready.into_iter().for_each(|done| done(Ok(())));
    }

    /// These could not be stored: again, but not at once.
    pub fn failed(&self, inos: &[Ino]) {
        {
            let mut state = self.state.lock();
            state.not_before = Some(Instant::now() + AFTER_FAILURE);
        }
        inos.iter().for_each(|ino| self.touched(*ino));
    }

    /// Nobody is going to be served any more.
    pub fn end(&self) {
        let (flushes, room) = {
            let mut state = self.state.lock();
            (std::mem::take(&mut state.flushes), std::mem::take(&mut state.room))
        };
        flushes.into_iter().filter_map(|w| w.done).chain(room.into_iter().map(|w| w.done)).for_each(|done| {
            done(Err(FlowError::Stopped));
        });
    }
}
