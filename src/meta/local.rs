//! local.db: the de-duplication index, rebuilt from meta.db whenever it is missing, foreign or damaged.
//!
//! What holds:
//! - Nothing in here is believed: a chunk that the index names counts only if meta.db has it under the
//!   full id and its pack is not condemned. So an index that is behind, ahead (meta.db lost its last
//!   transactions in a power cut) or wrong costs de-duplication, never data.
//! - It is never synced. Any failure of it is logged and throws it away; it is never an error.
//! - `upto` is the number below which chunks have been entered; it moves in the transaction that
//!   enters them, and is lowered at open to what meta.db has.

use super::database::Meta;
use super::error::MetaError;
use super::open::remove_database;
use super::{ChunkNo, ChunkRow, Identity};
use crate::types::ChunkId;
use rusqlite::{Connection, OptionalExtension, params};
use std::path::{Path, PathBuf};

/// Chunks entered in one step: some 10 milliseconds.
const STEP: u64 = 2048;

/// `PRAGMA application_id` of local.db: "PaiL".
const APPLICATION_ID: i32 = 0x5061_694c;

/// `PRAGMA user_version` of local.db. Another one is thrown away.
const VERSION: i32 = 1;

const TABLES: &str = "
CREATE TABLE origin(
    id INTEGER PRIMARY KEY CHECK (id = 1),
    fs BLOB NOT NULL,
    writer INTEGER NOT NULL,
    instance INTEGER NOT NULL,
    upto INTEGER NOT NULL
) STRICT;
CREATE TABLE dedup(key INTEGER PRIMARY KEY, chunk INTEGER NOT NULL) STRICT;
";

/// The index.
pub(super) struct Local {
    path: PathBuf,
    identity: Identity,
    instance: i64,
    /// Chunks with smaller numbers are entered.
    upto: u64,
    /// `None`: it could not be made; there is no de-duplication until the next open.
    conn: Option<Connection>,
}

/// The first 8 bytes of the id, little-endian, signed. A second id with the same key takes its place.
fn key(id: &ChunkId) -> i64 {
    let [a, b, c, d, e, f, g, h, ..] = id.0;
    i64::from_le_bytes([a, b, c, d, e, f, g, h])
}

impl Local {
    /// Opens it or makes it anew. `next_chunk`: meta.db's.
    pub fn open(path: &Path, identity: Identity, instance: i64, next_chunk: u64) -> Local {
        let mut local = Local { path: path.to_path_buf(), identity, instance, upto: 1, conn: None };
        match local.attach(next_chunk) {
            Ok(true) => {}
            Ok(false) => local.anew(),
            Err(error) => {
                tracing::info!(%error, "the de-duplication index can't be used and is made anew");
                local.anew();
            }
        }
        local
    }

    /// Whether there is one that belongs to this meta.db.
    fn attach(&mut self, next_chunk: u64) -> rusqlite::Result<bool> {
        if !self.path.exists() {
            return Ok(false);
        }
        let conn = Connection::open(&self.path)?;
        configure(&conn)?;
        let pragma = |what| conn.pragma_query_value(None, what, |row| row.get::<_, i32>(0));
        if pragma("application_id")? != APPLICATION_ID || pragma("user_version")? != VERSION {
            return Ok(false);
        }
        let sql = "SELECT upto FROM origin WHERE id = 1 AND fs = ? AND writer = ? AND instance = ?";
        let origin = params![&self.identity.fs.0[..], self.identity.writer.0.cast_signed(), self.instance];
        let upto: Option<i64> = conn.query_row(sql, origin, |row| row.get(0)).optional()?;
        let Some(upto) = upto.and_then(|upto| u64::try_from(upto).ok()) else { return Ok(false) };
        self.upto = upto.clamp(1, next_chunk.max(1));
        self.conn = Some(conn);
        Ok(true)
    }

    /// Throws away what is there and starts with nothing entered.
    fn anew(&mut self) {
        self.conn = None;
        self.upto = 1;
        let made = remove_database(&self.path).and_then(|()| Ok(self.make()?));
        match made {
            Ok(conn) => self.conn = Some(conn),
            Err(error) => tracing::warn!(%error, "there is no de-duplication: its index can't be made"),
        }
    }

