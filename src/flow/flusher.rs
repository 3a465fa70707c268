//! The flusher's thread: one batch after the other, and dead packs in between.
//!
//! Because batches and removals are one thread's work, no pack is removed while a flush could name it.

use super::batch::Batch;
use super::engine::Flow;
use super::schedule::Work;
use crate::meta::MetaError;
use crate::types::Ino;
use std::sync::Arc;

/// What a drain tries for one file that can't be stored.
const DRAIN_ROUNDS: usize = 5;

pub(super) fn run(flow: &Arc<Flow>) {
    loop {
        match flow.schedule.next(|| flow.cache.dirty()) {
            Work::Batch { inos, for_room } => flow.run_batch(inos, for_room),
            Work::Collect => flow.collect_dead(),
            Work::Stop { drain } => {
                if drain {
                    flow.drain();
                }
                flow.schedule.end();
                return;
            }
        }
    }
}

impl Flow {
    fn run_batch(self: &Arc<Self>, inos: Vec<Ino>, for_room: bool) {
        let number = self.schedule.batch_begins();
        let mut batch = Batch::new(self, number);
        for ino in inos {
            if self.is_hurried() {
                batch.give_up(ino);
            } else if !for_room && self.is_nameless(ino) {
                // Open and unlinked: never sent, unless it is what fills the cache.
                batch.skip(ino);
            } else {
                batch.add(ino);
            }
        }
        batch.finish();
        // Also those are answered for whom there was nothing to do.
        self.schedule.stored(number, &[]);
        self.after_batch();
    }

    /// Runs what makes room; on a full disk once more, with the ballast given up.
    pub(super) fn making_room<T>(
        &self,
        mut work: impl FnMut() -> Result<T, MetaError>,
    ) -> Result<T, MetaError> {
        match work() {
            Err(MetaError::Full) if self.cache.release_ballast() => work(),
            done => done,
        }
    }

    fn is_nameless(&self, ino: Ino) -> bool {
        self.meta.inode(ino).is_ok_and(|row| row.is_none_or(|r| r.nlink == 0))
    }

    fn after_batch(self: &Arc<Self>) {
        while self.meta.index_step().unwrap_or_else(|error| {
            tracing::warn!(%error, "the de-duplication index is behind");
            false
        }) {}
        self.collect_dead();
        self.reaper.look();
    }

    /// What was committed is made durable; then its data may be evicted, and those who wait get room.
    pub(super) fn release(&self) {
        let released = self.meta.sync().map_err(|e| e.to_string());
        let released = released.and_then(|()| self.cache.release_settled().map_err(|e| e.to_string()));
        if let Err(error) = released {
            tracing::warn!(%error, "stored data stays in the cache for now");
        }
        self.cache.restore_ballast();
        self.schedule.serve_room(|bytes| self.cache.make_room(bytes));
    }

    fn drain(self: &Arc<Self>) {
        for _ in 0..DRAIN_ROUNDS {
            let dirty: Vec<Ino> =
                self.cache.dirty().into_iter().filter(|ino| !self.is_nameless(*ino)).collect();
            if dirty.is_empty() || self.is_hurried() {
                break;
            }
            self.run_batch(dirty, false);
        }
        self.collect_dead();
    }
}
