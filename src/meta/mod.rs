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

use crate::types::{ByteRange, ChunkId, FsId, Ino, Nanos, PackName, WriterId};

mod cache;
mod chunks;
mod counters;
mod database;
mod durable;
mod error;
mod extents;
mod group;
mod inodes;
mod job;
mod local;
mod names;
mod open;
mod packs;
mod paths;
mod pending;
mod readers;
mod schema;
mod view;
mod xattrs;

#[cfg(test)]
mod tests;

pub use database::Meta;
pub use error::MetaError;
pub use view::{Tx, View};

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
