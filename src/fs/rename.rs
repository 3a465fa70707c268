//! renameat2(2), all its flags.
//!
//! A replaced file lives until its successor is stored (design.md, decision 2): the source's overlay is
//! synced before the transaction is written, so that after a power cut the name has the whole old or
//! the whole new content; and while the source is pending, the replaced inode stays as its shadow, so
//! that a restore from the bucket can give the name the content that it had.

use super::attr::row_in;
use super::mode::{S_IFCHR, is_dir};
use super::names::{drop_link, good_name, has_stored_content, live_dir, touch_dir};
use super::{Caller, Fs, FsError, RenameFlags};
use crate::meta::{Inode, Shadow, Tx};
use crate::types::{Ino, Nanos};

/// No directory is deeper: PATH_MAX bounds what a path can name, and this what a walk upward costs.
const DEPTH_MAX: usize = 1 << 16;

/// One side of a rename: a directory and a name in it.
#[derive(Clone)]
struct Place {
    dir: Ino,
    name: Vec<u8>,
}

impl Fs {
    /// renameat2(2).
    pub fn rename(
        &self,
        who: Caller,
        parent: Ino,
        name: &[u8],
        to_parent: Ino,
        to_name: &[u8],
        flags: RenameFlags,
    ) -> Result<(), FsError> {
        self.changing()?;
        good_name(name)?;
        good_name(to_name)?;
        if flags.exchange && (flags.no_replace || flags.whiteout) {
            return Err(FsError::Invalid);
        }
        if let (Some(source), Some(_)) =
            (self.meta.lookup(parent, name)?, self.meta.lookup(to_parent, to_name)?)
            && self.cache.overlay(source).is_some()
        {
            self.cache.entry(source).sync()?;
        }
        let from = Place { dir: parent, name: name.to_vec() };
        let to = Place { dir: to_parent, name: to_name.to_vec() };
        let replaced = self.meta.write(move |tx| {
            if flags.exchange {
                exchange(tx, &from, &to).map(|()| None)
            } else {
                move_name(tx, who, &from, &to, flags)
            }
        })?;
        if let Some(ino) = replaced {
            self.forget(ino, 0);
        }
        Ok(())
    }
}

/// Refuses to put a directory below itself.
fn not_below_itself(tx: &Tx<'_>, moved: &Inode, dir: Ino) -> Result<(), FsError> {
    if !is_dir(moved.mode) {
        return Ok(());
    }
    let mut at = dir;
    for _ in 0..DEPTH_MAX {
        if at == moved.ino {
            return Err(FsError::Invalid);
        }
        if at == Ino::ROOT {
            return Ok(());
        }
        at = row_in(tx, at)?.parent;
    }
    Err(FsError::Invalid)
}

/// Returns the inode that lost the name, if one did.
fn move_name(
    tx: &mut Tx<'_>,
    who: Caller,
    from: &Place,
    to: &Place,
    flags: RenameFlags,
) -> Result<Option<Ino>, FsError> {
    let now = Nanos::now();
    live_dir(tx, from.dir)?;
    live_dir(tx, to.dir)?;
    let ino = tx.lookup(from.dir, &from.name)?.ok_or(FsError::NotFound)?;
    let mut source = row_in(tx, ino)?;
    let target = tx.lookup(to.dir, &to.name)?;
    match target {
        Some(_) if flags.no_replace => return Err(FsError::Exists),
        // Two names of one inode: rename(2) does nothing.
        Some(target) if target == ino => return Ok(None),
        _ => {}
    }
    not_below_itself(tx, &source, to.dir)?;
    if let Some(target) = target {
        replace(tx, &source, row_in(tx, target)?, to, now)?;
        tx.repoint_name(to.dir, &to.name, ino)?;
    } else {
        tx.insert_name(to.dir, &to.name, ino)?;
    }
    tx.remove_name(from.dir, &from.name)?;

    let subdirectory = i32::from(is_dir(source.mode));
    touch_dir(tx, row_in(tx, from.dir)?, -subdirectory, now)?;
    touch_dir(tx, row_in(tx, to.dir)?, subdirectory, now)?;
    if is_dir(source.mode) {
        source.parent = to.dir;
    }
    source.ctime = now;
    tx.update_inode(&source)?;
    if flags.whiteout {
        insert_whiteout(tx, who, from, now)?;
    }
    Ok(target)
}

