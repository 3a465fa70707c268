//! Chunks' rows, and how many extents name each.
//!
//! What holds: `refs` is the number of extents that name the chunk; the live totals and the pack's
//! `live_bytes` change exactly when it passes between 0 and more.

use super::counters::{unsigned, unsigned32};
use super::error::{MetaError, int};
use super::packs::pack_name;
use super::view::{Tx, View};
use super::{ChunkNo, ChunkRow, PackNo};
use crate::types::ChunkId;
use std::collections::BTreeMap;

/// Changes of reference counts are gathered up to this many chunks before they are applied, which
/// bounds the memory of a flush or truncation of any size.
const MAX_GATHERED: usize = 65_536;

/// Changes of reference counts that are not applied yet.
#[derive(Debug, Default)]
pub(super) struct RefChanges {
    by_chunk: BTreeMap<u64, i64>,
}

impl RefChanges {
    pub fn add(&mut self, chunk: ChunkNo, change: i64) {
        *self.by_chunk.entry(chunk.0).or_default() += change;
    }
}

impl View<'_> {
    /// A chunk's row.
    pub fn chunk(&self, no: ChunkNo) -> Result<Option<ChunkRow>, MetaError> {
        let sql = "SELECT c.id, c.pack, p.epoch, p.seq, p.writer, c.off, c.frame_len, c.size, c.refs,
            p.condemned IS NOT NULL FROM chunk c JOIN pack p ON p.no = c.pack WHERE c.no = ?";
        let Ok(number) = i64::try_from(no.0) else { return Ok(None) };
        self.one(sql, [number], |row| {
            Ok(ChunkRow {
                no,
                id: ChunkId(row.get(0)?),
                pack: PackNo(unsigned(row, 1)?),
                pack_name: pack_name(row, 2)?,
                offset: unsigned32(row, 5)?,
                frame_len: unsigned32(row, 6)?,
                size: unsigned32(row, 7)?,
                refs: unsigned(row, 8)?,
                condemned: row.get(9)?,
            })
        })
    }
}

impl Tx<'_> {
    /// Applies gathered changes when there are many of them.
    pub(super) fn spill_refs(&mut self, changes: &mut RefChanges) -> Result<(), MetaError> {
        match changes.by_chunk.len() < MAX_GATHERED {
            true => Ok(()),
            false => self.apply_refs(std::mem::take(changes)),
        }
    }

    /// Applies gathered changes, in key order.
    pub(super) fn apply_refs(&mut self, changes: RefChanges) -> Result<(), MetaError> {
        let mut packs: BTreeMap<u64, i64> = BTreeMap::new();
        for (chunk, change) in changes.by_chunk {
            if change == 0 {
                continue;
            }
            let sql = "UPDATE chunk SET refs = refs + ? WHERE no = ? RETURNING refs, pack, frame_len, size";
            let row = self.change_one(sql, [change, int(chunk)?], |row| {
                Ok((row.get::<_, i64>(0)?, unsigned(row, 1)?, unsigned32(row, 2)?, unsigned32(row, 3)?))
            })?;
            let Some((refs, pack, frame_len, size)) = row else {
                return Err(MetaError::Missing(format!("chunk {chunk}")));
            };
            let (frame, plain) = (u64::from(frame_len), u64::from(size));
            let totals = &mut self.work.counters.totals;
            match (refs - change > 0, refs > 0) {
                (false, true) => {
                    totals.live_chunks += 1;
                    totals.live_plain_bytes += plain;
                    totals.live_frame_bytes += frame;
                    *packs.entry(pack).or_default() += i64::from(frame_len);
                }
                (true, false) => {
                    totals.live_chunks = totals.live_chunks.saturating_sub(1);
                    totals.live_plain_bytes = totals.live_plain_bytes.saturating_sub(plain);
                    totals.live_frame_bytes = totals.live_frame_bytes.saturating_sub(frame);
                    *packs.entry(pack).or_default() -= i64::from(frame_len);
                }
                _ => {}
            }
        }
        for (pack, change) in packs {
            if change != 0 {
                let sql = "UPDATE pack SET live_bytes = live_bytes + ? WHERE no = ?";
                self.change(sql, [change, int(pack)?])?;
            }
        }
        Ok(())
    }
}
