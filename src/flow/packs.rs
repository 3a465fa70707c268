//! Packs on their way out: in the making, being put, recorded.
//!
//! Order: a pack's object is stored, then one transaction names its chunks. A number that was reserved and
//! not recorded is never passed by the mark, so that recovery finds what was stored in between.

use super::FlowError;
use super::engine::Flow;
use crate::meta::{ChunkNo, NewChunk};
use crate::pack::{PackBuilder, PackEntry};
use crate::store::retry;
use crate::types::{ChunkId, Epoch, PackName, WriterId};
use crate::vault::VaultError;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;

/// Packs that are being put at a time: with the one in the making this bounds the memory of a flush.
const IN_FLIGHT: usize = 6;

/// Where a chunk of this batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Recorded.
    Stored(ChunkNo),
    /// In the nth pack of the batch, not yet recorded.
    InPack(usize),
}

struct Put {
    index: usize,
    name: PackName,
    size: u64,
    entries: Vec<PackEntry>,
    result: Result<(), VaultError>,
}

/// The packs of one batch.
pub(super) struct Packs {
    flow: Arc<Flow>,
    epoch: Epoch,
    writer: WriterId,
    building: PackBuilder,
    /// The number in the batch of the pack in the making.
    current: usize,
    in_flight: usize,
    /// Reserved sequence numbers that are not recorded.
    reserved: BTreeSet<u64>,
    places: HashMap<ChunkId, Place>,
    sender: mpsc::Sender<Put>,
    receiver: mpsc::Receiver<Put>,
    /// No more can be put: the mount is stopping in a hurry, or the database failed.
    pub failed: Option<String>,
}

impl Packs {
    pub fn new(flow: &Arc<Flow>) -> Packs {
        let (sender, receiver) = mpsc::channel();
        let (epoch, writer) = flow.options.writer.unwrap_or((Epoch(0), WriterId(0)));
        Packs {
            flow: Arc::clone(flow),
            epoch,
            writer,
            building: PackBuilder::new(),
            current: 0,
            in_flight: 0,
            reserved: BTreeSet::new(),
            places: HashMap::new(),
            sender,
            receiver,
            failed: None,
        }
    }

    /// Where a chunk is, if this batch has it.
    pub fn place(&self, id: &ChunkId) -> Option<Place> {
        self.places.get(id).copied()
    }

    /// Names a chunk that was stored before.
    pub fn known(&mut self, id: ChunkId, no: ChunkNo) {
        self.places.insert(id, Place::Stored(no));
    }

    /// Adds a sealed chunk.
    pub fn push(&mut self, id: ChunkId, size: u32, frame: &[u8]) {
        let full = self.flow.vault.parameters().pack_size as usize;
        if !self.building.is_empty() && self.building.len() + frame.len() > full {
            self.send();
        }
        self.building.push(id, size, frame);
        self.places.insert(id, Place::InPack(self.current));
        if self.building.len() >= full {
            self.send();
        }
    }

    /// Puts the pack in the making; waits while too many are under way.
    pub fn send(&mut self) {
        if self.building.is_empty() || self.failed.is_some() {
            return;
        }
        while self.in_flight >= IN_FLIGHT.min(self.flow.options.connections.max(1)) {
            self.take(true);
        }
        let seq = self.flow.schedule.next_pack();
        self.reserved.insert(seq);
        let name = PackName { epoch: self.epoch, seq, writer: self.writer };
        let building = std::mem::take(&mut self.building);
        let entries = building.entries().to_vec();
        let body = building.finish(&self.flow.vault, name);
        let (flow, sender, index) = (Arc::clone(&self.flow), self.sender.clone(), self.current);
        self.current += 1;
        self.in_flight += 1;
        let size = body.len() as u64;
        self.flow.spawn(async move {
            let result = flow.put_patiently(name, body).await;
            // Nobody listens any more only when the batch was given up.
            let _ = sender.send(Put { index, name, size, entries, result });
        });
    }

    /// Records packs that have arrived; with `wait` at least one.
    pub fn take(&mut self, wait: bool) {
        let mut wait = wait && self.in_flight > 0;
        loop {
            let put = if wait { self.receiver.recv().ok() } else { self.receiver.try_recv().ok() };
            let Some(put) = put else { return };
            wait = false;
            self.in_flight -= 1;
            if let Err(e) = put.result {
                self.failed = Some(e.to_string());
                continue;
            }
            if let Err(e) = self.record(put.index, put.name, put.size, put.entries) {
                self.failed = Some(e.to_string());
            }
        }
    }

    /// Waits until everything is recorded.
    pub fn finish(&mut self) {
        self.send();
        while self.in_flight > 0 {
            self.take(true);
        }
    }

    fn record(
        &mut self,
        index: usize,
        name: PackName,
        size: u64,
        entries: Vec<PackEntry>,
    ) -> Result<(), FlowError> {
        self.reserved.remove(&name.seq);
        let lowest = self.reserved.first().copied().unwrap_or_else(|| self.flow.schedule.packs_reserved());
        let chunks: Vec<NewChunk> = entries.iter().map(new_chunk).collect();
        let chunks: Arc<[NewChunk]> = chunks.into();
        let insert = || {
            let chunks = Arc::clone(&chunks);
            self.flow.meta.write(move |tx| tx.insert_pack(name, size, &chunks, lowest))
        };
        let numbers = self.flow.making_room(insert);
        let numbers = numbers.inspect_err(|_| {
            self.reserved.insert(name.seq);
        })?;
        for (entry, no) in entries.iter().zip(numbers) {
            if self.places.get(&entry.id) == Some(&Place::InPack(index)) {
                self.places.insert(entry.id, Place::Stored(no));
            }
        }
        self.flow.counters.uploaded_packs.fetch_add(1, Ordering::Relaxed);
        self.flow.counters.uploaded_bytes.fetch_add(size, Ordering::Relaxed);
        Ok(())
    }
}

pub(super) fn new_chunk(entry: &PackEntry) -> NewChunk {
    NewChunk { id: entry.id, offset: entry.offset, frame_len: entry.frame_len, size: entry.size }
}

impl Flow {
    /// Until it is stored: the data is safe in the cache, so there is no reason to give up but the end of
    /// the mount. A put whose answer was lost is repeated with the same bytes under the same name.
    async fn put_patiently(&self, name: PackName, body: bytes::Bytes) -> Result<(), VaultError> {
        let mut attempt = 0;
        loop {
            match self.vault.put_pack(name, body.clone()).await {
                Ok(()) => {
                    self.outage.worked();
                    return Ok(());
                }
                Err(e) if self.is_hurried() => return Err(e),
                Err(e) => {
                    self.outage.failed(&e);
                    tokio::time::sleep(retry::pause(attempt)).await;
                    attempt += 1;
                }
            }
        }
    }
}
