//! Names: lookup, and everything that makes or removes one but rename.
//!
//! Each change is one transaction that looks, decides and writes, so that two of them can never both
//! believe a name to be free.

use super::acl::{self, Acl};
use super::attr::{combine, row_in};
use super::mode::{RWX, S_IFDIR, S_IFLNK, S_ISGID, is_dir, is_file, is_node};
use super::{Attr, Caller, Fs, FsError};
use crate::meta::{Inode, Tx};
use crate::types::{Ino, Nanos};

/// NAME_MAX.
pub(super) const NAME_MAX: usize = 255;
/// PATH_MAX less its NUL: a symlink's longest target.
const TARGET_MAX: usize = 4095;
/// As many hard links as an inode may have.
const LINK_MAX: u32 = 1 << 30;

/// What a new inode is to be.
struct NewNode {
    mode: u32,
    umask: u32,
    rdev: u32,
    target: Option<Vec<u8>>,
}

/// A name that may be given to something.
pub(super) fn good_name(name: &[u8]) -> Result<(), FsError> {
    match name {
        _ if name.len() > NAME_MAX => Err(FsError::NameTooLong),
        b"" | b"." | b".." => Err(FsError::Invalid),
        _ if name.iter().any(|b| matches!(b, b'/' | 0)) => Err(FsError::Invalid),
        _ => Ok(()),
    }
}

/// The directory that a change of names happens in; a removed one takes no new names.
pub(super) fn live_dir(tx: &Tx<'_>, ino: Ino) -> Result<Inode, FsError> {
    let row = tx.inode(ino)?.ok_or(FsError::NotFound)?;
    match row {
        _ if !is_dir(row.mode) => Err(FsError::NotDir),
        _ if row.nlink == 0 => Err(FsError::NotFound),
        _ => Ok(row),
    }
}

/// Writes a directory whose entries changed.
pub(super) fn touch_dir(tx: &mut Tx<'_>, mut dir: Inode, links: i32, now: Nanos) -> Result<(), FsError> {
    dir.nlink = dir.nlink.saturating_add_signed(links);
    dir.mtime = now;
    dir.ctime = now;
    Ok(tx.update_inode(&dir)?)
}

/// Takes one link from an inode that lost a name; one without links left waits for its last user.
pub(super) fn drop_link(tx: &mut Tx<'_>, mut row: Inode, now: Nanos) -> Result<(), FsError> {
    row.nlink = if is_dir(row.mode) { 0 } else { row.nlink.saturating_sub(1) };
    row.ctime = now;
    tx.update_inode(&row)?;
    if row.nlink == 0 {
        tx.drop_shadow(row.ino)?;
        tx.add_orphan(row.ino)?;
    }
    Ok(())
}

fn insert_node(
    tx: &mut Tx<'_>,
    who: Caller,
    parent: Ino,
    name: &[u8],
    node: NewNode,
) -> Result<Inode, FsError> {
    let now = Nanos::now();
    let dir = live_dir(tx, parent)?;
    if tx.lookup(parent, name)?.is_some() {
        return Err(FsError::Exists);
    }
    let directory = is_dir(node.mode);
    let inherited = match node.target {
        Some(_) => None,
        None => tx.xattr(parent, acl::DEFAULT)?,
    };
    let mut access = inherited.as_deref().and_then(Acl::parse);
    let mut mode = match &mut access {
        Some(acl) => acl.inherit(node.mode),
        None => node.mode & !(node.umask & RWX),
    };
    let group_inherits = dir.mode & S_ISGID != 0;
    if group_inherits && directory {
        mode |= S_ISGID;
    }
    let row = Inode {
        ino: tx.alloc_ino()?,
        mode,
        uid: who.uid,
        gid: if group_inherits { dir.gid } else { who.gid },
        nlink: if directory { 2 } else { 1 },
        rdev: node.rdev,
        size: node.target.as_ref().map_or(0, |t| t.len() as u64),
        holes: 0,
        atime: now,
        mtime: now,
        ctime: now,
        parent: if directory { parent } else { Ino(0) },
        flushed: 0,
    };
    tx.insert_inode(&row)?;
    tx.insert_name(parent, name, row.ino)?;
    if let Some(target) = &node.target {
        tx.set_symlink(row.ino, target)?;
    }
    if let Some(acl) = access.filter(|acl| !acl.is_minimal()) {
        tx.set_xattr(row.ino, acl::ACCESS, &acl.to_bytes())?;
    }
    if let Some(value) = inherited.filter(|_| directory) {
        tx.set_xattr(row.ino, acl::DEFAULT, &value)?;
    }
    touch_dir(tx, dir, i32::from(directory), now)?;
    Ok(row)
}

impl Fs {
    /// What a name leads to. The reference is counted before the inode is looked at, so that it can't be
    /// reaped in between.
    pub fn lookup(&self, parent: Ino, name: &[u8]) -> Result<Attr, FsError> {
        let ino = match name {
            b"." => parent,
            b".." => self.row(parent)?.parent,
            _ if name.len() > NAME_MAX => return Err(FsError::NameTooLong),
            _ => self.meta.lookup(parent, name)?.ok_or(FsError::NotFound)?,
        };
        self.known(ino);
        self.getattr(ino).map_err(|e| {
            self.forget(ino, 1);
            if matches!(e, FsError::Stale) { FsError::NotFound } else { e }
        })
    }

