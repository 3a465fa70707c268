//! Which parts of a dirty file are cut anew, and the cutting itself.
//!
//! An overwrite in place keeps the cuts around it: the stored extents that it touches are made anew, no
//! others. What is appended is cut afresh, together with a last extent that is shorter than the average, so
//! that a file that grows slowly does not end up in thousands of small pieces.

use super::FlowError;
use super::engine::Flow;
use crate::cache::{Entry, FlushSnapshot, Source};
use crate::chunk;
use crate::types::{ByteRange, RangeSet};
use std::sync::Arc;

/// Extents looked at in one step.
const STEP: usize = 1024;
/// A piece that was evicted or changed between the plan and the read is planned again, so often.
const ATTEMPTS: usize = 16;

/// What a flush replaces of a file.
pub(super) struct Regions {
    /// To be read and cut, ascending.
    pub cut: Vec<ByteRange>,
    /// Everything that is replaced: what is cut, and what becomes holes.
    pub replaced: Vec<ByteRange>,
}

impl Flow {
    /// The regions of a snapshot.
    pub(super) fn regions(&self, entry: &Entry, snapshot: &FlushSnapshot) -> Result<Regions, FlowError> {
        let average = u64::from(self.vault.parameters().chunk_sizes.avg);
        let mut wanted = RangeSet::new();
        for range in &snapshot.data {
            wanted.insert(range.start..range.end.min(snapshot.size));
            let mut at = range.start.saturating_sub(1);
            while at < range.end {
                let found = self
                    .meta
                    .read(|v| v.extents(entry.ino(), at..range.end, STEP).map_err(FlowError::from))?;
                let more = found.len() == STEP;
                at = found.last().filter(|_| more).map_or(range.end, |e| e.range.end);
                for extent in found {
                    let touched = extent.range.end > range.start;
                    let appended_to =
                        extent.range.end == range.start && extent.range.end - extent.range.start < average;
                    if touched || appended_to {
                        wanted.insert(extent.range.start..extent.range.end.min(snapshot.size));
                    }
                }
            }
        }
        let mut replaced = wanted.clone();
        let mut cut = wanted;
        for range in &snapshot.zero {
            cut.remove(range.clone());
            replaced.insert(range.clone());
        }
        Ok(Regions { cut: cut.iter().collect(), replaced: replaced.iter().collect() })
    }

    /// Cuts a region and hands each chunk with its place in the file to `each`.
    pub(super) fn cut_region(
        self: &Arc<Self>,
        entry: &Entry,
        region: ByteRange,
        mut each: impl FnMut(ByteRange, &[u8]) -> Result<(), FlowError>,
    ) -> Result<(), FlowError> {
        let sizes = self.vault.parameters().chunk_sizes;
        let window = u64::from(sizes.max);
        let mut buf: Vec<u8> = Vec::new();
        let (mut at, mut read_to, mut used) = (region.start, region.start, 0);
        while at < region.end {
            if ((buf.len() - used) as u64) < window && read_to < region.end {
                buf.drain(..used);
                used = 0;
                let more = read_to..region.end.min(read_to + 2 * window);
                read_to = more.end;
                self.read_span(entry, more, &mut buf)?;
            }
            let data = &buf[used..]; // proof: `used` counts bytes of `buf` that were cut
            let len = chunk::first_cut(data, &sizes);
            each(at..at + len as u64, &data[..len])?; // proof: a cut lies inside of its data
            used += len;
            at += len as u64;
        }
        Ok(())
    }

    /// Adds the newest bytes of `span` to `buf`.
    fn read_span(
        self: &Arc<Self>,
        entry: &Entry,
        span: ByteRange,
        buf: &mut Vec<u8>,
    ) -> Result<(), FlowError> {
        let base = buf.len();
        buf.resize(base + (span.end - span.start) as usize, 0);
        let mut at = span.start;
        let mut attempts = 0;
        while at < span.end {
            let Some(piece) = entry.plan(at..span.end).into_iter().next() else { break };
            let place = base + (piece.range.start - span.start) as usize;
            let part = &mut buf[place..place + (piece.range.end - piece.range.start) as usize]; // proof: in the span
            match piece.source {
                Source::Zero => part.fill(0),
                Source::Local => {
                    if !entry.read_local(piece.range.start, part)? {
                        attempts += 1;
                        if attempts > ATTEMPTS {
                            return Err(FlowError::Unreadable {
                                ino: entry.ino(),
                                reason: "it changes faster than it can be read".to_owned(),
                            });
                        }
                        continue;
                    }
                }
                Source::Stored => {
                    let bytes = self.wait_for(self.read_through(entry.ino(), piece.range.clone()))?;
                    part.copy_from_slice(&bytes);
                }
            }
            at = piece.range.end;
        }
        Ok(())
    }
}
