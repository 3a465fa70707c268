//! All the SQL: `meta.db` (the authority; shipped later) and `local.db` (can be rebuilt).
//!
//! What holds:
//! - meta.db holds only stored content: an inode's size, mtime and extents are those of its last
//!   flush; what is newer is the overlay in `cache` (design.md, decision 1).
//! - One writer. [`Meta::write`] runs closures in group commit: whoever finds the connection free
//!   leads, runs everything that waits in one transaction (a savepoint each) and commits; a closure
//!   that fails is rolled back alone. An answer is given after the commit. Readers have their own
//!   connections: "database is locked" can't happen.
//! - synchronous=NORMAL; [`Meta::sync`] makes all committed transactions durable (fsync of the WAL).
//! - Tables grow in key order; no index over random keys (decision 3). All STRICT, foreign keys on.
//! - Inode numbers are never reused, also across crashes (numbers are reserved in durable blocks).
//! - No transaction spans meta.db and local.db; no promise rests on local.db.

use crate::types::{ByteRange, ChunkId, Epoch, FsId, Ino, Nanos, PackName, WriterId};
use std::ops::Deref;
use std::path::Path;

/// An inode's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inode {
    /// Its number.
    pub ino: Ino,
    /// File type and permissions, as `st_mode`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Hard links; for a directory 2 + its subdirectories.
    pub nlink: u32,
    /// Device number of a device file (Linux's 32-bit encoding).
    pub rdev: u32,
    /// Stored size (of a symlink: its target's length; of a directory 0).
    pub size: u64,
    /// Bytes of `size` that no extent covers. Maintained by the `Tx` methods that touch extents and
    /// by `set_stored_size`.
    pub holes: u64,
    /// Times.
    pub atime: Nanos,
    /// Stored modification time.
    pub mtime: Nanos,
    /// Change time.
    pub ctime: Nanos,
    /// A directory's parent; the root's is itself. 0 for everything else.
    pub parent: Ino,
    /// The overlay generation that the last flush stored; 0 = never flushed.
    pub flushed: u64,
}

/// Position in a directory listing: entries are ordered by a 48-bit hash of the name, then by name.
/// The FUSE offset of an entry is its cookie; the listing goes on with entries *after* it.
pub type Cookie = u64;

/// An entry of a directory, with its inode (one join for readdirplus).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// Any bytes but `/` and NUL, 1 to 255 of them.
    pub name: Vec<u8>,
    /// The inode's row.
    pub inode: Inode,
    /// Where it stands; at least [`FIRST_COOKIE`]. Entries of one directory with equal cookies
    /// (colliding hashes) are adjacent, and `read_dir` never ends a page between them.
    pub cookie: Cookie,
}

/// Cookies below this are free for `.` and `..`.
pub const FIRST_COOKIE: Cookie = 16;

/// A chunk's number in meta.db.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkNo(pub u64);

/// A pack's number in meta.db.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackNo(pub u64);

/// A stored extent: bytes `range` of the file are bytes `chunk_offset..` of the chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Where in the file.
    pub range: ByteRange,
    /// Which chunk.
    pub chunk: ChunkNo,
    /// First byte in the chunk.
    pub chunk_offset: u32,
}

/// Where a chunk lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkRow {
    /// Its number.
    pub no: ChunkNo,
    /// Its name.
    pub id: ChunkId,
    /// Its pack.
    pub pack: PackNo,
    /// The pack's name, joined in.
    pub pack_name: PackName,
    /// Where the frame starts.
    pub offset: u32,
    /// How long the frame is.
    pub frame_len: u32,
    /// How long the plain chunk is.
    pub size: u32,
    /// How many extents name it.
    pub refs: u64,
    /// Its pack is condemned: never a target of de-duplication.
    pub condemned: bool,
}

/// A chunk to record with its pack.
#[derive(Clone, Copy, Debug)]
pub struct NewChunk {
    /// Its name.
    pub id: ChunkId,
    /// Where the frame starts.
    pub offset: u32,
    /// How long the frame is.
    pub frame_len: u32,
    /// How long the plain chunk is.
    pub size: u32,
}

