//! POSIX semantics over `meta` (stored), `cache` (overlay) and `flow` (data on its way). No FUSE type
//! here: every operation can be tested without a mount. One file for each family of operations.
//!
//! What holds:
//! - Permission checks are the kernel's (`default_permissions`); what the kernel leaves to a file
//!   system is here: set-gid inheritance, ACL inheritance and their effect on modes, times, link counts.
//! - A namespace operation is one metadata transaction that checks what it depends on inside.
//! - Before an inode's first dirty byte or truncation is accepted, its pending row is committed.
//! - No call waits for the network: what may have to is answered through a [`Done`] callback.

use crate::cache::Cache;
use crate::flow::Flow;
use crate::meta::{Cookie, Meta};
use crate::types::{ByteRange, Ino, Nanos};
use std::sync::Arc;

mod error;
pub use error::FsError;

/// Called once with the outcome, on this or another thread.
pub type Done<T> = Box<dyn FnOnce(Result<T, FsError>) + Send + 'static>;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
    /// The thread that asks.
    pub pid: u32,
}

/// What stat(2) shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attr {
    /// Inode number.
    pub ino: Ino,
    /// Size in bytes.
    pub size: u64,
    /// 512-byte units.
    pub blocks: u64,
    /// Times.
    pub atime: Nanos,
    /// Modification.
    pub mtime: Nanos,
    /// Change.
    pub ctime: Nanos,
    /// `st_mode`.
    pub mode: u32,
    /// Links.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device.
    pub rdev: u32,
}

/// A time to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetTime {
    /// The wall clock.
    Now,
    /// This.
    At(Nanos),
}

/// What setattr changes; `None` stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAttr {
    /// Permission bits (the file type is ignored).
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// truncate(2).
    pub size: Option<u64>,
    /// Access time.
    pub atime: Option<SetTime>,
    /// Modification time.
    pub mtime: Option<SetTime>,
    /// Change time, as the kernel says it with its writeback cache.
    pub ctime: Option<Nanos>,
}

/// An open file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle(pub u64);

/// The flags of renameat2(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RenameFlags {
    /// RENAME_NOREPLACE.
    pub no_replace: bool,
    /// RENAME_EXCHANGE.
    pub exchange: bool,
    /// RENAME_WHITEOUT.
    pub whiteout: bool,
}

/// fallocate(2)'s modes that are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocate {
    /// Mode 0: only the size can change (nothing can be reserved in a bucket).
    Extend,
    /// FALLOC_FL_KEEP_SIZE alone: nothing to do.
    KeepSize,
    /// FALLOC_FL_PUNCH_HOLE.
    Punch,
    /// FALLOC_FL_ZERO_RANGE.
    Zero {
        /// FALLOC_FL_KEEP_SIZE.
        keep_size: bool,
    },
}

/// lseek(2)'s sparse modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeekTo {
    /// SEEK_DATA.
    Data,
    /// SEEK_HOLE.
    Hole,
}

/// statfs(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatFs {
    /// Block size of the figures.
    pub block_size: u32,
    /// Blocks in all.
    pub blocks: u64,
    /// Free blocks.
    pub free: u64,
    /// Inodes in all.
    pub files: u64,
    /// Free inodes.
    pub files_free: u64,
    /// Longest name.
    pub name_max: u32,
}

/// A name of a listing, `.` and `..` included.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The name.
    pub name: Vec<u8>,
    /// The attributes (of `..`: only `ino` and `mode` are right).
    pub attr: Attr,
    /// The offset of the *next* entry, for the kernel.
    pub cookie: Cookie,
    /// How many of the following entries must go into the same reply (colliding hashes).
    pub sticky: usize,
    /// False for `.` and `..`, which readdirplus must not count as looked up.
    pub counts: bool,
}

/// What a mount decides.
#[derive(Clone, Debug)]
pub struct FsOptions {
    /// Refuse every change.
    pub read_only: bool,
    /// Never touch atime at open (`noatime`); otherwise relatime.
    pub no_atime: bool,
    /// What statfs says is there in all, in bytes.
    pub capacity: u64,
}

/// The file system. Share it by `Arc`.
pub struct Fs {
    meta: Arc<Meta>,
    cache: Arc<Cache>,
    flow: Arc<Flow>,
    options: FsOptions,
}

#[allow(missing_docs, unused_variables)]
impl Fs {
    pub fn new(meta: Arc<Meta>, cache: Arc<Cache>, flow: Arc<Flow>, options: FsOptions) -> Arc<Fs> {
        todo!()
    }

    // Every operation that answers an entry to the kernel (lookup, create, mknod, mkdir, symlink, link,
    // and each listed entry with `counts` once readdirplus has put it in its reply: `known`) counts one
    // reference; `forget` takes them back.
    pub fn known(&self, ino: Ino) {
        todo!()
    }
    pub fn forget(&self, ino: Ino, count: u64) {
        todo!()
    }

