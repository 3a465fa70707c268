//! One batch: many files' changes through shared packs into their commits.
//!
//! A file's commit comes when all its chunks are recorded; it is made under the entry's gate, so that
//! "nothing has changed since" stays true until the overlay has ended.

use super::FlowError;
use super::engine::Flow;
use super::packs::{Packs, Place};
use crate::cache::{Entry, FlushSnapshot};
use crate::meta::{ChunkNo, Extent, StoredContent};
use crate::types::{ByteRange, ChunkId, Ino};
use std::collections::VecDeque;
use std::sync::Arc;

/// While somebody waits for room, or after so many commits, what was stored is released in mid-batch.
const RELEASE_EVERY: usize = 256;

/// A file on its way.
struct FileFlush {
    entry: Arc<Entry>,
    snapshot: FlushSnapshot,
    replaced: Vec<ByteRange>,
    pieces: Vec<(ByteRange, ChunkId)>,
}

pub(super) struct Batch<'a> {
    flow: &'a Arc<Flow>,
    number: u64,
    packs: Packs,
    /// Cut, and waiting for their packs, in the order of their cutting.
    waiting: VecDeque<FileFlush>,
    commits: usize,
    /// Committed, and to be told of once that is durable.
    committed: Vec<Ino>,
}

impl<'a> Batch<'a> {
    pub fn new(flow: &'a Arc<Flow>, number: u64) -> Batch<'a> {
        Batch {
            flow,
            number,
            packs: Packs::new(flow),
            waiting: VecDeque::new(),
            commits: 0,
            committed: Vec::new(),
        }
    }

    /// Cuts a file and sends its chunks.
    pub fn add(&mut self, ino: Ino) {
        let entry = self.flow.cache.entry(ino);
        let Some(snapshot) = entry.snapshot() else { return self.skip(ino) };
        let generation = snapshot.generation;
        match self.cut(&entry, &snapshot) {
            Ok((replaced, pieces)) => {
                self.waiting.push_back(FileFlush { entry, snapshot, replaced, pieces });
                self.packs.take(false);
                self.commit_ready();
            }
            Err(error) => {
                tracing::warn!(%ino, %error, "could not be sent to the store; it is tried again");
                entry.flush_failed(generation);
                self.give_up(ino);
            }
        }
    }

    /// Need not be sent.
    pub fn skip(&self, ino: Ino) {
        self.flow.schedule.stored(self.number, &[ino]);
    }

    /// Can't be sent now.
    pub fn give_up(&self, ino: Ino) {
        self.flow.schedule.failed(&[ino]);
    }

    #[allow(clippy::type_complexity)] // the two halves of a FileFlush
    fn cut(
        &mut self,
        entry: &Arc<Entry>,
        snapshot: &FlushSnapshot,
    ) -> Result<(Vec<ByteRange>, Vec<(ByteRange, ChunkId)>), FlowError> {
        let flow = self.flow;
        let regions = flow.regions(entry, snapshot)?;
        let mut pieces = Vec::new();
        for region in regions.cut {
            flow.cut_region(entry, region, |range, content| {
                if let Some(reason) = &self.packs.failed {
                    return Err(FlowError::Unreadable { ino: entry.ino(), reason: reason.clone() });
                }
                let id = flow.namer.name(content);
                if self.packs.place(&id).is_none() {
                    match flow.meta.find_chunk(&id)? {
                        Some(row) => self.packs.known(id, row.no),
                        None => {
                            let frame = flow.vault.seal_chunk(&id, content, flow.options.compression);
                            self.packs.push(id, content.len() as u32, &frame);
                        }
                    }
                }
                pieces.push((range, id));
                Ok(())
            })?;
        }
        Ok((regions.replaced, pieces))
    }

    /// Sends the last pack, waits for all, commits the rest.
    pub fn finish(mut self) {
        self.packs.finish();
        self.commit_ready();
        for file in std::mem::take(&mut self.waiting) {
            file.entry.flush_failed(file.snapshot.generation);
            self.give_up(file.entry.ino());
        }
        self.release();
        if let Some(reason) = &self.packs.failed {
            tracing::warn!(%reason, "not everything could be sent to the store");
        }
    }

    /// Commits the files at the front whose chunks are all recorded.
    fn commit_ready(&mut self) {
        while let Some(extents) = self.waiting.front().and_then(|file| self.extents(file)) {
            let Some(file) = self.waiting.pop_front() else { return };
            let ino = file.entry.ino();
            match self.commit(&file, extents) {
                Ok(settled) => {
                    self.committed.push(ino);
                    if !settled {
                        self.flow.schedule.touched(ino);
                    }
                }
                Err(error) => {
                    tracing::warn!(%ino, %error, "a flush could not be committed; it is tried again");
                    file.entry.flush_failed(file.snapshot.generation);
                    self.give_up(ino);
                }
            }
            self.commits += 1;
            if self.commits.is_multiple_of(RELEASE_EVERY) || self.flow.schedule.wants_room() {
                self.release();
            }
        }
    }

    /// Makes what was committed durable, lets it be evicted, and tells those who wait for it.
    fn release(&mut self) {
        self.flow.release();
        self.flow.schedule.stored(self.number, &std::mem::take(&mut self.committed));
    }

    fn extents(&self, file: &FileFlush) -> Option<Vec<Extent>> {
        let number = |id: &ChunkId| -> Option<ChunkNo> {
            match self.packs.place(id) {
                Some(Place::Stored(no)) => Some(no),
                _ => None,
            }
        };
        let extent = |(range, id): &(ByteRange, ChunkId)| {
            Some(Extent { range: range.clone(), chunk: number(id)?, chunk_offset: 0 })
        };
        file.pieces.iter().map(extent).collect()
    }

    /// Whether nothing is newer than what was stored.
    fn commit(&self, file: &FileFlush, extents: Vec<Extent>) -> Result<bool, FlowError> {
        let FileFlush { entry, snapshot, .. } = file;
        let _gate = entry.gate();
        let settled = entry.unchanged_since(snapshot.generation);
        let content = StoredContent {
            ino: entry.ino(),
            generation: snapshot.generation,
            size: snapshot.size,
            mtime: snapshot.mtime,
            ctime: snapshot.ctime,
            replaced: file.replaced.clone(),
            extents,
            settled,
        };
        let content = Arc::new(content);
        let store = || {
            let content = Arc::clone(&content);
            self.flow.meta.write(move |tx| tx.store_content(&content))
        };
        if self.flow.making_room(store)? {
            entry.stored(snapshot.generation)?;
            return Ok(settled);
        }
        // Removed meanwhile: the reaper drops the rest.
        entry.flush_failed(snapshot.generation);
        Ok(true)
    }
}