/// What a flush stores of an inode, in one call.
#[derive(Clone, Debug)]
pub struct StoredContent {
    /// The file.
    pub ino: Ino,
    /// The overlay's generation that this is.
    pub generation: u64,
    /// Its size then.
    pub size: u64,
    /// Its mtime then.
    pub mtime: Nanos,
    /// Its ctime then; the row keeps a newer one.
    pub ctime: Nanos,
    /// Ranges whose stored extents are replaced (cut out first), ascending. What lies beyond `size`
    /// is cut out in any case.
    pub replaced: Vec<ByteRange>,
    /// New extents, ascending, inside `replaced`.
    pub extents: Vec<Extent>,
    /// Whether the overlay is empty afterwards: the pending row goes, and so does the shadow.
    pub settled: bool,
}

/// A retained, nameless predecessor of a name whose present file was never stored (decision 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shadow {
    /// The pending inode that has the name now.
    pub successor: Ino,
    /// The inode that the name had.
    pub replaced: Ino,
}

/// Totals, kept by the transactions; nothing is scanned for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Names in directories.
    pub entries: u64,
    /// Inodes.
    pub inodes: u64,
    /// Stored sizes of all regular files.
    pub file_bytes: u64,
    /// Chunks that are named by an extent.
    pub live_chunks: u64,
    /// Plain bytes of those: after de-duplication.
    pub live_plain_bytes: u64,
    /// Frame bytes of those: after compression.
    pub live_frame_bytes: u64,
    /// Pack objects, the condemned included.
    pub packs: u64,
    /// Bytes of them.
    pub pack_bytes: u64,
    /// Packs waiting for removal.
    pub condemned_packs: u64,
}

/// A pack's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackRow {
    /// Its number.
    pub no: PackNo,
    /// Its object.
    pub name: PackName,
    /// The object's size.
    pub size: u64,
    /// Frame bytes of chunks that extents name.
    pub live_bytes: u64,
    /// When it was condemned; `None` = in use.
    pub condemned: Option<Nanos>,
}

/// Who this database belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The file system.
    pub fs: FsId,
    /// The cache directory's random id.
    pub writer: WriterId,
}

/// Errors of this room.
#[derive(Debug, thiserror::Error)]
pub enum MetaError {
    /// The disk that holds the database is full.
    #[error("the disk of the metadata database is full")]
    Full,
    /// SQLite or the disk failed.
    #[error("metadata database: {0}")]
    Sqlite(rusqlite::Error),
    /// The file is not a database of ours, or damaged.
    #[error("metadata database {path} is damaged: {reason}")]
    Damaged {
        /// Its path.
        path: String,
        /// What SQLite said.
        reason: String,
    },
    /// Of another file system.
    #[error("metadata database {path} belongs to another file system ({found})")]
    Foreign {
        /// Its path.
        path: String,
        /// Its file system.
        found: String,
    },
    /// Written by a newer Pail.
    #[error("metadata database {path} has schema {found}; this program knows up to {known}")]
    TooNew {
        /// Its path.
        path: String,
        /// The schema's number.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// A row that must be there is not.
    #[error("metadata database: {0} is missing")]
    Missing(String),
    /// A chunk that a flush wanted to name has been condemned or removed since it was looked up.
    #[error("chunk {0} is no longer to be named")]
    ChunkGone(u64),
    /// A file of the database can't be made, opened or synced.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// The metadata database. Share it by `Arc`.
pub struct Meta {}

/// Reads, in one snapshot. Also what a [`Tx`] sees, its own changes included.
pub struct View<'a> {
    _conn: std::marker::PhantomData<&'a ()>,
}

/// A transaction: all of `View`, and changes.
pub struct Tx<'a> {
    view: View<'a>,
}

impl<'a> Deref for Tx<'a> {
    type Target = View<'a>;
    fn deref(&self) -> &View<'a> {
        &self.view
    }
}

impl Meta {
    /// Makes `meta.db` and `local.db` in `dir` with a root directory (mode 0755, `uid`, `gid`), durably.
    pub fn create(dir: &Path, identity: Identity, uid: u32, gid: u32) -> Result<(), MetaError> {
        let _ = (dir, identity, uid, gid);
        todo!()
    }

