//! The `state` row: what is counted up, and the totals.
//!
//! What holds: the copy in memory belongs to the writer, changes with the transaction (a rollback
//! restores it) and is written in the same transaction, once, when it differs from the stored one.

use super::Totals;
use super::error::{MetaError, int};
use rusqlite::{Connection, Row, params};

/// The `state` row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    /// Inode numbers below this may be in use; the next open goes on from here.
    pub ino_reserved: u64,
    /// The next chunk's number.
    pub next_chunk: u64,
    /// The next pack's number.
    pub next_pack: u64,
    /// Where recovery looks for unrecorded packs: epoch and sequence.
    pub mark: Option<(u32, u64)>,
    /// Totals.
    pub totals: Totals,
}

/// Column `index` as an unsigned number; a negative one can only be damage.
pub(super) fn unsigned(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(index)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(index, value))
}

/// Column `index` as 32 bits; more can only be damage.
pub(super) fn unsigned32(row: &Row<'_>, index: usize) -> rusqlite::Result<u32> {
    let value: i64 = row.get(index)?;
    u32::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(index, value))
}

impl Counters {
    /// What a new database starts with: the root's number is used.
    pub fn fresh() -> Counters {
        let totals = Totals { inodes: 1, ..Totals::default() };
        Counters { ino_reserved: 2, next_chunk: 1, next_pack: 1, mark: None, totals }
    }

    /// Reads the row.
    pub fn load(conn: &Connection) -> Result<Counters, MetaError> {
        let sql = "SELECT ino_reserved, next_chunk, next_pack, mark_epoch, mark_seq, entries, inodes,
            file_bytes, live_chunks, live_plain_bytes, live_frame_bytes, packs, pack_bytes, condemned_packs
            FROM state WHERE id = 1";
        Ok(conn.prepare_cached(sql)?.query_row([], |row| {
            let mark = match row.get::<_, Option<i64>>(3)? {
                Some(_) => Some((unsigned32(row, 3)?, unsigned(row, 4)?)),
                None => None,
            };
            Ok(Counters {
                ino_reserved: unsigned(row, 0)?,
                next_chunk: unsigned(row, 1)?,
                next_pack: unsigned(row, 2)?,
                mark,
                totals: Totals {
                    entries: unsigned(row, 5)?,
                    inodes: unsigned(row, 6)?,
                    file_bytes: unsigned(row, 7)?,
                    live_chunks: unsigned(row, 8)?,
                    live_plain_bytes: unsigned(row, 9)?,
                    live_frame_bytes: unsigned(row, 10)?,
                    packs: unsigned(row, 11)?,
                    pack_bytes: unsigned(row, 12)?,
                    condemned_packs: unsigned(row, 13)?,
                },
            })
        })?)
    }

    /// Writes the row.
    pub fn store(&self, conn: &Connection) -> Result<(), MetaError> {
        let sql = "INSERT INTO state VALUES(1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT(id) DO UPDATE SET ino_reserved = excluded.ino_reserved,
            next_chunk = excluded.next_chunk, next_pack = excluded.next_pack,
            mark_epoch = excluded.mark_epoch, mark_seq = excluded.mark_seq, entries = excluded.entries,
            inodes = excluded.inodes, file_bytes = excluded.file_bytes,
            live_chunks = excluded.live_chunks, live_plain_bytes = excluded.live_plain_bytes,
            live_frame_bytes = excluded.live_frame_bytes, packs = excluded.packs,
            pack_bytes = excluded.pack_bytes, condemned_packs = excluded.condemned_packs";
        let t = &self.totals;
        let seq = self.mark.map(|(_, seq)| int(seq)).transpose()?;
        conn.prepare_cached(sql)?.execute(params![
            int(self.ino_reserved)?,
            int(self.next_chunk)?,
            int(self.next_pack)?,
            self.mark.map(|(epoch, _)| epoch),
            seq,
            int(t.entries)?,
            int(t.inodes)?,
            int(t.file_bytes)?,
            int(t.live_chunks)?,
            int(t.live_plain_bytes)?,
            int(t.live_frame_bytes)?,
            int(t.packs)?,
            int(t.pack_bytes)?,
            int(t.condemned_packs)?,
        ])?;
        Ok(())
    }
}