/// The name at `to` is about to be the source's: what had it loses a link, or stays as a shadow.
fn replace(tx: &mut Tx<'_>, source: &Inode, target: Inode, to: &Place, now: Nanos) -> Result<(), FsError> {
    match (is_dir(source.mode), is_dir(target.mode)) {
        (true, false) => return Err(FsError::NotDir),
        (false, true) => return Err(FsError::IsDir),
        (true, true) => {
            if !tx.is_empty_dir(target.ino)? {
                return Err(FsError::NotEmpty);
            }
            touch_dir(tx, row_in(tx, to.dir)?, -1, now)?;
            return drop_link(tx, target, now);
        }
        (false, false) => {}
    }
    if target.nlink > 1 || !tx.is_pending(source.ino)? {
        return drop_link(tx, target, now);
    }
    // What the source replaced before is no longer at a name that the source has.
    tx.drop_shadow(source.ino)?;
    if tx.shadow_of(target.ino)?.is_some() {
        // The target itself never replaced its predecessor in the store: pass the predecessor on.
        tx.pass_shadow(target.ino, source.ino)?;
        return drop_link(tx, target, now);
    }
    if !has_stored_content(&target) {
        return drop_link(tx, target, now);
    }
    let nameless = Inode { nlink: 0, ctime: now, ..target };
    tx.update_inode(&nameless)?;
    Ok(tx.set_shadow(Shadow { successor: source.ino, replaced: target.ino })?)
}

/// RENAME_EXCHANGE.
fn exchange(tx: &mut Tx<'_>, a: &Place, b: &Place) -> Result<(), FsError> {
    let now = Nanos::now();
    live_dir(tx, a.dir)?;
    live_dir(tx, b.dir)?;
    let at_a = tx.lookup(a.dir, &a.name)?.ok_or(FsError::NotFound)?;
    let at_b = tx.lookup(b.dir, &b.name)?.ok_or(FsError::NotFound)?;
    if at_a == at_b {
        return Ok(());
    }
    let mut row_a = row_in(tx, at_a)?;
    let mut row_b = row_in(tx, at_b)?;
    not_below_itself(tx, &row_a, b.dir)?;
    not_below_itself(tx, &row_b, a.dir)?;
    tx.repoint_name(a.dir, &a.name, at_b)?;
    tx.repoint_name(b.dir, &b.name, at_a)?;
    let change = i32::from(is_dir(row_b.mode)) - i32::from(is_dir(row_a.mode));
    touch_dir(tx, row_in(tx, a.dir)?, change, now)?;
    touch_dir(tx, row_in(tx, b.dir)?, -change, now)?;
    for (row, dir) in [(&mut row_a, b.dir), (&mut row_b, a.dir)] {
        // Read again: one of the two may be the other's parent directory, touched just now.
        *row = row_in(tx, row.ino)?;
        if is_dir(row.mode) {
            row.parent = dir;
        }
        row.ctime = now;
        tx.update_inode(row)?;
    }
    Ok(())
}

/// RENAME_WHITEOUT: overlayfs finds a 0:0 character device where the name was.
fn insert_whiteout(tx: &mut Tx<'_>, who: Caller, at: &Place, now: Nanos) -> Result<(), FsError> {
    let ino = tx.alloc_ino()?;
    tx.insert_inode(&Inode {
        ino,
        mode: S_IFCHR,
        uid: who.uid,
        gid: who.gid,
        nlink: 1,
        rdev: 0,
        size: 0,
        holes: 0,
        atime: now,
        mtime: now,
        ctime: now,
        parent: Ino(0),
        flushed: 0,
    })?;
    Ok(tx.insert_name(at.dir, &at.name, ino)?)
}
