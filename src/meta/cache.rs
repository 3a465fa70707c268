//! Inode rows and names in memory: bounded, least recently used first out, kept true by commits.
//!
//! What holds: a reader never sees a row older than the newest commit that was answered, nor one
//! newer than what `Meta::read` sees. Before the COMMIT the writer takes the entries that it changes
//! out and blocks their shards; after it, it raises the shards' versions and puts the new rows in. A
//! reader that missed installs what it read only if its shard is not blocked and has the version
//! that it had before the read began.
//!
//! Lock order: the writer, then one shard at a time; nothing is called while a shard is locked.

use super::Inode;
use crate::types::Ino;
use lru::LruCache;
use parking_lot::Mutex;
use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash, RandomState};

/// Shards of each cache, so that FUSE threads seldom meet.
const SHARDS: usize = 16;

/// Rows of a shard: 131,072 in all, about 20 MB.
const INODES_PER_SHARD: usize = 8192;

/// Names of a shard: 131,072 in all, about 20 MB with names of usual length.
const NAMES_PER_SHARD: usize = 8192;

/// The longest name that can be in a directory; longer ones are not looked for in the cache.
const NAME_MAX: usize = 255;

/// What a transaction did to something that may be cached.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// The row now; `None`: deleted.
    Inode(Ino, Option<Inode>),
    /// Where the name leads now; `None`: removed.
    Name(Ino, Box<[u8]>, Option<Ino>),
}

/// Both caches.
#[derive(Debug)]
pub(super) struct Caches {
    pub inodes: Sharded<Ino, Inode>,
    pub names: Sharded<NameKey, Ino>,
}

/// The directory's number (8 bytes, little-endian), then the name: one slice, so that a look-up
/// borrows its key from the stack.
pub(super) type NameKey = Box<[u8]>;

/// A name's key on the stack.
pub(super) struct NameProbe {
    bytes: [u8; 8 + NAME_MAX],
    len: usize,
}

impl NameProbe {
    /// `None`: no such name can exist.
    pub fn new(parent: Ino, name: &[u8]) -> Option<NameProbe> {
        let len = 8 + name.len();
        let mut bytes = [0; 8 + NAME_MAX];
        bytes.get_mut(8..len)?.copy_from_slice(name);
        bytes[..8].copy_from_slice(&parent.0.to_le_bytes());
        Some(NameProbe { bytes, len })
    }

    pub fn key(&self) -> &[u8] {
        // `len` is at most the array's length: `get_mut` in `new` said so.
        &self.bytes[..self.len]
    }
}

impl Caches {
    pub fn new() -> Caches {
        Caches { inodes: Sharded::new(INODES_PER_SHARD), names: Sharded::new(NAMES_PER_SHARD) }
    }

    /// Before the COMMIT of `changes`.
    pub fn block(&self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Inode(ino, _) => self.inodes.block(ino),
                Change::Name(parent, name, _) => {
                    if let Some(probe) = NameProbe::new(*parent, name) {
                        self.names.block(probe.key());
                    }
                }
            }
        }
    }

    /// After it; `committed` says how it went.
    pub fn release(&self, changes: Vec<Change>, committed: bool) {
        for change in changes {
            match change {
                Change::Inode(ino, row) => self.inodes.release(ino, row.filter(|_| committed)),
                Change::Name(parent, name, ino) => {
                    if let Some(probe) = NameProbe::new(parent, &name) {
                        self.names.release(probe.key().into(), ino.filter(|_| committed));
                    }
                }
            }
        }
    }
}

/// What a shard was like when a look-up missed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Missed {
    version: u64,
}

/// A cache in shards.
#[derive(Debug)]
pub(super) struct Sharded<K: Hash + Eq, V> {
    shards: Vec<Mutex<Shard<K, V>>>,
    hasher: RandomState,
    capacity: usize,
}

#[derive(Debug)]
struct Shard<K: Hash + Eq, V> {
    rows: LruCache<K, V>,
    /// Raised by each commit that touches the shard.
    version: u64,
    /// Changes whose COMMIT is under way.
    blocked: usize,
}

impl<K: Hash + Eq, V: Copy> Sharded<K, V> {
    pub fn new(capacity: usize) -> Sharded<K, V> {
        // Unbounded for the crate, which would reserve all of it at once; bounded in `put`.
        let shard = || Mutex::new(Shard { rows: LruCache::unbounded(), version: 0, blocked: 0 });
        Sharded { shards: (0..SHARDS).map(|_| shard()).collect(), hasher: RandomState::new(), capacity }
    }

    fn shard<Q: Hash + ?Sized>(&self, key: &Q) -> &Mutex<Shard<K, V>> {
        // The top bits: the map inside may use the same hash function's low ones. The remainder is
        // below SHARDS, which is how many there are.
        &self.shards[(self.hasher.hash_one(key) >> 32) as usize % SHARDS]
    }

    /// The value, or what to give to `install` after reading it.
    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Result<V, Missed>
    where
        K: Borrow<Q>,
    {
        let mut shard = self.shard(key).lock();
        match shard.rows.get(key) {
            Some(value) => Ok(*value),
            None => Err(Missed { version: shard.version }),
        }
    }

    /// Keeps what a reader read after it missed, unless a commit came in between.
    pub fn install(&self, missed: Missed, key: K, value: V) {
        let mut shard = self.shard(&key).lock();
        if shard.blocked == 0 && shard.version == missed.version {
            shard.rows.put(key, value);
            self.bound(&mut shard);
        }
    }

    fn block<Q: Hash + Eq + ?Sized>(&self, key: &Q)
    where
        K: Borrow<Q>,
    {
        let mut shard = self.shard(key).lock();
        shard.blocked += 1;
        shard.rows.pop(key);
    }

    /// A later change of the same key in the same commit comes later, and wins: a removal too.
    fn release(&self, key: K, value: Option<V>) {
        let mut shard = self.shard(&key).lock();
        shard.blocked -= 1;
        shard.version += 1;
        match value {
            Some(value) => {
                shard.rows.put(key, value);
                self.bound(&mut shard);
            }
            None => {
                shard.rows.pop(&key);
            }
        }
    }

    /// Forgets a key, as if it had been the least recently used.
    #[cfg(test)]
    pub fn evict(&self, key: &K) {
        self.shard(key).lock().rows.pop(key);
    }

    fn bound(&self, shard: &mut Shard<K, V>) {
        while shard.rows.len() > self.capacity {
            shard.rows.pop_lru();
        }
    }
}