    /// Whether `dir` holds a meta.db (of whatever state).
    pub fn exists(dir: &Path) -> bool {
        dir.join("meta.db").exists()
    }

    /// Opens the databases; checks file system and schema. A missing or older local.db is made anew.
    /// Time does not depend on the size of the database.
    pub fn open(dir: &Path, fs: FsId) -> Result<Meta, MetaError> {
        let _ = (dir, fs);
        todo!()
    }

    /// Who it belongs to.
    pub fn identity(&self) -> Identity {
        todo!()
    }

    /// Runs `f` in a transaction (group commit) and answers after the commit. `f` may run on another
    /// thread (the group's leader). It must not block, and must not call `Meta` again.
    pub fn write<T, E, F>(&self, f: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<MetaError> + Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        let _ = f;
        todo!()
    }

    /// Runs `f` on a snapshot that includes every commit answered before.
    pub fn read<T, E: From<MetaError>>(&self, f: impl FnOnce(&View<'_>) -> Result<T, E>) -> Result<T, E> {
        let _ = f;
        todo!()
    }

    /// An inode's row, from memory when it is in use (a bounded cache that commits keep true).
    pub fn inode(&self, ino: Ino) -> Result<Option<Inode>, MetaError> {
        let _ = ino;
        todo!()
    }

    /// What a name leads to, from memory when it is in use.
    pub fn lookup(&self, parent: Ino, name: &[u8]) -> Result<Option<Ino>, MetaError> {
        let _ = (parent, name);
        todo!()
    }

    /// Makes everything committed durable; free when nothing was committed since the last time.
    pub fn sync(&self) -> Result<(), MetaError> {
        todo!()
    }

    /// Copies the WAL into the database and syncs it; called now and then and at unmount. The writer
    /// also does it by itself when the WAL passes a bound.
    pub fn checkpoint(&self) -> Result<(), MetaError> {
        todo!()
    }

    /// Totals now.
    pub fn totals(&self) -> Result<Totals, MetaError> {
        todo!()
    }

    /// Bytes of meta.db (without the WAL).
    pub fn database_bytes(&self) -> u64 {
        todo!()
    }

    /// De-duplication index (local.db): the chunk that has this id, if it is known there and in
    /// meta.db, and not condemned.
    pub fn find_chunk(&self, id: &ChunkId) -> Result<Option<ChunkRow>, MetaError> {
        let _ = id;
        todo!()
    }

    /// Brings local.db up to meta.db in steps of bounded size; returns whether there is more to do.
    /// Called from a background thread after open, and after each flush.
    pub fn index_step(&self) -> Result<bool, MetaError> {
        todo!()
    }
}

impl View<'_> {
    /// An inode's row.
    pub fn inode(&self, ino: Ino) -> Result<Option<Inode>, MetaError> {
        let _ = ino;
        todo!()
    }

    /// What a name leads to.
    pub fn lookup(&self, parent: Ino, name: &[u8]) -> Result<Option<Ino>, MetaError> {
        let _ = (parent, name);
        todo!()
    }

    /// Entries with cookies greater than `after`, by (cookie, name): at least one and about `limit`
    /// while there are any; a page never ends between equal cookies.
    pub fn read_dir(&self, dir: Ino, after: Cookie, limit: usize) -> Result<Vec<DirEntry>, MetaError> {
        let _ = (dir, after, limit);
        todo!()
    }

    /// Whether a directory has no entries.
    pub fn is_empty_dir(&self, dir: Ino) -> Result<bool, MetaError> {
        let _ = dir;
        todo!()
    }

    /// A symlink's target.
    pub fn symlink(&self, ino: Ino) -> Result<Option<Vec<u8>>, MetaError> {
        let _ = ino;
        todo!()
    }

    /// An extended attribute's value.
    pub fn xattr(&self, ino: Ino, name: &[u8]) -> Result<Option<Vec<u8>>, MetaError> {
        let _ = (ino, name);
        todo!()
    }

    /// Names of an inode's extended attributes.
    pub fn xattr_names(&self, ino: Ino) -> Result<Vec<Vec<u8>>, MetaError> {
        let _ = ino;
        todo!()
    }

