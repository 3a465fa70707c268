//! Packs: recorded with their chunks, condemned when nothing in them is named, forgotten when deleted.
//!
//! What holds: a pack's chunks have contiguous numbers, kept in its row, so nothing needs an index
//! over `chunk.pack`; condemned is final; `live_bytes` is the sum of `frame_len` of the pack's chunks
//! whose refs are not 0. Finding dead packs reads a partial index, never all packs.

use super::counters::{unsigned, unsigned32};
use super::error::{MetaError, int};
use super::view::{Tx, View};
use super::{ChunkNo, NewChunk, PackNo, PackRow};
use crate::types::{Epoch, Nanos, PackName, WriterId};
use rusqlite::{Row, params};

/// A pack's name from three columns. The writer's 64 random bits are stored as a signed number.
pub(super) fn pack_name(row: &Row<'_>, first: usize) -> rusqlite::Result<PackName> {
    Ok(PackName {
        epoch: Epoch(unsigned32(row, first)?),
        seq: unsigned(row, first + 1)?,
        writer: WriterId(row.get::<_, i64>(first + 2)?.cast_unsigned()),
    })
}

impl View<'_> {
    /// Packs that are condemned, oldest first.
    pub fn condemned_packs(&self, limit: usize) -> Result<Vec<PackRow>, MetaError> {
        let sql = "SELECT no, epoch, seq, writer, size, live_bytes, condemned FROM pack
            WHERE condemned IS NOT NULL ORDER BY condemned, no LIMIT ?";
        self.all(sql, [i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
            Ok(PackRow {
                no: PackNo(unsigned(row, 0)?),
                name: pack_name(row, 1)?,
                size: unsigned(row, 4)?,
                live_bytes: unsigned(row, 5)?,
                condemned: row.get::<_, Option<i64>>(6)?.map(Nanos),
            })
        })
    }

    /// Where recovery starts to look for packs that were stored but not recorded: the epoch and the
    /// lowest sequence reserved and not recorded (see `insert_pack`). `None`: never written.
    pub fn pack_mark(&self) -> Result<Option<(Epoch, u64)>, MetaError> {
        let sql = "SELECT mark_epoch, mark_seq FROM state WHERE mark_epoch IS NOT NULL";
        self.one(sql, [], |row| Ok((Epoch(unsigned32(row, 0)?), unsigned(row, 1)?)))
    }
}

impl Tx<'_> {
    /// Begins an epoch: the mark becomes (epoch, 0).
    pub fn begin_epoch(&mut self, epoch: Epoch) -> Result<(), MetaError> {
        self.set_mark(epoch, 0)
    }

    /// The row is written at once, though the counters are written at the commit too: `pack_mark` of
    /// the same transaction reads it.
    fn set_mark(&mut self, epoch: Epoch, seq: u64) -> Result<(), MetaError> {
        let sql = "UPDATE state SET mark_epoch = ?, mark_seq = ? WHERE id = 1";
        self.change(sql, params![epoch.0, int(seq)?])?;
        self.work.counters.mark = Some((epoch.0, seq));
        Ok(())
    }

    /// Records a stored pack with its chunks (refs 0) in key order, and moves the mark:
    /// `lowest_unrecorded` is the lowest sequence of the epoch that is reserved and not yet recorded.
    /// The mark never goes back, and a pack of another epoch than the mark's does not move it.
    pub fn insert_pack(
        &mut self,
        name: PackName,
        object_size: u64,
        chunks: &[NewChunk],
        lowest_unrecorded: u64,
    ) -> Result<Vec<ChunkNo>, MetaError> {
        let pack = self.work.counters.next_pack;
        let first = self.work.counters.next_chunk;
        let end = first + chunks.len() as u64;
        self.change(
            "INSERT INTO pack VALUES(?, ?, ?, ?, ?, 0, ?, ?, NULL)",
            params![
                int(pack)?,
                name.epoch.0,
                int(name.seq)?,
                name.writer.0.cast_signed(),
                int(object_size)?,
                int(first)?,
                int(end - first)?
            ],
        )?;
        for (no, chunk) in (first..).zip(chunks) {
            self.change(
                "INSERT INTO chunk VALUES(?, ?, ?, ?, ?, ?, 0)",
                params![int(no)?, &chunk.id.0[..], int(pack)?, chunk.offset, chunk.frame_len, chunk.size],
            )?;
        }
        let counters = &mut self.work.counters;
        counters.next_pack = pack + 1;
        counters.next_chunk = end;
        counters.totals.packs += 1;
        counters.totals.pack_bytes += object_size;
        match counters.mark {
            Some((epoch, _)) if epoch != name.epoch.0 => {}
            Some((_, seq)) if seq >= lowest_unrecorded => {}
            _ => self.set_mark(name.epoch, lowest_unrecorded)?,
        }
        Ok((first..end).map(ChunkNo).collect())
    }

    /// Condemns packs that have no live chunk, except those with a number of at least `from` (packs of
    /// flushes that are not finished). At most `limit`; returns how many.
    pub fn condemn_dead_packs(&mut self, from: PackNo, now: Nanos, limit: usize) -> Result<usize, MetaError> {
        let from = i64::try_from(from.0).unwrap_or(i64::MAX);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        // INDEXED BY: an error, rather than a scan of all packs, if the index could not be used.
        let sql = "SELECT no FROM pack INDEXED BY pack_dead
            WHERE live_bytes = 0 AND condemned IS NULL AND no < ? ORDER BY no LIMIT ?";
        let dead = self.all(sql, [from, limit], |row| row.get::<_, i64>(0))?;
        for no in &dead {
            self.change("UPDATE pack SET condemned = ? WHERE no = ?", [now.0, *no])?;
        }
        self.work.counters.totals.condemned_packs += dead.len() as u64;
        Ok(dead.len())
    }

    /// Removes the rows of condemned packs whose objects are deleted, with their chunks. One that is
    /// gone already is passed over; one that is not condemned, or has live chunks, is refused.
    pub fn forget_packs(&mut self, packs: &[PackNo]) -> Result<(), MetaError> {
        for pack in packs {
            let sql = "SELECT first_chunk, chunks, size, live_bytes, condemned FROM pack WHERE no = ?";
            let row = self.one(sql, [int(pack.0)?], |row| {
                let chunks = (row.get::<_, i64>(0)?, row.get::<_, i64>(1)?);
                Ok((chunks, unsigned(row, 2)?, unsigned(row, 3)?, row.get::<_, Option<i64>>(4)?))
            })?;
            let Some(((first, count), size, live_bytes, condemned)) = row else { continue };
            if condemned.is_none() || live_bytes != 0 {
                return Err(MetaError::invalid(format!("pack {} is in use and can't be forgotten", pack.0)));
            }
            self.change("DELETE FROM chunk WHERE no >= ?1 AND no < ?1 + ?2", [first, count])?;
            self.change("DELETE FROM pack WHERE no = ?", [int(pack.0)?])?;
            let totals = &mut self.work.counters.totals;
            totals.packs = totals.packs.saturating_sub(1);
            totals.pack_bytes = totals.pack_bytes.saturating_sub(size);
            totals.condemned_packs = totals.condemned_packs.saturating_sub(1);
        }
        Ok(())
    }
}
