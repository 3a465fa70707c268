//! How often the kernel knows each inode: one that it knows is not reaped.

use crate::types::Ino;
use parking_lot::Mutex;
use std::collections::HashMap;

const SHARDS: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Pins {
    shards: [Mutex<HashMap<Ino, u64>>; SHARDS],
}

impl Pins {
    fn shard(&self, ino: Ino) -> &Mutex<HashMap<Ino, u64>> {
        &self.shards[ino.0 as usize % SHARDS] // proof: a remainder is below the length
    }

    pub fn add(&self, ino: Ino) {
        *self.shard(ino).lock().entry(ino).or_default() += 1;
    }

    /// Takes references back; whether none is left.
    pub fn take(&self, ino: Ino, count: u64) -> bool {
        let mut shard = self.shard(ino).lock();
        match shard.get_mut(&ino) {
            Some(have) if *have > count => {
                *have -= count;
                false
            }
            Some(_) => {
                shard.remove(&ino);
                true
            }
            None => true,
        }
    }

    pub fn has(&self, ino: Ino) -> bool {
        self.shard(ino).lock().contains_key(&ino)
    }

    /// The mount has ended: the kernel knows nothing any more.
    pub fn clear(&self) {
        self.shards.iter().for_each(|s| s.lock().clear());
    }
}