    /// Extents that overlap `range`, whole (not clipped), ascending, at most `limit`.
    pub fn extents(&self, ino: Ino, range: ByteRange, limit: usize) -> Result<Vec<Extent>, MetaError> {
        let _ = (ino, range, limit);
        todo!()
    }

    /// A chunk's row.
    pub fn chunk(&self, no: ChunkNo) -> Result<Option<ChunkRow>, MetaError> {
        let _ = no;
        todo!()
    }

    /// Inodes with content newer than stored, and since when.
    pub fn pending(&self) -> Result<Vec<(Ino, Nanos)>, MetaError> {
        todo!()
    }

    /// Whether an inode is pending.
    pub fn is_pending(&self, ino: Ino) -> Result<bool, MetaError> {
        let _ = ino;
        todo!()
    }

    /// The shadow that `successor` has.
    pub fn shadow_of(&self, successor: Ino) -> Result<Option<Shadow>, MetaError> {
        let _ = successor;
        todo!()
    }

    /// Inodes without a name that wait for removal (open-unlinked at a crash, or not yet reaped).
    pub fn orphans(&self, limit: usize) -> Result<Vec<Ino>, MetaError> {
        let _ = limit;
        todo!()
    }

    /// Packs that are condemned, oldest first.
    pub fn condemned_packs(&self, limit: usize) -> Result<Vec<PackRow>, MetaError> {
        let _ = limit;
        todo!()
    }

    /// A path by which an inode is reached, for messages (may scan names; not for hot paths).
    pub fn path_of(&self, ino: Ino) -> Result<Option<Vec<u8>>, MetaError> {
        let _ = ino;
        todo!()
    }

    /// Where recovery starts to look for packs that were stored but not recorded: the epoch and the
    /// lowest sequence reserved and not recorded (see `reserve_packs`). `None`: never written.
    pub fn pack_mark(&self) -> Result<Option<(Epoch, u64)>, MetaError> {
        todo!()
    }
}

