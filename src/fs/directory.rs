//! Listings. They keep no state between calls: an entry's cookie is where the next call goes on, so a
//! listing stays right while the directory changes, across opens and for NFS.

use super::attr::combine;
use super::mode::{is_dir, is_file};
use super::{Attr, Fs, FsError, Listed};
use crate::meta::{Cookie, DirEntry, FIRST_COOKIE};
use crate::types::Ino;

const DOT: Cookie = 1;
const DOT_DOT: Cookie = 2;
const _: () = assert!(DOT_DOT < FIRST_COOKIE);

impl Fs {
    /// Entries after `after` (0 = from the start), about `limit`; empty at the end.
    pub fn read_dir(&self, ino: Ino, after: Cookie, limit: usize) -> Result<Vec<Listed>, FsError> {
        let mut listed = Vec::with_capacity(limit.saturating_add(2));
        if after < DOT_DOT {
            let row = self.row(ino)?;
            if !is_dir(row.mode) {
                return Err(FsError::NotDir);
            }
            if after < DOT {
                listed.push(special(b".", combine(&row, None), DOT));
            }
            let up = Attr { ino: row.parent, ..combine(&row, None) };
            listed.push(special(b"..", up, DOT_DOT));
        }
        let entries =
            self.meta.read(|view| view.read_dir(ino, after.max(DOT_DOT), limit).map_err(FsError::from))?;
        let cookies: Vec<Cookie> = entries.iter().map(|e| e.cookie).collect();
        for (i, entry) in entries.into_iter().enumerate() {
            let sticky = cookies.iter().skip(i + 1).take_while(|c| **c == entry.cookie).count();
            if let Some(attr) = self.listed_attr(&entry)? {
                listed.push(Listed { name: entry.name, attr, cookie: entry.cookie, sticky, counts: true });
            }
        }
        Ok(listed)
    }

    /// The row came before the overlay was looked at. Where there is no overlay a flush may have ended it
    /// in between, so the row of a regular file is read once more; `None`: removed meanwhile.
    fn listed_attr(&self, entry: &DirEntry) -> Result<Option<Attr>, FsError> {
        let row = entry.inode;
        if !is_file(row.mode) {
            return Ok(Some(combine(&row, None)));
        }
        match self.cache.overlay(row.ino) {
            Some(overlay) => Ok(Some(combine(&row, Some(overlay)))),
            None => Ok(self.meta.inode(row.ino)?.map(|row| combine(&row, None))),
        }
    }
}

fn special(name: &[u8], attr: Attr, cookie: Cookie) -> Listed {
    Listed { name: name.to_vec(), attr, cookie, sticky: 0, counts: false }
}
