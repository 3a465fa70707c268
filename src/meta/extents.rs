//! A file's stored bytes: slices of chunks, and everything that replaces, shares or drops them.
//!
//! What holds, after each method: extents of a file don't overlap and don't pass its size; `holes` is
//! `size` less the bytes that extents cover; each chunk's refs is the number of extents that name it.

use super::chunks::RefChanges;
use super::counters::{unsigned, unsigned32};
use super::error::{MetaError, int};
use super::view::{Tx, View};
use super::{ChunkNo, Extent, Inode, StoredContent};
use crate::types::{ByteRange, Ino, Nanos, RangeSet};
use rusqlite::{Row, params};

/// Extents that are read at a time when a range is cut out.
const CUT_BATCH: i64 = 4096;

/// The end of every file, as far as SQLite's integers go; ranges "to the end" are clamped to it.
const END: u64 = i64::MAX as u64;

fn decode(row: &Row<'_>) -> rusqlite::Result<Extent> {
    let start = unsigned(row, 0)?;
    Ok(Extent {
        range: start..start.saturating_add(unsigned(row, 1)?),
        chunk: ChunkNo(unsigned(row, 2)?),
        chunk_offset: unsigned32(row, 3)?,
    })
}

fn clamp(range: ByteRange) -> ByteRange {
    range.start.min(END)..range.end.min(END)
}

/// The part of `extent` inside `range`, which must overlap it.
fn slice(extent: &Extent, range: &ByteRange) -> Result<Extent, MetaError> {
    let start = extent.range.start.max(range.start);
    let end = extent.range.end.min(range.end);
    let skipped = u32::try_from(start - extent.range.start).ok();
    let chunk_offset = skipped.and_then(|skipped| extent.chunk_offset.checked_add(skipped));
    match chunk_offset {
        Some(chunk_offset) => Ok(Extent { range: start..end, chunk: extent.chunk, chunk_offset }),
        None => Err(MetaError::invalid(format!("extent {extent:?} is longer than any chunk"))),
    }
}

fn length(range: &ByteRange) -> u64 {
    range.end - range.start
}

impl View<'_> {
    /// Extents that overlap `range`, whole (not clipped), ascending, at most `limit`.
    pub fn extents(&self, ino: Ino, range: ByteRange, limit: usize) -> Result<Vec<Extent>, MetaError> {
        let range = clamp(range);
        if range.is_empty() || limit == 0 {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        found.extend(self.extent_across(ino, range.start)?);
        let rest = i64::try_from(limit - found.len()).unwrap_or(i64::MAX);
        found.extend(self.extents_from(ino, &range, rest)?);
        Ok(found)
    }

    /// The extent that begins before `at` and passes it.
    fn extent_across(&self, ino: Ino, at: u64) -> Result<Option<Extent>, MetaError> {
        let sql = "SELECT off, len, chunk, chunk_off FROM extent WHERE ino = ? AND off < ?
            ORDER BY off DESC LIMIT 1";
        let before = self.one(sql, [int(ino.0)?, int(at)?], decode)?;
        Ok(before.filter(|extent| extent.range.end > at))
    }

    /// Extents that begin inside `range`.
    fn extents_from(&self, ino: Ino, range: &ByteRange, limit: i64) -> Result<Vec<Extent>, MetaError> {
        let sql = "SELECT off, len, chunk, chunk_off FROM extent WHERE ino = ? AND off >= ? AND off < ?
            ORDER BY off LIMIT ?";
        self.all(sql, [int(ino.0)?, int(range.start)?, int(range.end)?, limit], decode)
    }
}

