//! From an inode back to a path, for messages.

use super::counters::unsigned;
use super::error::{MetaError, int};
use super::view::View;
use crate::types::Ino;
use rusqlite::params;

/// A path of more directories than this is a cycle in a damaged table.
const MAX_DEPTH: usize = 4096;

impl View<'_> {
    /// A path by which an inode is reached, for messages (may scan names; not for hot paths): absolute
    /// below the file system's root. `None`: it has no name, or a directory above it has none.
    pub fn path_of(&self, ino: Ino) -> Result<Option<Vec<u8>>, MetaError> {
        if ino == Ino::ROOT {
            return Ok(Some(b"/".to_vec()));
        }
        let Some(row) = self.inode(ino)? else { return Ok(None) };
        let first = match row.is_directory() {
            true => self.name_below(row.parent, ino)?.map(|name| (row.parent, name)),
            false => self.some_name(ino)?,
        };
        let Some((mut dir, name)) = first else { return Ok(None) };
        let mut parts = vec![name];
        while dir != Ino::ROOT {
            let Some(row) = self.inode(dir)? else { return Ok(None) };
            let Some(name) = self.name_below(row.parent, dir)? else { return Ok(None) };
            parts.push(name);
            if parts.len() > MAX_DEPTH {
                return Ok(None);
            }
            dir = row.parent;
        }
        let mut path = Vec::new();
        for part in parts.iter().rev() {
            path.push(b'/');
            path.extend_from_slice(part);
        }
        Ok(Some(path))
    }

    fn name_below(&self, parent: Ino, ino: Ino) -> Result<Option<Vec<u8>>, MetaError> {
        let sql = "SELECT name FROM name WHERE parent = ? AND ino = ? LIMIT 1";
        self.one(sql, params![int(parent.0)?, int(ino.0)?], |row| row.get(0))
    }

    /// Scans all names: there is no index from inodes to names, on purpose.
    fn some_name(&self, ino: Ino) -> Result<Option<(Ino, Vec<u8>)>, MetaError> {
        let sql = "SELECT parent, name FROM name WHERE ino = ? LIMIT 1";
        self.one(sql, [int(ino.0)?], |row| Ok((Ino(unsigned(row, 0)?), row.get(1)?)))
    }
}
