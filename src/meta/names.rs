//! Names in directories, and listing them.
//!
//! What holds: a directory's entries are ordered by (hash, name); an entry's cookie never changes
//! while it exists, so a listing that goes on after a cookie gives each entry that exists throughout
//! exactly once, whatever is added or removed meanwhile.

use super::cache::Change;
use super::error::{MetaError, int};
use super::inodes::{COLUMNS, decode, missing_inode};
use super::view::{Tx, View};
use super::{Cookie, DirEntry, FIRST_COOKIE};
use crate::types::Ino;
use rusqlite::{Row, params};

/// Bytes of the hash.
const HASH_BYTES: usize = 6;

/// Stored hashes are shifted down by this, so that all of them fit SQLite's 6-byte signed integers.
const HASH_SHIFT: i64 = 1 << 47;

/// The columns before the inode's in a listing come after them, at these places.
const HASH_COLUMN: usize = 12;
const NAME_COLUMN: usize = 13;

/// The stored hash of a name: the first 6 bytes of BLAKE3, little-endian, less 2^47. Unkeyed: whoever
/// makes names collide only makes his own directory's pages longer.
pub(super) fn name_hash(name: &[u8]) -> i64 {
    let digest = blake3::hash(name);
    let mut bytes = [0; 8];
    bytes[..HASH_BYTES].copy_from_slice(&digest.as_bytes()[..HASH_BYTES]);
    i64::from_le_bytes(bytes) - HASH_SHIFT
}

/// An entry's cookie.
fn cookie(hash: i64) -> Cookie {
    hash.wrapping_add(HASH_SHIFT) as u64 + FIRST_COOKIE
}

/// The greatest stored hash that a listing after `after` must leave out.
fn hash_before(after: Cookie) -> i64 {
    match after.checked_sub(FIRST_COOKIE) {
        Some(hash) => i64::try_from(hash).map_or(i64::MAX, |hash| hash - HASH_SHIFT),
        None => -HASH_SHIFT - 1,
    }
}

fn entry(row: &Row<'_>) -> rusqlite::Result<DirEntry> {
    let hash: i64 = row.get(HASH_COLUMN)?;
    Ok(DirEntry { name: row.get(NAME_COLUMN)?, inode: decode(row)?, cookie: cookie(hash) })
}

impl View<'_> {
    /// What a name leads to.
    pub fn lookup(&self, parent: Ino, name: &[u8]) -> Result<Option<Ino>, MetaError> {
        let sql = "SELECT ino FROM name WHERE parent = ? AND hash = ? AND name = ?";
        let found = self.one(sql, params![int(parent.0)?, name_hash(name), name], |row| {
            super::counters::unsigned(row, 0)
        })?;
        Ok(found.map(Ino))
    }

    /// Entries with cookies greater than `after`, by (cookie, name): at least one and about `limit`
    /// while there are any; a page never ends between equal cookies.
    pub fn read_dir(&self, dir: Ino, after: Cookie, limit: usize) -> Result<Vec<DirEntry>, MetaError> {
        let limit = i64::try_from(limit.max(1)).unwrap_or(i64::MAX);
        let dir = int(dir.0)?;
        // CROSS JOIN fixes the order of the loops: names by key, each inode by its number.
        let page = format!(
            "SELECT {COLUMNS}, n.hash, n.name FROM name n CROSS JOIN inode i ON i.ino = n.ino
             WHERE n.parent = ? AND n.hash > ? ORDER BY n.hash, n.name LIMIT ?"
        );
        let mut entries = self.all(&page, params![dir, hash_before(after), limit], entry)?;
        if let Some(last) = entries.last()
            && entries.len() as u64 >= limit as u64
        {
            let rest = format!(
                "SELECT {COLUMNS}, n.hash, n.name FROM name n CROSS JOIN inode i ON i.ino = n.ino
                 WHERE n.parent = ? AND n.hash = ? AND n.name > ? ORDER BY n.name"
            );
            let same = params![dir, hash_before(last.cookie), last.name];
            let colliding = self.all(&rest, same, entry)?;
            entries.extend(colliding);
        }
        Ok(entries)
    }

    /// Whether a directory has no entries.
    pub fn is_empty_dir(&self, dir: Ino) -> Result<bool, MetaError> {
        Ok(!self.any("SELECT 1 FROM name WHERE parent = ? LIMIT 1", [int(dir.0)?])?)
    }
}

impl Tx<'_> {
    /// Adds a name. The caller has seen that it is free.
    pub fn insert_name(&mut self, parent: Ino, name: &[u8], ino: Ino) -> Result<(), MetaError> {
        self.must_exist(ino)?;
        let sql = "INSERT INTO name VALUES(?, ?, ?, ?)";
        let done = self.change(sql, params![int(parent.0)?, name_hash(name), name, int(ino.0)?]);
        done.map_err(|e| missing_inode(e, parent))?;
        self.work.counters.totals.entries += 1;
        self.work.changes.push(Change::Name(parent, name.into(), Some(ino)));
        Ok(())
    }

    /// Points an existing name at another inode.
    pub fn repoint_name(&mut self, parent: Ino, name: &[u8], ino: Ino) -> Result<(), MetaError> {
        self.must_exist(ino)?;
        let sql = "UPDATE name SET ino = ? WHERE parent = ? AND hash = ? AND name = ?";
        if self.change(sql, params![int(ino.0)?, int(parent.0)?, name_hash(name), name])? == 0 {
            return Err(missing_name(parent, name));
        }
        self.work.changes.push(Change::Name(parent, name.into(), Some(ino)));
        Ok(())
    }

    /// Removes a name.
    pub fn remove_name(&mut self, parent: Ino, name: &[u8]) -> Result<(), MetaError> {
        let sql = "DELETE FROM name WHERE parent = ? AND hash = ? AND name = ?";
        if self.change(sql, params![int(parent.0)?, name_hash(name), name])? == 0 {
            return Err(missing_name(parent, name));
        }
        self.work.counters.totals.entries = self.work.counters.totals.entries.saturating_sub(1);
        self.work.changes.push(Change::Name(parent, name.into(), None));
        Ok(())
    }

    /// `name.ino` is no declared reference (deletes would need an index over it): checked here.
    fn must_exist(&self, ino: Ino) -> Result<(), MetaError> {
        match self.any("SELECT 1 FROM inode WHERE ino = ?", [int(ino.0)?])? {
            true => Ok(()),
            false => Err(MetaError::Missing(format!("inode {ino}"))),
        }
    }
}

fn missing_name(parent: Ino, name: &[u8]) -> MetaError {
    MetaError::Missing(format!("name {:?} in directory {parent}", String::from_utf8_lossy(name)))
}
