//! Extended attributes: user, trusted, security, and the two of POSIX ACLs.

use super::acl::{self, Acl};
use super::attr::row_in;
use super::mode::{RWX, S_ISGID, is_dir};
use super::{Caller, Fs, FsError};
use crate::meta::Tx;
use crate::types::{Ino, Nanos};

/// XATTR_NAME_MAX.
const NAME_MAX: usize = 255;
/// XATTR_SIZE_MAX.
const VALUE_MAX: usize = 64 << 10;
/// XATTR_LIST_MAX: a longer list could not be read back.
const LIST_MAX: usize = 64 << 10;

const NAMESPACES: [&[u8]; 3] = [b"user.", b"trusted.", b"security."];

fn good_name(name: &[u8]) -> Result<(), FsError> {
    let known = NAMESPACES.iter().any(|ns| name.starts_with(ns) && name.len() > ns.len());
    match name {
        _ if name.len() > NAME_MAX => Err(FsError::NameTooLong),
        _ if known || name == acl::ACCESS || name == acl::DEFAULT => Ok(()),
        _ => Err(FsError::NotSupported),
    }
}

impl Fs {
    /// getxattr(2).
    pub fn get_xattr(&self, ino: Ino, name: &[u8]) -> Result<Vec<u8>, FsError> {
        good_name(name)?;
        self.meta.read(|view| view.xattr(ino, name).map_err(FsError::from))?.ok_or(FsError::NoData)
    }

    /// listxattr(2).
    pub fn list_xattrs(&self, ino: Ino) -> Result<Vec<Vec<u8>>, FsError> {
        self.meta.read(|view| view.xattr_names(ino).map_err(FsError::from))
    }

    /// setxattr(2). An access ACL also sets the mode's permission bits.
    pub fn set_xattr(
        &self,
        who: Caller,
        ino: Ino,
        name: &[u8],
        value: &[u8],
        create_only: bool,
        replace_only: bool,
    ) -> Result<(), FsError> {
        self.growing()?;
        good_name(name)?;
        if value.len() > VALUE_MAX {
            return Err(FsError::ArgTooBig);
        }
        let (name, value) = (name.to_vec(), value.to_vec());
        let member = who.uid == 0 || self.row(ino).is_ok_and(|row| in_group(who, row.gid));
        self.meta.write(move |tx| {
            let exists = tx.xattr(ino, &name)?.is_some();
            match exists {
                true if create_only => return Err(FsError::Exists),
                false if replace_only => return Err(FsError::NoData),
                _ => {}
            }
            match &name[..] {
                acl::ACCESS => set_access_acl(tx, ino, &value, member)?,
                acl::DEFAULT => set_default_acl(tx, ino, &value)?,
                _ => {
                    room_in_list(tx, ino, &name, exists)?;
                    tx.set_xattr(ino, &name, &value)?;
                }
            }
            touch(tx, ino)
        })
    }

    /// removexattr(2).
    pub fn remove_xattr(&self, _who: Caller, ino: Ino, name: &[u8]) -> Result<(), FsError> {
        self.changing()?;
        good_name(name)?;
        let name = name.to_vec();
        self.meta.write(move |tx| {
            let acl = name == acl::ACCESS || name == acl::DEFAULT;
            // Removing an ACL that is not there is no error (removexattr of the kernel's own file systems).
            if !tx.remove_xattr(ino, &name)? && !acl {
                return Err(FsError::NoData);
            }
            touch(tx, ino)
        })
    }
}

fn touch(tx: &mut Tx<'_>, ino: Ino) -> Result<(), FsError> {
    let mut row = row_in(tx, ino)?;
    row.ctime = Nanos::now();
    Ok(tx.update_inode(&row)?)
}

fn room_in_list(tx: &Tx<'_>, ino: Ino, name: &[u8], exists: bool) -> Result<(), FsError> {
    let listed: usize = tx.xattr_names(ino)?.iter().map(|n| n.len() + 1).sum();
    if !exists && listed + name.len() + 1 > LIST_MAX {
        return Err(FsError::NoSpace);
    }
    Ok(())
}

fn set_access_acl(tx: &mut Tx<'_>, ino: Ino, value: &[u8], member: bool) -> Result<(), FsError> {
    let acl = Acl::parse(value).ok_or(FsError::Invalid)?;
    let mut row = row_in(tx, ino)?;
    row.mode = (row.mode & !RWX) | acl.mode();
    if !member {
        // As chmod(2) does for a caller outside of the owning group.
        row.mode &= !S_ISGID;
    }
    tx.update_inode(&row)?;
    match acl.is_minimal() {
        true => tx.remove_xattr(ino, acl::ACCESS).map(drop)?,
        false => tx.set_xattr(ino, acl::ACCESS, value)?,
    }
    Ok(())
}

fn set_default_acl(tx: &mut Tx<'_>, ino: Ino, value: &[u8]) -> Result<(), FsError> {
    if !is_dir(row_in(tx, ino)?.mode) {
        return Err(FsError::Access);
    }
    Acl::parse(value).ok_or(FsError::Invalid)?;
    Ok(tx.set_xattr(ino, acl::DEFAULT, value)?)
}

/// Whether the caller is in a group: FUSE passes on only the effective one, /proc knows the others.
fn in_group(who: Caller, gid: u32) -> bool {
    let listed = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", who.pid)).ok()?;
        let groups = status.lines().find_map(|line| line.strip_prefix("Groups:"))?;
        Some(groups.split_whitespace().any(|g| g.parse() == Ok(gid)))
    };
    who.gid == gid || listed().unwrap_or(false)
}
