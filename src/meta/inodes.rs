//! Inode rows, symlink targets, and orphans' way out.
//!
//! What holds: encodings are exact for all values (differences of times wrap, so every pair of i64
//! comes back); `holes` and `flushed` change only with extents; totals follow each change.

use super::cache::Change;
use super::counters::{unsigned, unsigned32};
use super::error::{MetaError, int};
use super::view::{Tx, View};
use super::{Inode, MetaError as Error};
use crate::types::{Ino, Nanos};
use rusqlite::{Row, params};

/// Stored modes are XORed with this, so that a plain file with 0644 costs nothing.
const USUAL_MODE: u32 = 0o100_644;

/// The file type in `st_mode`, and two of its values.
const TYPE_MASK: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;

/// Numbers reserved at a time.
const INO_BLOCK: u64 = 4096;

/// A new block is reserved, durably, when fewer numbers are left than this.
const INO_LOW: u64 = 1024;

/// The columns that `decode` reads, from `i`.
pub(super) const COLUMNS: &str =
    "i.ino, i.mode, i.uid, i.gid, i.nlink, i.link, i.size, i.holes, i.ctime, i.mtime, i.atime, i.flushed";

impl Inode {
    pub(super) fn is_regular(&self) -> bool {
        self.mode & TYPE_MASK == REGULAR
    }

    pub(super) fn is_directory(&self) -> bool {
        self.mode & TYPE_MASK == DIRECTORY
    }
}

/// A row whose first columns are `COLUMNS`.
pub(super) fn decode(row: &Row<'_>) -> rusqlite::Result<Inode> {
    let mode = unsigned32(row, 1)? ^ USUAL_MODE;
    let uid = unsigned32(row, 2)?;
    let gid_difference: i64 = row.get(3)?;
    let link = unsigned(row, 5)?;
    let directory = mode & TYPE_MASK == DIRECTORY;
    let ctime: i64 = row.get(8)?;
    let out_of_range = |index, value| rusqlite::Error::IntegralValueOutOfRange(index, value);
    Ok(Inode {
        ino: Ino(unsigned(row, 0)?),
        mode,
        uid,
        gid: u32::try_from(i64::from(uid).wrapping_add(gid_difference))
            .map_err(|_| out_of_range(3, gid_difference))?,
        nlink: unsigned32(row, 4)?,
        rdev: if directory { 0 } else { u32::try_from(link).map_err(|_| out_of_range(5, link as i64))? },
        size: unsigned(row, 6)?,
        holes: unsigned(row, 7)?,
        atime: Nanos(row.get::<_, i64>(10)?.wrapping_add(ctime)),
        mtime: Nanos(row.get::<_, i64>(9)?.wrapping_add(ctime)),
        ctime: Nanos(ctime),
        parent: if directory { Ino(link) } else { Ino(0) },
        flushed: unsigned(row, 11)?,
    })
}

/// The values of a row, in the order of its columns.
fn encode(inode: &Inode) -> Result<[i64; 12], MetaError> {
    let link = if inode.is_directory() { inode.parent.0 } else { u64::from(inode.rdev) };
    let ctime = inode.ctime.0;
    Ok([
        int(inode.ino.0)?,
        i64::from(inode.mode ^ USUAL_MODE),
        i64::from(inode.uid),
        i64::from(inode.gid) - i64::from(inode.uid),
        i64::from(inode.nlink),
        int(link)?,
        int(inode.size)?,
        int(inode.holes)?,
        ctime,
        inode.mtime.0.wrapping_sub(ctime),
        inode.atime.0.wrapping_sub(ctime),
        int(inode.flushed)?,
    ])
}

impl View<'_> {
    /// An inode's row.
    pub fn inode(&self, ino: Ino) -> Result<Option<Inode>, Error> {
        // The text is COLUMNS, spelt out so that the look-up needs no formatting.
        let sql = "SELECT i.ino, i.mode, i.uid, i.gid, i.nlink, i.link, i.size, i.holes, i.ctime, i.mtime,
            i.atime, i.flushed FROM inode i WHERE i.ino = ?";
        match i64::try_from(ino.0) {
            Ok(ino) => self.one(sql, [ino], decode),
            Err(_) => Ok(None),
        }
    }

    /// A symlink's target.
    pub fn symlink(&self, ino: Ino) -> Result<Option<Vec<u8>>, Error> {
        self.one("SELECT target FROM symlink WHERE ino = ?", [int(ino.0)?], |row| row.get(0))
    }
}