    fn add_node(&self, who: Caller, parent: Ino, name: &[u8], node: NewNode) -> Result<Attr, FsError> {
        self.growing()?;
        good_name(name)?;
        let name = name.to_vec();
        let row = self.meta.write(move |tx| insert_node(tx, who, parent, &name, node))?;
        self.known(row.ino);
        Ok(combine(&row, None))
    }

    /// mknod(2) and creat(2). `mode` has the file type; the umask is not yet applied to it, because a
    /// default ACL overrides it.
    pub fn mknod(
        &self,
        who: Caller,
        parent: Ino,
        name: &[u8],
        mode: u32,
        umask: u32,
        rdev: u32,
    ) -> Result<Attr, FsError> {
        if !is_node(mode) {
            return Err(FsError::Invalid);
        }
        self.add_node(who, parent, name, NewNode { mode, umask, rdev, target: None })
    }

    /// mkdir(2).
    pub fn mkdir(
        &self,
        who: Caller,
        parent: Ino,
        name: &[u8],
        mode: u32,
        umask: u32,
    ) -> Result<Attr, FsError> {
        let mode = S_IFDIR | (mode & super::mode::PERMISSIONS);
        self.add_node(who, parent, name, NewNode { mode, umask, rdev: 0, target: None })
    }

    /// symlink(2).
    pub fn symlink(&self, who: Caller, parent: Ino, name: &[u8], target: &[u8]) -> Result<Attr, FsError> {
        if target.len() > TARGET_MAX {
            return Err(FsError::NameTooLong);
        }
        let target = Some(target.to_vec());
        self.add_node(who, parent, name, NewNode { mode: S_IFLNK | 0o777, umask: 0, rdev: 0, target })
    }

    /// readlink(2).
    pub fn readlink(&self, ino: Ino) -> Result<Vec<u8>, FsError> {
        self.meta.read(|view| view.symlink(ino).map_err(FsError::from))?.ok_or(FsError::Invalid)
    }

    /// link(2).
    pub fn link(&self, ino: Ino, parent: Ino, name: &[u8]) -> Result<Attr, FsError> {
        self.growing()?;
        good_name(name)?;
        let owned = name.to_vec();
        self.meta.write(move |tx| {
            let now = Nanos::now();
            let dir = live_dir(tx, parent)?;
            let mut row = row_in(tx, ino)?;
            match row {
                _ if is_dir(row.mode) => return Err(FsError::NotPermitted),
                _ if row.nlink == 0 => return Err(FsError::NotFound),
                _ if row.nlink >= LINK_MAX => return Err(FsError::TooManyLinks),
                _ if tx.lookup(parent, &owned)?.is_some() => return Err(FsError::Exists),
                _ => {}
            }
            row.nlink += 1;
            row.ctime = now;
            tx.update_inode(&row)?;
            tx.insert_name(parent, &owned, ino)?;
            touch_dir(tx, dir, 0, now)
        })?;
        self.known(ino);
        self.getattr(ino)
    }

    /// unlink(2).
    pub fn unlink(&self, parent: Ino, name: &[u8]) -> Result<(), FsError> {
        self.remove(parent, name, |_, row| if is_dir(row.mode) { Err(FsError::IsDir) } else { Ok(()) })
    }

    /// rmdir(2).
    pub fn rmdir(&self, parent: Ino, name: &[u8]) -> Result<(), FsError> {
        self.remove(parent, name, |tx, row| match row {
            _ if !is_dir(row.mode) => Err(FsError::NotDir),
            _ if !tx.is_empty_dir(row.ino)? => Err(FsError::NotEmpty),
            _ => Ok(()),
        })
    }

    fn remove(
        &self,
        parent: Ino,
        name: &[u8],
        allowed: fn(&Tx<'_>, &Inode) -> Result<(), FsError>,
    ) -> Result<(), FsError> {
        self.changing()?;
        if name.len() > NAME_MAX {
            return Err(FsError::NameTooLong);
        }
        let gone = self.making_room(|| self.remove_once(parent, name.to_vec(), allowed))?;
        // Nobody may know the inode (a caller that did not look it up): then it is reaped now.
        self.forget(gone, 0);
        Ok(())
    }

    fn remove_once(
        &self,
        parent: Ino,
        name: Vec<u8>,
        allowed: fn(&Tx<'_>, &Inode) -> Result<(), FsError>,
    ) -> Result<Ino, FsError> {
        self.meta.write(move |tx| {
            let now = Nanos::now();
            let dir = live_dir(tx, parent)?;
            let ino = tx.lookup(parent, &name)?.ok_or(FsError::NotFound)?;
            let row = row_in(tx, ino)?;
            allowed(tx, &row)?;
            tx.remove_name(parent, &name)?;
            drop_link(tx, row, now)?;
            touch_dir(tx, dir, if is_dir(row.mode) { -1 } else { 0 }, now)?;
            Ok::<Ino, FsError>(ino)
        })
    }
}

/// A regular file that was stored at least once: its content is worth keeping as a shadow.
pub(super) fn has_stored_content(row: &Inode) -> bool {
    is_file(row.mode) && (row.flushed > 0 || row.size > 0)
}
