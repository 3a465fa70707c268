//! Extended attributes, ACLs included: names and values as they come.

use super::error::{MetaError, int};
use super::inodes::missing_inode;
use super::view::{Tx, View};
use crate::types::Ino;
use rusqlite::params;

impl View<'_> {
    /// An extended attribute's value.
    pub fn xattr(&self, ino: Ino, name: &[u8]) -> Result<Option<Vec<u8>>, MetaError> {
        let sql = "SELECT value FROM xattr WHERE ino = ? AND name = ?";
        self.one(sql, params![int(ino.0)?, name], |row| row.get(0))
    }

    /// Names of an inode's extended attributes.
    pub fn xattr_names(&self, ino: Ino) -> Result<Vec<Vec<u8>>, MetaError> {
        self.all("SELECT name FROM xattr WHERE ino = ? ORDER BY name", [int(ino.0)?], |row| row.get(0))
    }
}

impl Tx<'_> {
    /// Stores an extended attribute.
    pub fn set_xattr(&mut self, ino: Ino, name: &[u8], value: &[u8]) -> Result<(), MetaError> {
        let sql = "INSERT INTO xattr VALUES(?, ?, ?)
            ON CONFLICT(ino, name) DO UPDATE SET value = excluded.value";
        let done = self.change(sql, params![int(ino.0)?, name, value]);
        done.map(drop).map_err(|e| missing_inode(e, ino))
    }

    /// Removes an extended attribute; whether there was one.
    pub fn remove_xattr(&mut self, ino: Ino, name: &[u8]) -> Result<bool, MetaError> {
        Ok(self.change("DELETE FROM xattr WHERE ino = ? AND name = ?", params![int(ino.0)?, name])? > 0)
    }
}
