//! What closures of `Meta::read` and `Meta::write` are given. The methods are in the files of their
//! subjects; here is how they reach SQLite.
//!
//! What holds: every statement is cached; a change is refused when SQLite has given up the
//! transaction (disk full), so that a closure that ignores an error can't write outside of one.

use super::counters::Counters;
use super::error::MetaError;
use super::{Inode, cache::Change};
use crate::types::Ino;
use rusqlite::{Connection, OptionalExtension, Params, Row};
use std::ops::Deref;

/// Reads, in one snapshot. Also what a [`Tx`] sees, its own changes included.
pub struct View<'a> {
    pub(super) conn: &'a Connection,
}

/// A transaction: all of `View`, and changes.
///
/// A method that fails may have done a part of its work: a closure that gets an error must fail
/// itself, so that its savepoint is rolled back (`store_content`'s `ChunkGone` and `false` come
/// before any change).
pub struct Tx<'a> {
    pub(super) view: View<'a>,
    pub(super) work: &'a mut Work,
}

/// The writer's state that lives and dies with a transaction.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// The `state` row as this transaction leaves it.
    pub counters: Counters,
    /// Rows and names that the caches must learn of, in order.
    pub changes: Vec<Change>,
    /// The next inode number; never goes back, also not at a rollback.
    pub next_ino: u64,
    /// The last statement's failure, for those whose transaction it took along.
    pub failure: Option<MetaError>,
}

impl<'a> Deref for Tx<'a> {
    type Target = View<'a>;
    fn deref(&self) -> &View<'a> {
        &self.view
    }
}

impl View<'_> {
    /// The first row, if any.
    pub(super) fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        map: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, MetaError> {
        Ok(self.conn.prepare_cached(sql)?.query_row(params, map).optional()?)
    }

    /// All rows.
    pub(super) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        map: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, MetaError> {
        let mut statement = self.conn.prepare_cached(sql)?;
        let rows = statement.query_map(params, map)?;
        Ok(rows.collect::<rusqlite::Result<Vec<T>>>()?)
    }

    /// Whether there is a row.
    pub(super) fn any(&self, sql: &str, params: impl Params) -> Result<bool, MetaError> {
        Ok(self.conn.prepare_cached(sql)?.exists(params)?)
    }
}

impl Tx<'_> {
    /// Runs a change; how many rows it touched.
    pub(super) fn change(&mut self, sql: &str, params: impl Params) -> Result<usize, MetaError> {
        self.inside()?;
        let done = self.view.conn.prepare_cached(sql).and_then(|mut s| s.execute(params));
        done.map_err(|e| self.failed(e.into()))
    }

    /// Runs a change that answers a row (RETURNING).
    pub(super) fn change_one<T>(
        &mut self,
        sql: &str,
        params: impl Params,
        map: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, MetaError> {
        self.inside()?;
        let done = self.view.conn.prepare_cached(sql).and_then(|mut s| s.query_row(params, map).optional());
        done.map_err(|e| self.failed(e.into()))
    }

    /// An inode's row, which must be there.
    pub(super) fn must_have(&self, ino: Ino) -> Result<Inode, MetaError> {
        self.view.inode(ino)?.ok_or_else(|| MetaError::Missing(format!("inode {ino}")))
    }

    /// Refuses to go on outside of a transaction.
    fn inside(&self) -> Result<(), MetaError> {
        match self.view.conn.is_autocommit() {
            false => Ok(()),
            true => Err(self.work.failure.as_ref().map_or(MetaError::Full, MetaError::again)),
        }
    }

    fn failed(&mut self, error: MetaError) -> MetaError {
        self.work.failure = Some(error.again());
        error
    }
}