impl Tx<'_> {
    /// Drops up to `limit` extents of an inode, from its end; whether more are left. Chunks that no
    /// extent names any more lower their pack's live bytes; a pack at zero waits for
    /// `condemn_dead_packs`.
    pub fn drop_extents(&mut self, ino: Ino, limit: usize) -> Result<bool, MetaError> {
        let sql = "SELECT off, len, chunk, chunk_off FROM extent WHERE ino = ? ORDER BY off DESC LIMIT ?";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let dropped = self.all(sql, [int(ino.0)?, limit], decode)?;
        if let Some(lowest) = dropped.last() {
            let old = self.must_have(ino)?;
            let from = lowest.range.start;
            self.change("DELETE FROM extent WHERE ino = ? AND off >= ?", [int(ino.0)?, int(from)?])?;
            let mut refs = RefChanges::default();
            let mut holes = old.holes;
            for extent in &dropped {
                refs.add(extent.chunk, -1);
                holes += length(&extent.range);
            }
            self.apply_refs(refs)?;
            self.put_inode(&old, Inode { holes, ..old })?;
        }
        self.any("SELECT 1 FROM extent WHERE ino = ? LIMIT 1", [int(ino.0)?])
    }

    /// A flush's commit. Fails with `ChunkGone` when an extent names a chunk that is missing or
    /// condemned (the flush then starts over); does nothing and returns false when the inode is gone.
    /// The shadow goes whether settled or not: from now on the inode has stored content of its own.
    pub fn store_content(&mut self, content: &StoredContent) -> Result<bool, MetaError> {
        let ino = content.ino;
        let Some(old) = self.inode(ino)? else { return Ok(false) };
        self.check_new_extents(content)?;
        let mut refs = RefChanges::default();
        let mut covered = old.size.saturating_sub(old.holes);
        for range in &content.replaced {
            covered = covered.saturating_sub(self.cut(ino, range.clone(), &mut refs)?);
        }
        covered = covered.saturating_sub(self.cut(ino, content.size..END, &mut refs)?);
        for extent in &content.extents {
            covered += self.add_extent(ino, extent, &mut refs)?;
        }
        self.apply_refs(refs)?;
        let row = Inode {
            size: content.size,
            holes: holes(content.size, covered)?,
            mtime: content.mtime,
            ctime: old.ctime.max(content.ctime),
            flushed: content.generation,
            ..old
        };
        self.put_inode(&old, row)?;
        if content.settled {
            self.clear_pending(ino)?;
        }
        self.drop_shadow(ino)?;
        Ok(true)
    }

    /// Nothing is changed before all of the flush's extents are known to be good.
    fn check_new_extents(&self, content: &StoredContent) -> Result<(), MetaError> {
        let replaced: RangeSet = content.replaced.iter().cloned().map(clamp).collect();
        let mut free_from = 0;
        for extent in &content.extents {
            let Extent { range, chunk, chunk_offset } = extent;
            let well_placed =
                range.start < range.end && range.start >= free_from && range.end <= content.size;
            if !well_placed || !replaced.contains(range.clone()) {
                return Err(MetaError::invalid(format!("{extent:?} is out of its place")));
            }
            free_from = range.end;
            let row = self.chunk(*chunk)?.filter(|row| !row.condemned);
            let row = row.ok_or(MetaError::ChunkGone(chunk.0))?;
            if u64::from(*chunk_offset) + length(range) > u64::from(row.size) {
                return Err(MetaError::invalid(format!("{extent:?} passes its chunk's end")));
            }
        }
        Ok(())
    }

    /// Makes `to` share the stored bytes `from[range]` at `at` (decision 12), replacing what `to` has
    /// there, and grows `to` to `at + len` if it is shorter. Both inodes' overlays must not touch the
    /// ranges. Holes in the source become holes. Times are the caller's business.
    pub fn share_extents(&mut self, from: Ino, range: ByteRange, to: Ino, at: u64) -> Result<(), MetaError> {
        let range = clamp(range);
        if range.is_empty() {
            return Ok(());
        }
        let end = at.checked_add(length(&range)).filter(|end| *end <= END);
        let end = end.ok_or_else(|| MetaError::invalid("a copy passes the greatest file size"))?;
        self.must_have(from)?;
        let old = self.must_have(to)?;
        let mut refs = RefChanges::default();
        let mut covered = old.size.saturating_sub(old.holes);
        // Nothing is ever stored past the old size, so the source may be read after the cut: within
        // one inode the ranges don't overlap, and cutting only splits extents at the target's borders.
        covered = covered.saturating_sub(self.cut(to, at..end, &mut refs)?);
        let mut next = range.start;
        loop {
            let batch = self.extents(from, next..range.end, CUT_BATCH as usize)?;
            let Some(last) = batch.last() else { break };
            next = last.range.end;
            for extent in &batch {
                let piece = slice(extent, &range)?;
                let start = at + (piece.range.start - range.start);
                let moved = Extent { range: start..start + length(&piece.range), ..piece };
                covered += self.add_extent(to, &moved, &mut refs)?;
            }
            self.spill_refs(&mut refs)?;
        }
        self.apply_refs(refs)?;
        let size = old.size.max(end);
        self.put_inode(&old, Inode { size, holes: holes(size, covered)?, ..old })
    }

    /// Sets size and mtime of a file that has no overlay (copy_file_range, creation).
    pub fn set_stored_size(&mut self, ino: Ino, size: u64, mtime: Nanos) -> Result<(), MetaError> {
        let old = self.must_have(ino)?;
        let mut refs = RefChanges::default();
        let mut covered = old.size.saturating_sub(old.holes);
        covered = covered.saturating_sub(self.cut(ino, size..END, &mut refs)?);
        self.apply_refs(refs)?;
        self.put_inode(&old, Inode { size, holes: holes(size, covered)?, mtime, ..old })
    }

    /// Inserts an extent where nothing is; how many bytes it covers.
    fn add_extent(&mut self, ino: Ino, extent: &Extent, refs: &mut RefChanges) -> Result<u64, MetaError> {
        let Extent { range, chunk, chunk_offset } = extent;
        let bytes = length(range);
        let sql = "INSERT INTO extent VALUES(?, ?, ?, ?, ?)";
        let values = params![int(ino.0)?, int(range.start)?, int(bytes)?, int(chunk.0)?, chunk_offset];
        self.change(sql, values)?;
        refs.add(*chunk, 1);
        self.spill_refs(refs)?;
        Ok(bytes)
    }

    /// Takes `range` out of a file's extents; extents across its borders are shortened or split. How
    /// many bytes were covered there.
    fn cut(&mut self, ino: Ino, range: ByteRange, refs: &mut RefChanges) -> Result<u64, MetaError> {
        let range = clamp(range);
        if range.is_empty() {
            return Ok(0);
        }
        let mut bytes = 0;
        if let Some(across) = self.extent_across(ino, range.start)? {
            let kept = range.start - across.range.start;
            let sql = "UPDATE extent SET len = ? WHERE ino = ? AND off = ?";
            self.change(sql, [int(kept)?, int(ino.0)?, int(across.range.start)?])?;
            bytes += length(&slice(&across, &range)?.range);
            if across.range.end > range.end {
                let right = slice(&across, &(range.end..across.range.end))?;
                self.add_extent(ino, &right, refs)?;
            }
        }
        loop {
            let batch = self.extents_from(ino, &range, CUT_BATCH)?;
            let Some(last) = batch.last() else { return Ok(bytes) };
            let sql = "DELETE FROM extent WHERE ino = ? AND off >= ? AND off <= ?";
            self.change(sql, [int(ino.0)?, int(range.start)?, int(last.range.start)?])?;
            for extent in &batch {
                refs.add(extent.chunk, -1);
                bytes += length(&slice(extent, &range)?.range);
            }
            // Only the last can pass the end.
            if last.range.end > range.end {
                let right = slice(last, &(range.end..last.range.end))?;
                self.add_extent(ino, &right, refs)?;
            }
            self.spill_refs(refs)?;
        }
    }
}

/// What is left of `size` when `covered` bytes have extents.
fn holes(size: u64, covered: u64) -> Result<u64, MetaError> {
    size.checked_sub(covered).ok_or_else(|| MetaError::invalid("extents cover more than the file's size"))
}
