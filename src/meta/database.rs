//! [`Meta`]: what the rest of the program holds, and how its parts are wired.

use super::cache::{Caches, NameProbe};
use super::durable::Wal;
use super::error::MetaError;
use super::group::{Queue, Writer};
use super::job::{JobOf, Slot};
use super::local::Local;
use super::readers::Readers;
use super::view::{Tx, View};
use super::{Identity, Inode, Totals};
use crate::types::Ino;
use parking_lot::Mutex;
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;

/// The metadata database. Share it by `Arc`.
///
/// Lock order: `local`; `wal.synced`; `checkpointer`; `writer`; cache shards; `totals`. The queue's and
/// the readers' locks are held for moments, and nothing is called under them.
pub struct Meta {
    pub(super) path: PathBuf,
    pub(super) identity: Identity,
    pub(super) queue: Queue,
    pub(super) writer: Mutex<Writer>,
    pub(super) readers: Readers,
    pub(super) caches: Caches,
    /// As of the last commit.
    pub(super) totals: Mutex<Totals>,
    /// Commits that changed anything, since the open.
    pub(super) committed: AtomicU64,
    pub(super) wal: Wal,
    /// A connection of its own, so that copying the WAL does not stop the writer.
    pub(super) checkpointer: Mutex<Connection>,
    pub(super) local: Mutex<Local>,
}

impl Meta {
    /// Who it belongs to.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Runs `f` in a transaction (group commit) and answers after the commit. `f` may run on another
    /// thread (the group's leader). It must not block, and must not call `Meta` again.
    pub fn write<T, E, F>(&self, f: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<MetaError> + Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        let slot = Slot::new();
        let leads = self.queue.push(Box::new(JobOf::new(f, slot.clone())));
        if !leads && let Some(answer) = slot.wait() {
            return answer;
        }
        self.lead();
        loop {
            if let Some(answer) = slot.wait() {
                return answer;
            }
        }
    }

    /// Runs `f` on a snapshot that includes every commit answered before.
    pub fn read<T, E: From<MetaError>>(&self, f: impl FnOnce(&View<'_>) -> Result<T, E>) -> Result<T, E> {
        self.readers.snapshot(f)
    }

    /// An inode's row, from memory when it is in use (a bounded cache that commits keep true).
    pub fn inode(&self, ino: Ino) -> Result<Option<Inode>, MetaError> {
        let missed = match self.caches.inodes.get(&ino) {
            Ok(row) => return Ok(Some(row)),
            Err(missed) => missed,
        };
        let row = self.readers.single(|view| view.inode(ino))?;
        if let Some(row) = row {
            self.caches.inodes.install(missed, ino, row);
        }
        Ok(row)
    }

    /// What a name leads to, from memory when it is in use.
    pub fn lookup(&self, parent: Ino, name: &[u8]) -> Result<Option<Ino>, MetaError> {
        let Some(probe) = NameProbe::new(parent, name) else { return Ok(None) };
        let missed = match self.caches.names.get(probe.key()) {
            Ok(ino) => return Ok(Some(ino)),
            Err(missed) => missed,
        };
        let ino = self.readers.single(|view| view.lookup(parent, name))?;
        if let Some(ino) = ino {
            self.caches.names.install(missed, probe.key().into(), ino);
        }
        Ok(ino)
    }

    /// Totals now.
    pub fn totals(&self) -> Result<Totals, MetaError> {
        Ok(*self.totals.lock())
    }
}
