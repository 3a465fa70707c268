//! Reading: overlay over stored content. What is local is answered at once, on the caller's thread; the
//! rest by a task, from the fetched bytes themselves, so that no cache has to be large enough for it.

use super::engine::Flow;
use super::{Done, FlowError, Stream};
use crate::cache::{Entry, FillToken, Piece, Source};
use crate::meta::{ChunkNo, ChunkRow, Extent};
use crate::types::{ByteRange, Ino};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;

/// A read that finds things changed under it starts over, so often.
const ATTEMPTS: usize = 8;
/// Extents that one read looks at in one step.
const STEP: usize = 1024;

/// Where stored bytes of a read come from.
struct Needed {
    extents: Vec<Extent>,
    rows: HashMap<ChunkNo, ChunkRow>,
}

/// Chunks as they came.
type Chunks = HashMap<ChunkNo, Bytes>;

fn part_of(buf: &mut [u8], base: u64, range: &ByteRange) -> std::ops::Range<usize> {
    let start = (range.start - base) as usize;
    start..(start + (range.end - range.start) as usize).min(buf.len())
}

impl Flow {
    /// The bytes of `range` (the caller has clipped it to the file's size): overlay over stored content.
    /// Answered at once when all is local.
    pub fn read(self: &Arc<Self>, ino: Ino, range: ByteRange, stream: &Arc<Stream>, done: Done<Vec<u8>>) {
        self.read_ahead(ino, &range, stream);
        let entry = self.cache.entry(ino);
        match read_local(&entry, &range) {
            Ok(Some(bytes)) => return done(Ok(bytes)),
            Ok(None) => {}
            Err(e) => return done(Err(e)),
        }
        let flow = Arc::clone(self);
        self.spawn(async move {
            let limit = flow.options.read_timeout;
            let read = tokio::time::timeout(limit, flow.read_through(ino, range)).await;
            done(read.unwrap_or(Err(FlowError::TimedOut(limit))));
        });
    }

    /// The same for whoever may wait.
    pub(super) async fn read_through(
        self: &Arc<Self>,
        ino: Ino,
        range: ByteRange,
    ) -> Result<Vec<u8>, FlowError> {
        let entry = self.cache.entry(ino);
        let mut gone = None;
        for _ in 0..ATTEMPTS {
            // Before the extents: a fill from older ones is then not taken.
            let token = entry.fill_token();
            let plan = entry.plan(range.clone());
            let needed = self.needed(ino, &plan)?;
            let rows: Vec<ChunkRow> = needed.rows.values().copied().collect();
            let mut chunks = Chunks::new();
            let mut again = false;
            for (no, answer) in self.gather(&rows).await {
                match answer {
                    Ok(bytes) => drop(chunks.insert(no, bytes)),
                    Err(missing) if missing.gone => {
                        again = true;
                        gone = Some(missing.reason);
                    }
                    Err(missing) => return Err(self.unreadable(ino, missing.reason)),
                }
            }
            if again {
                continue;
            }
            let (flow_entry, span) = (Arc::clone(&entry), range.clone());
            let assemble = move || assemble(&flow_entry, &span, &plan, &needed, &chunks, token);
            let assembled = tokio::task::spawn_blocking(assemble).await;
            if let Some(bytes) = assembled.map_err(|e| FlowError::Start(e.into()))?? {
                return Ok(bytes);
            }
        }
        Err(self.unreadable(ino, gone.unwrap_or_else(|| "it changes faster than it can be read".to_owned())))
    }

    fn unreadable(&self, ino: Ino, reason: String) -> FlowError {
        tracing::warn!(%ino, %reason, "stored content can't be read");
        FlowError::Unreadable { ino, reason }
    }