impl Tx<'_> {
    /// A fresh inode number.
    pub fn alloc_ino(&mut self) -> Result<Ino, MetaError> {
        let ino = self.work.next_ino;
        int(ino)?;
        self.work.next_ino += 1;
        if self.work.next_ino > self.work.counters.ino_reserved {
            // The block ahead is used up within this transaction (or a rollback took it back).
            self.work.counters.ino_reserved = ino + INO_BLOCK;
        }
        Ok(Ino(ino))
    }

    /// Adds an inode's row. A regular file has no extents yet: all of its size is holes, whatever
    /// `holes` says.
    pub fn insert_inode(&mut self, inode: &Inode) -> Result<(), MetaError> {
        let holes = if inode.is_regular() { inode.size } else { 0 };
        let row = Inode { holes, ..canonical(inode) };
        self.change("INSERT INTO inode VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", encode(&row)?)?;
        self.work.counters.totals.inodes += 1;
        if row.is_regular() {
            self.work.counters.totals.file_bytes += row.size;
        }
        self.work.changes.push(Change::Inode(row.ino, Some(row)));
        Ok(())
    }

    /// Writes an inode's row (all fields but `holes` and `flushed`, which are the extents' business;
    /// `size` of a regular file may not change here either: the stored one is kept).
    pub fn update_inode(&mut self, inode: &Inode) -> Result<(), MetaError> {
        let old = self.must_have(inode.ino)?;
        let mut row = Inode { holes: old.holes, flushed: old.flushed, ..canonical(inode) };
        if old.is_regular() {
            row.size = old.size;
        }
        self.put_inode(&old, row)
    }

    /// Replaces `old` by `row`, which has the same number.
    pub(super) fn put_inode(&mut self, old: &Inode, row: Inode) -> Result<(), MetaError> {
        if *old == row {
            return Ok(());
        }
        let [ino, mode, uid, gid, nlink, link, size, holes, ctime, mtime, atime, flushed] = encode(&row)?;
        self.change(
            "UPDATE inode SET mode = ?, uid = ?, gid = ?, nlink = ?, link = ?, size = ?, holes = ?,
                ctime = ?, mtime = ?, atime = ?, flushed = ? WHERE ino = ?",
            [mode, uid, gid, nlink, link, size, holes, ctime, mtime, atime, flushed, ino],
        )?;
        if row.is_regular() {
            let bytes = &mut self.work.counters.totals.file_bytes;
            *bytes = bytes.saturating_add(row.size).saturating_sub(old.size);
        }
        self.work.changes.push(Change::Inode(row.ino, Some(row)));
        Ok(())
    }

    /// Removes an inode with its symlink target, xattrs, pending, orphan and shadow rows. It must
    /// have no extents left (see `drop_extents`) and no names. What it shadowed becomes an orphan.
    pub fn delete_inode(&mut self, ino: Ino) -> Result<(), MetaError> {
        let row = self.must_have(ino)?;
        self.drop_shadow(ino)?;
        // Symlink, xattrs, pending, orphan and the shadow of its successor go by ON DELETE CASCADE;
        // extents and, of a directory, entries forbid it.
        self.change("DELETE FROM inode WHERE ino = ?", [int(ino.0)?])?;
        self.work.counters.totals.inodes = self.work.counters.totals.inodes.saturating_sub(1);
        if row.is_regular() {
            self.work.counters.totals.file_bytes =
                self.work.counters.totals.file_bytes.saturating_sub(row.size);
        }
        self.work.changes.push(Change::Inode(ino, None));
        Ok(())
    }

    /// Stores a symlink's target.
    pub fn set_symlink(&mut self, ino: Ino, target: &[u8]) -> Result<(), MetaError> {
        let sql = "INSERT INTO symlink VALUES(?, ?) ON CONFLICT(ino) DO UPDATE SET target = excluded.target";
        let done = self.change(sql, params![int(ino.0)?, target]);
        done.map(drop).map_err(|e| missing_inode(e, ino))
    }
}

/// Fields that have no column of their own for this file type are zero.
fn canonical(inode: &Inode) -> Inode {
    let mut row = *inode;
    if row.is_directory() {
        row.rdev = 0;
    } else {
        row.parent = Ino(0);
    }
    row
}

/// A child row was refused because its inode is not there.
pub(super) fn missing_inode(error: MetaError, ino: Ino) -> MetaError {
    match error.is_foreign_key() {
        true => MetaError::Missing(format!("inode {ino}")),
        false => error,
    }
}

/// Where the durable reservation must be raised to, if it is time: numbers that a transaction takes
/// are then below a mark that no power cut takes back.
pub(super) fn reservation(next_ino: u64, durable: u64) -> Option<u64> {
    (next_ino + INO_LOW > durable).then_some(next_ino + INO_BLOCK)
}