    fn make(&self) -> rusqlite::Result<Connection> {
        let conn = Connection::open(&self.path)?;
        configure(&conn)?;
        conn.execute_batch(TABLES)?;
        conn.execute(
            "INSERT INTO origin VALUES(1, ?, ?, ?, 1)",
            params![&self.identity.fs.0[..], self.identity.writer.0.cast_signed(), self.instance],
        )?;
        // Last: what has no version was not finished.
        conn.pragma_update(None, "application_id", APPLICATION_ID)?;
        conn.pragma_update(None, "user_version", VERSION)?;
        Ok(conn)
    }

    /// Runs `f`; a failure throws the index away, unless only the disk is full.
    fn using<T>(&mut self, f: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Option<T> {
        match f(self.conn.as_mut()?) {
            Ok(value) => Some(value),
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) => {
                tracing::debug!("the disk is too full for the de-duplication index");
                None
            }
            Err(error) => {
                tracing::warn!(%error, "the de-duplication index failed and is made anew");
                self.anew();
                None
            }
        }
    }

    fn find(&mut self, id: &ChunkId) -> Option<ChunkNo> {
        let found = self.using(|conn| {
            let mut statement = conn.prepare_cached("SELECT chunk FROM dedup WHERE key = ?")?;
            statement.query_row([key(id)], |row| row.get::<_, i64>(0)).optional()
        });
        found.flatten().and_then(|no| u64::try_from(no).ok()).map(ChunkNo)
    }

    fn forget(&mut self, id: &ChunkId, no: ChunkNo) {
        let Ok(no) = i64::try_from(no.0) else { return };
        self.using(|conn| {
            let mut statement = conn.prepare_cached("DELETE FROM dedup WHERE key = ? AND chunk = ?")?;
            statement.execute([key(id), no])
        });
    }

    fn enter(&mut self, chunks: &[(i64, ChunkId)], upto: i64) -> Option<()> {
        self.using(|conn| {
            let tx = conn.transaction()?;
            {
                let mut insert = tx.prepare_cached("INSERT OR REPLACE INTO dedup VALUES(?, ?)")?;
                for (no, id) in chunks {
                    insert.execute([key(id), *no])?;
                }
                tx.prepare_cached("UPDATE origin SET upto = ? WHERE id = 1")?.execute([upto])?;
            }
            tx.commit()
        })
    }
}

fn configure(conn: &Connection) -> rusqlite::Result<()> {
    // Two statements of this answer a row, which pragma_update does not mind.
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "OFF")?;
    conn.pragma_update(None, "cache_size", -8192)
}

impl Meta {
    /// De-duplication index (local.db): the chunk that has this id, if it is known there and in
    /// meta.db, and not condemned.
    pub fn find_chunk(&self, id: &ChunkId) -> Result<Option<ChunkRow>, MetaError> {
        let Some(no) = self.local.lock().find(id) else { return Ok(None) };
        let row = self.readers.single(|view| view.chunk(no))?;
        match row {
            Some(row) if row.id == *id && !row.condemned => Ok(Some(row)),
            // Another id with the same key is a good entry; a row that is gone or condemned (which is
            // final) never becomes one again.
            Some(row) if row.id != *id => Ok(None),
            _ => {
                self.local.lock().forget(id, no);
                Ok(None)
            }
        }
    }

    /// Brings local.db up to meta.db in steps of bounded size; returns whether there is more to do.
    /// Called from a background thread after open, and after each flush.
    pub fn index_step(&self) -> Result<bool, MetaError> {
        let mut local = self.local.lock();
        if local.conn.is_none() {
            return Ok(false);
        }
        let from = i64::try_from(local.upto).unwrap_or(i64::MAX);
        let chunks = self.readers.single(|view| {
            let sql = "SELECT no, id FROM chunk WHERE no >= ? ORDER BY no LIMIT ?";
            view.all(sql, [from, STEP as i64], |row| Ok((row.get::<_, i64>(0)?, ChunkId(row.get(1)?))))
        })?;
        let Some((last, _)) = chunks.last() else { return Ok(false) };
        let upto = last.saturating_add(1);
        if local.enter(&chunks, upto).is_none() {
            // Thrown away: there is all to do again. A full disk: not now.
            return Ok(local.conn.is_some() && local.upto == 1 && from != 1);
        }
        local.upto = upto.cast_unsigned();
        Ok(chunks.len() as u64 == STEP)
    }
}