    pub fn lookup(&self, parent: Ino, name: &[u8]) -> Result<Attr, FsError> {
        todo!()
    }
    pub fn getattr(&self, ino: Ino) -> Result<Attr, FsError> {
        todo!()
    }
    pub fn setattr(self: &Arc<Self>, who: Caller, ino: Ino, change: SetAttr) -> Result<Attr, FsError> {
        todo!()
    }
    pub fn readlink(&self, ino: Ino) -> Result<Vec<u8>, FsError> {
        todo!()
    }
    /// `mode` has the file type; the umask is not yet applied to it (a default ACL overrides it).
    pub fn mknod(
        &self,
        who: Caller,
        parent: Ino,
        name: &[u8],
        mode: u32,
        umask: u32,
        rdev: u32,
    ) -> Result<Attr, FsError> {
        todo!()
    }
    pub fn mkdir(
        &self,
        who: Caller,
        parent: Ino,
        name: &[u8],
        mode: u32,
        umask: u32,
    ) -> Result<Attr, FsError> {
        todo!()
    }
    pub fn symlink(&self, who: Caller, parent: Ino, name: &[u8], target: &[u8]) -> Result<Attr, FsError> {
        todo!()
    }
    pub fn link(&self, ino: Ino, parent: Ino, name: &[u8]) -> Result<Attr, FsError> {
        todo!()
    }
    pub fn unlink(&self, parent: Ino, name: &[u8]) -> Result<(), FsError> {
        todo!()
    }
    pub fn rmdir(&self, parent: Ino, name: &[u8]) -> Result<(), FsError> {
        todo!()
    }
    pub fn rename(
        &self,
        who: Caller,
        parent: Ino,
        name: &[u8],
        to_parent: Ino,
        to_name: &[u8],
        flags: RenameFlags,
    ) -> Result<(), FsError> {
        todo!()
    }

    /// `flags` are open(2)'s.
    pub fn open(self: &Arc<Self>, ino: Ino, flags: i32) -> Result<Handle, FsError> {
        todo!()
    }
    pub fn create(
        self: &Arc<Self>,
        who: Caller,
        parent: Ino,
        name: &[u8],
        mode: u32,
        umask: u32,
        flags: i32,
    ) -> Result<(Attr, Handle), FsError> {
        todo!()
    }
    pub fn read(self: &Arc<Self>, ino: Ino, fh: Handle, offset: u64, len: u32, done: Done<Vec<u8>>) {
        todo!()
    }
    /// Copies `data` only when it has to wait for room.
    pub fn write(self: &Arc<Self>, ino: Ino, fh: Handle, offset: u64, data: &[u8], done: Done<u32>) {
        todo!()
    }
    pub fn release(&self, ino: Ino, fh: Handle) {
        todo!()
    }
    pub fn fsync(self: &Arc<Self>, ino: Ino, done: Done<()>) {
        todo!()
    }
    pub fn fsync_dir(self: &Arc<Self>, ino: Ino, done: Done<()>) {
        todo!()
    }
    /// All of it: what `pailctl sync` asks for.
    pub fn sync_all(self: &Arc<Self>, done: Done<()>) {
        todo!()
    }
    pub fn fallocate(
        self: &Arc<Self>,
        ino: Ino,
        how: Allocate,
        offset: u64,
        len: u64,
    ) -> Result<(), FsError> {
        todo!()
    }
    pub fn seek(&self, ino: Ino, offset: u64, to: SeekTo) -> Result<u64, FsError> {
        todo!()
    }
    pub fn copy_range(
        self: &Arc<Self>,
        from: Ino,
        offset: u64,
        to: Ino,
        at: u64,
        len: u64,
    ) -> Result<u64, FsError> {
        todo!()
    }

    pub fn open_dir(&self, ino: Ino) -> Result<Handle, FsError> {
        todo!()
    }
    /// Entries after `after` (0 = from the start), about `limit`.
    pub fn read_dir(&self, ino: Ino, after: Cookie, limit: usize) -> Result<Vec<Listed>, FsError> {
        todo!()
    }
    pub fn release_dir(&self, ino: Ino, fh: Handle) {
        todo!()
    }

    pub fn get_xattr(&self, ino: Ino, name: &[u8]) -> Result<Vec<u8>, FsError> {
        todo!()
    }
    pub fn set_xattr(
        &self,
        who: Caller,
        ino: Ino,
        name: &[u8],
        value: &[u8],
        create_only: bool,
        replace_only: bool,
    ) -> Result<(), FsError> {
        todo!()
    }
    pub fn list_xattrs(&self, ino: Ino) -> Result<Vec<Vec<u8>>, FsError> {
        todo!()
    }
    pub fn remove_xattr(&self, who: Caller, ino: Ino, name: &[u8]) -> Result<(), FsError> {
        todo!()
    }

    pub fn statfs(&self) -> Result<StatFs, FsError> {
        todo!()
    }
}

#[allow(dead_code)]
fn silence(f: &Fs, r: ByteRange) {
    let _ = (&f.meta, &f.cache, &f.flow, &f.options, r);
}
