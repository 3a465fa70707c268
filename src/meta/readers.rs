//! Connections for readers, opened when they are needed.
//!
//! What holds: a connection serves one reader at a time and has no transaction open in between, so
//! each read begins a snapshot of its own, which includes every commit answered before. At most
//! [`MAX_IDLE`] are kept; there are never more than readers at work, so no reader waits for another.

use super::error::MetaError;
use super::open::{Role, connect};
use super::view::View;
use parking_lot::Mutex;
use rusqlite::Connection;
use std::path::PathBuf;

/// Connections that are kept open (2 MiB of pages each at most).
const MAX_IDLE: usize = 8;

/// The pool.
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

/// A reader's connection; goes back to the pool.
struct Lent<'a> {
    pool: &'a Readers,
    conn: Option<Connection>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let Some(conn) = self.conn.take() else { return };
        // Also after a panic: a snapshot kept open would keep the WAL from ever being reset.
        if !conn.is_autocommit() && conn.prepare_cached("COMMIT").and_then(|mut s| s.execute([])).is_err() {
            return;
        }
        let mut idle = self.pool.idle.lock();
        if idle.len() < MAX_IDLE {
            idle.push(conn);
        }
    }
}

impl Readers {
    pub fn new(path: PathBuf) -> Readers {
        Readers { path, idle: Mutex::new(Vec::new()) }
    }

    /// Runs `f` in a snapshot of its own.
    pub fn snapshot<T, E: From<MetaError>>(&self, f: impl FnOnce(&View<'_>) -> Result<T, E>) -> Result<T, E> {
        self.lend(|conn| {
            let begun = conn.prepare_cached("BEGIN").and_then(|mut s| s.execute([]));
            begun.map_err(MetaError::from)?;
            f(&View { conn })
        })
    }

    /// Runs a single statement: its snapshot needs no BEGIN.
    pub fn single<T>(&self, f: impl FnOnce(&View<'_>) -> Result<T, MetaError>) -> Result<T, MetaError> {
        self.lend(|conn| f(&View { conn }))
    }

    fn lend<T, E: From<MetaError>>(&self, f: impl FnOnce(&Connection) -> Result<T, E>) -> Result<T, E> {
        let idle = self.idle.lock().pop();
        let conn = match idle {
            Some(conn) => conn,
            None => connect(&self.path, Role::Reader)?,
        };
        let lent = Lent { pool: self, conn: Some(conn) };
        match &lent.conn {
            Some(conn) => f(conn),
            None => Err(MetaError::invalid("a reader without a connection").into()),
        }
    }
}
