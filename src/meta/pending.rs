//! What waits: inodes with content newer than stored, shadows, orphans (design.md, decisions 1, 2).
//!
//! What holds: a replaced inode that loses its shadow row and has no name is an orphan from then on,
//! in the same transaction, so none is ever lost.

use super::Shadow;
use super::counters::unsigned;
use super::error::{MetaError, int};
use super::inodes::missing_inode;
use super::view::{Tx, View};
use crate::types::{Ino, Nanos};

impl View<'_> {
    /// Inodes with content newer than stored, and since when.
    pub fn pending(&self) -> Result<Vec<(Ino, Nanos)>, MetaError> {
        self.all("SELECT ino, since FROM pending ORDER BY ino", [], |row| {
            Ok((Ino(unsigned(row, 0)?), Nanos(row.get(1)?)))
        })
    }

    /// Whether an inode is pending.
    pub fn is_pending(&self, ino: Ino) -> Result<bool, MetaError> {
        self.any("SELECT 1 FROM pending WHERE ino = ?", [int(ino.0)?])
    }

    /// The shadow that `successor` has.
    pub fn shadow_of(&self, successor: Ino) -> Result<Option<Shadow>, MetaError> {
        self.one("SELECT replaced FROM shadow WHERE successor = ?", [int(successor.0)?], |row| {
            Ok(Shadow { successor, replaced: Ino(unsigned(row, 0)?) })
        })
    }

    /// Inodes without a name that wait for removal (open-unlinked at a crash, or not yet reaped).
    pub fn orphans(&self, limit: usize) -> Result<Vec<Ino>, MetaError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.all("SELECT ino FROM orphan ORDER BY ino LIMIT ?", [limit], |row| Ok(Ino(unsigned(row, 0)?)))
    }
}

impl Tx<'_> {
    /// Notes that an inode has content newer than stored (keeps the first `since`).
    pub fn set_pending(&mut self, ino: Ino, since: Nanos) -> Result<(), MetaError> {
        let sql = "INSERT INTO pending VALUES(?, ?) ON CONFLICT(ino) DO NOTHING";
        let done = self.change(sql, [int(ino.0)?, since.0]);
        done.map(drop).map_err(|e| missing_inode(e, ino))
    }

    /// The overlay was lost or dropped: the stored content is the content.
    pub fn clear_pending(&mut self, ino: Ino) -> Result<(), MetaError> {
        self.change("DELETE FROM pending WHERE ino = ?", [int(ino.0)?]).map(drop)
    }

    /// Gives `successor` a shadow (at most one; the caller passes on an older one).
    pub fn set_shadow(&mut self, shadow: Shadow) -> Result<(), MetaError> {
        self.must_have(shadow.successor)?;
        self.must_have(shadow.replaced)?;
        let sql = "INSERT INTO shadow VALUES(?, ?)
            ON CONFLICT(successor) DO UPDATE SET replaced = excluded.replaced";
        self.change(sql, [int(shadow.successor.0)?, int(shadow.replaced.0)?]).map(drop)
    }

    /// Removes the shadow of `successor`; the replaced inode, if nameless, becomes an orphan.
    pub fn drop_shadow(&mut self, successor: Ino) -> Result<(), MetaError> {
        let sql = "DELETE FROM shadow WHERE successor = ? RETURNING replaced";
        let replaced = self.change_one(sql, [int(successor.0)?], |row| unsigned(row, 0))?.map(Ino);
        let Some(replaced) = replaced else { return Ok(()) };
        match self.inode(replaced)? {
            Some(row) if row.nlink == 0 => self.add_orphan(replaced),
            _ => Ok(()),
        }
    }

    /// `to`, which has none, takes over the shadow that `from` has.
    pub fn pass_shadow(&mut self, from: Ino, to: Ino) -> Result<(), MetaError> {
        self.must_have(to)?;
        let sql = "UPDATE shadow SET successor = ? WHERE successor = ?";
        self.change(sql, [int(to.0)?, int(from.0)?]).map(drop)
    }

    /// Puts an inode on the list of those to be removed.
    pub fn add_orphan(&mut self, ino: Ino) -> Result<(), MetaError> {
        let done = self.change("INSERT INTO orphan VALUES(?) ON CONFLICT(ino) DO NOTHING", [int(ino.0)?]);
        done.map(drop).map_err(|e| missing_inode(e, ino))
    }

    /// Takes it off again (linkat of an O_TMPFILE).
    pub fn remove_orphan(&mut self, ino: Ino) -> Result<(), MetaError> {
        self.change("DELETE FROM orphan WHERE ino = ?", [int(ino.0)?]).map(drop)
    }
}
