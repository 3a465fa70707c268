//! POSIX semantics over `meta` (stored), `cache` (overlay) and `flow` (data on its way). No FUSE type
//! here: every operation can be tested without a mount. One file for each family of operations.
//!
//! What holds:
//! - Permission checks are the kernel's (`default_permissions`); what the kernel leaves to a file
//!   system is here: set-gid inheritance, ACL inheritance and their effect on modes, times, link counts.
//! - A namespace operation is one metadata transaction that checks what it depends on inside.
//! - Before an inode's first dirty byte or truncation is accepted, its pending row is committed.
//! - No call waits for the network: what may have to is answered through a [`Done`] callback.

use crate::cache::{Cache, Entry};
use crate::flow::{Flow, Stream};
use crate::meta::{Cookie, Meta, MetaError};
use crate::types::{Ino, Nanos};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

mod acl;
mod attr;
mod content;
mod copy;
mod directory;
mod error;
mod mode;
mod names;
mod open;
mod rename;
mod space;
mod statfs;
mod xattr;
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

/// An open file: what its reads and writes need at hand.
#[derive(Clone)]
struct OpenFile {
    ino: Ino,
    writes: bool,
    entry: Arc<Entry>,
    stream: Arc<Stream>,
}

/// The file system. Share it by `Arc`.
pub struct Fs {
    meta: Arc<Meta>,
    cache: Arc<Cache>,
    flow: Arc<Flow>,
    options: FsOptions,
    open_files: Mutex<HashMap<Handle, OpenFile>>,
    next_handle: AtomicU64,
}

impl Fs {
    /// The file system over its three rooms.
    pub fn new(meta: Arc<Meta>, cache: Arc<Cache>, flow: Arc<Flow>, options: FsOptions) -> Arc<Fs> {
        Arc::new(Fs {
            meta,
            cache,
            flow,
            options,
            open_files: Mutex::new(HashMap::new()),
            next_handle: AtomicU64::new(1),
        })
    }

    /// The kernel knows the inode (one reference more). Every operation that answers an entry counts by
    /// itself; readdirplus calls this for each counted entry that it put in its reply.
    pub fn known(&self, ino: Ino) {
        self.flow.pin(ino);
    }

    /// The kernel forgot `count` references.
    pub fn forget(&self, ino: Ino, count: u64) {
        self.flow.unpin(ino, count);
    }

    /// Refuses what would grow the file system while the local disk is full.
    fn growing(&self) -> Result<(), FsError> {
        self.changing()?;
        if self.cache.has_ballast() { Ok(()) } else { Err(FsError::NoSpace) }
    }

    /// Runs what makes room; on a full disk once more, with the ballast given up.
    fn making_room<T>(&self, mut work: impl FnMut() -> Result<T, FsError>) -> Result<T, FsError> {
        match work() {
            Err(FsError::Meta(MetaError::Full)) if self.cache.release_ballast() => work(),
            done => done,
        }
    }

    /// Refuses a change on a read-only mount.
    fn changing(&self) -> Result<(), FsError> {
        if self.options.read_only { Err(FsError::ReadOnly) } else { Ok(()) }
    }
}