    /// Fetches stored parts of `range` into the cache.
    pub(super) async fn bring(self: &Arc<Self>, ino: Ino, range: ByteRange) -> Result<(), FlowError> {
        let entry = self.cache.entry(ino);
        let token = entry.fill_token();
        let needed = self.needed(ino, &entry.plan(range))?;
        let rows: Vec<ChunkRow> = needed.rows.values().copied().collect();
        let answers = self.gather(&rows).await;
        let chunks: Chunks = answers.into_iter().filter_map(|(no, r)| Some((no, r.ok()?))).collect();
        let filled = tokio::task::spawn_blocking(move || fill(&entry, &needed, &chunks, token)).await;
        filled.map_err(|e| FlowError::Start(e.into()))
    }

    fn needed(&self, ino: Ino, plan: &[Piece]) -> Result<Needed, FlowError> {
        let stored = plan.iter().filter(|p| p.source == Source::Stored);
        self.meta.read(|view| {
            let mut needed = Needed { extents: Vec::new(), rows: HashMap::new() };
            for piece in stored {
                let mut at = piece.range.start;
                while at < piece.range.end {
                    let found = view.extents(ino, at..piece.range.end, STEP)?;
                    let more = found.len() == STEP;
                    at = found.last().filter(|_| more).map_or(piece.range.end, |e| e.range.end);
                    for extent in found {
                        if let Some(row) = view.chunk(extent.chunk)? {
                            needed.rows.insert(extent.chunk, row);
                        }
                        if needed.extents.last() != Some(&extent) {
                            needed.extents.push(extent);
                        }
                    }
                }
            }
            Ok(needed)
        })
    }
}

/// All of `range`, if it is local.
fn read_local(entry: &Entry, range: &ByteRange) -> Result<Option<Vec<u8>>, FlowError> {
    let plan = entry.plan(range.clone());
    if plan.iter().any(|p| p.source == Source::Stored) {
        return Ok(None);
    }
    let mut bytes = vec![0; (range.end - range.start) as usize];
    for piece in plan.iter().filter(|p| p.source == Source::Local) {
        let part = part_of(&mut bytes, range.start, &piece.range);
        if !entry.read_local(piece.range.start, &mut bytes[part])? {
            return Ok(None);
        }
    }
    Ok(Some(bytes))
}

/// The bytes of an extent, if they came.
fn bytes_of<'a>(extent: &Extent, chunks: &'a Chunks) -> Option<&'a [u8]> {
    let start = extent.chunk_offset as usize;
    let len = (extent.range.end - extent.range.start) as usize;
    chunks.get(&extent.chunk)?.get(start..start + len)
}

fn fill(entry: &Entry, needed: &Needed, chunks: &Chunks, token: FillToken) {
    for extent in &needed.extents {
        if let Some(bytes) = bytes_of(extent, chunks) {
            entry.fill(token, extent.range.start, bytes);
        }
    }
}

/// Puts a read together; `None`: something was evicted or changed meanwhile.
fn assemble(
    entry: &Entry,
    range: &ByteRange,
    plan: &[Piece],
    needed: &Needed,
    chunks: &Chunks,
    token: FillToken,
) -> Result<Option<Vec<u8>>, FlowError> {
    let mut bytes = vec![0; (range.end - range.start) as usize];
    for piece in plan {
        match piece.source {
            Source::Zero => {}
            Source::Local => {
                let part = part_of(&mut bytes, range.start, &piece.range);
                if !entry.read_local(piece.range.start, &mut bytes[part])? {
                    return Ok(None);
                }
            }
            Source::Stored => {
                for extent in &needed.extents {
                    let start = extent.range.start.max(piece.range.start);
                    let end = extent.range.end.min(piece.range.end);
                    if start >= end {
                        continue;
                    }
                    let Some(content) = bytes_of(extent, chunks) else { return Ok(None) };
                    let from = (start - extent.range.start) as usize;
                    let part = part_of(&mut bytes, range.start, &(start..end));
                    let len = part.len();
                    bytes[part].copy_from_slice(&content[from..from + len]); // proof: both lie in the extent
                }
            }
        }
    }
    fill(entry, needed, chunks, token);
    Ok(Some(bytes))
}