impl Tx<'_> {
    /// A fresh inode number.
    pub fn alloc_ino(&mut self) -> Result<Ino, MetaError> {
        todo!()
    }

    /// Adds an inode's row.
    pub fn insert_inode(&mut self, inode: &Inode) -> Result<(), MetaError> {
        let _ = inode;
        todo!()
    }

    /// Writes an inode's row (all fields but `holes` and `flushed`, which are the extents' business;
    /// `size` of a regular file may not change here either).
    pub fn update_inode(&mut self, inode: &Inode) -> Result<(), MetaError> {
        let _ = inode;
        todo!()
    }

    /// Removes an inode with its symlink target, xattrs, pending, orphan and shadow rows. It must
    /// have no extents left (see `drop_extents`) and no names.
    pub fn delete_inode(&mut self, ino: Ino) -> Result<(), MetaError> {
        let _ = ino;
        todo!()
    }

    /// Adds a name. The caller has seen that it is free.
    pub fn insert_name(&mut self, parent: Ino, name: &[u8], ino: Ino) -> Result<(), MetaError> {
        let _ = (parent, name, ino);
        todo!()
    }

    /// Points an existing name at another inode.
    pub fn repoint_name(&mut self, parent: Ino, name: &[u8], ino: Ino) -> Result<(), MetaError> {
        let _ = (parent, name, ino);
        todo!()
    }

    /// Removes a name.
    pub fn remove_name(&mut self, parent: Ino, name: &[u8]) -> Result<(), MetaError> {
        let _ = (parent, name);
        todo!()
    }

    /// Stores a symlink's target.
    pub fn set_symlink(&mut self, ino: Ino, target: &[u8]) -> Result<(), MetaError> {
        let _ = (ino, target);
        todo!()
    }

    /// Stores an extended attribute.
    pub fn set_xattr(&mut self, ino: Ino, name: &[u8], value: &[u8]) -> Result<(), MetaError> {
        let _ = (ino, name, value);
        todo!()
    }

    /// Removes an extended attribute; whether there was one.
    pub fn remove_xattr(&mut self, ino: Ino, name: &[u8]) -> Result<bool, MetaError> {
        let _ = (ino, name);
        todo!()
    }

    /// Notes that an inode has content newer than stored (keeps the first `since`).
    pub fn set_pending(&mut self, ino: Ino, since: Nanos) -> Result<(), MetaError> {
        let _ = (ino, since);
        todo!()
    }

    /// The overlay was lost or dropped: the stored content is the content.
    pub fn clear_pending(&mut self, ino: Ino) -> Result<(), MetaError> {
        let _ = ino;
        todo!()
    }

    /// Gives `successor` a shadow (at most one; the caller passes on an older one).
    pub fn set_shadow(&mut self, shadow: Shadow) -> Result<(), MetaError> {
        let _ = shadow;
        todo!()
    }

    /// Removes the shadow of `successor`; the replaced inode, if nameless, becomes an orphan.
    pub fn drop_shadow(&mut self, successor: Ino) -> Result<(), MetaError> {
        let _ = successor;
        todo!()
    }

    /// `to` takes over the shadow that `from` has.
    pub fn pass_shadow(&mut self, from: Ino, to: Ino) -> Result<(), MetaError> {
        let _ = (from, to);
        todo!()
    }

    /// Puts an inode on the list of those to be removed.
    pub fn add_orphan(&mut self, ino: Ino) -> Result<(), MetaError> {
        let _ = ino;
        todo!()
    }

    /// Takes it off again (linkat of an O_TMPFILE).
    pub fn remove_orphan(&mut self, ino: Ino) -> Result<(), MetaError> {
        let _ = ino;
        todo!()
    }

    /// Drops up to `limit` extents of an inode, from its end; whether more are left. Chunks that no
    /// extent names any more lower their pack's live bytes; a pack at zero waits for
    /// `condemn_dead_packs`.
    pub fn drop_extents(&mut self, ino: Ino, limit: usize) -> Result<bool, MetaError> {
        let _ = (ino, limit);
        todo!()
    }

    /// A flush's commit. Fails with `ChunkGone` when an extent names a chunk that is missing or
    /// condemned (the flush then starts over); does nothing and returns false when the inode is gone.
    pub fn store_content(&mut self, content: &StoredContent) -> Result<bool, MetaError> {
        let _ = content;
        todo!()
    }

    /// Makes `to` share the stored bytes `from[range]` at `at` (decision 12), replacing what `to` has
    /// there, and grows `to` to `at + len` if it is shorter. Both inodes' overlays must not touch the
    /// ranges. Holes in the source become holes.
    pub fn share_extents(&mut self, from: Ino, range: ByteRange, to: Ino, at: u64) -> Result<(), MetaError> {
        let _ = (from, range, to, at);
        todo!()
    }

    /// Sets size and mtime of a file that has no overlay (copy_file_range, creation).
    pub fn set_stored_size(&mut self, ino: Ino, size: u64, mtime: Nanos) -> Result<(), MetaError> {
        let _ = (ino, size, mtime);
        todo!()
    }

    /// Begins an epoch: the mark becomes (epoch, 0).
    pub fn begin_epoch(&mut self, epoch: Epoch) -> Result<(), MetaError> {
        let _ = epoch;
        todo!()
    }

    /// Records a stored pack with its chunks (refs 0) in key order, and moves the mark:
    /// `lowest_unrecorded` is the lowest sequence of the epoch that is reserved and not yet recorded.
    pub fn insert_pack(
        &mut self,
        name: PackName,
        object_size: u64,
        chunks: &[NewChunk],
        lowest_unrecorded: u64,
    ) -> Result<Vec<ChunkNo>, MetaError> {
        let _ = (name, object_size, chunks, lowest_unrecorded);
        todo!()
    }

    /// Condemns packs that have no live chunk, except those with a number of at least `from` (packs of
    /// flushes that are not finished). At most `limit`; returns how many.
    pub fn condemn_dead_packs(&mut self, from: PackNo, now: Nanos, limit: usize) -> Result<usize, MetaError> {
        let _ = (from, now, limit);
        todo!()
    }

    /// Removes the rows of condemned packs whose objects are deleted, with their chunks.
    pub fn forget_packs(&mut self, packs: &[PackNo]) -> Result<(), MetaError> {
        let _ = packs;
        todo!()
    }
}
