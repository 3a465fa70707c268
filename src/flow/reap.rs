//! What has no name and no user goes: extents in bounded steps, then the row, then the cache file.

use super::FlowError;
use super::engine::Flow;
use crate::types::Ino;
use parking_lot::{Condvar, Mutex};
use std::collections::HashSet;
use std::sync::Arc;

/// Extents dropped in one transaction.
const STEP: usize = 1000;
/// Inodes between two syncs of the metadata.
const GROUP: usize = 1000;

#[derive(Debug, Default)]
struct Mail {
    inos: HashSet<Ino>,
    /// Look through the list of orphans.
    look: bool,
    stop: Option<bool>,
}

#[derive(Debug, Default)]
pub(super) struct Inbox {
    mail: Mutex<Mail>,
    came: Condvar,
}

impl Inbox {
    /// This inode may have become nobody's. Asking twice is as good as once.
    pub fn send(&self, ino: Ino) {
        self.mail.lock().inos.insert(ino);
        self.came.notify_all();
    }

    /// Some inode may have.
    pub fn look(&self) {
        self.mail.lock().look = true;
        self.came.notify_all();
    }

    pub fn stop(&self, drain: bool) {
        self.mail.lock().stop = Some(drain);
        self.came.notify_all();
    }

    /// The next inodes to look at, and whether this is the end.
    fn wait(&self) -> (Vec<Ino>, bool, Option<bool>) {
        let mut mail = self.mail.lock();
        while mail.inos.is_empty() && !mail.look && mail.stop.is_none() {
            self.came.wait(&mut mail);
        }
        let some: Vec<Ino> = mail.inos.iter().copied().take(GROUP).collect();
        some.iter().for_each(|ino| {
            mail.inos.remove(ino);
        });
        (some, std::mem::take(&mut mail.look), mail.stop)
    }
}

pub(super) fn run(flow: &Arc<Flow>) {
    // What a crash left is nobody's: nothing is pinned yet that has no name.
    flow.reaper.look();
    loop {
        let (mut inos, look, stop) = flow.reaper.wait();
        if stop == Some(false) {
            return;
        }
        if look || stop.is_some() {
            inos.extend(flow.meta.read(|v| v.orphans(GROUP)).unwrap_or_default());
        }
        let reaped = flow.reap(&inos).unwrap_or_else(|error| {
            tracing::warn!(%error, "removed files are cleaned up later");
            0
        });
        if reaped > 0 {
            flow.schedule.collect();
            flow.reaper.look();
        } else if stop.is_some() {
            // Nothing left, or it fails: then the next mount does it.
            return;
        }
    }
}

impl Flow {
    fn is_reapable(&self, ino: Ino) -> bool {
        !self.pins.has(ino) && self.meta.read(|v| v.is_orphan(ino)).unwrap_or(false)
    }

    /// Removes those of the inodes that nobody knows; how many.
    fn reap(&self, inos: &[Ino]) -> Result<usize, FlowError> {
        let mut gone = Vec::new();
        for ino in inos.iter().copied().collect::<HashSet<_>>() {
            if !self.is_reapable(ino) {
                continue;
            }
            while self.making_room(|| self.meta.write(move |tx| tx.drop_extents(ino, STEP)))? {}
            self.making_room(|| self.meta.write(move |tx| tx.delete_inode(ino)))?;
            gone.push(ino);
        }
        if !gone.is_empty() {
            // Until then a power cut could bring the inode back, and it would want its data.
            self.meta.sync()?;
        }
        gone.iter().try_for_each(|ino| self.cache.forget(*ino))?;
        Ok(gone.len())
    }
}
