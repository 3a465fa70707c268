//! Tests of the room, by subject, and what they share.

mod content;
mod crash;
mod groups;
mod index;
mod names;
mod opening;
mod packing;
mod rows;

use super::*;
use crate::types::Epoch;
use tempfile::TempDir;

pub(super) const FS: FsId = FsId([7; 16]);
pub(super) const FILE: u32 = 0o100_644;

/// A new file system's database.
pub(super) struct Fixture {
    pub dir: TempDir,
    pub meta: Meta,
}

impl std::ops::Deref for Fixture {
    type Target = Meta;
    fn deref(&self) -> &Meta {
        &self.meta
    }
}

pub(super) fn identity() -> Identity {
    Identity { fs: FS, writer: WriterId(u64::MAX - 5) }
}

pub(super) fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    Meta::create(dir.path(), identity(), 1000, 1001).unwrap();
    let meta = Meta::open(dir.path(), FS).unwrap();
    Fixture { dir, meta }
}

impl Fixture {
    /// A file of the root directory.
    pub fn file(&self, name: &str) -> Ino {
        let name = name.as_bytes().to_vec();
        self.run(move |tx| add_file(tx, Ino::ROOT, &name))
    }

    pub fn run<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T, MetaError> + Send + 'static,
    ) -> T {
        self.meta.write(f).unwrap()
    }

    pub fn row(&self, ino: Ino) -> Inode {
        self.meta.inode(ino).unwrap().unwrap()
    }

    /// Stores a pack of `count` chunks of `size` plain bytes, with ids from `seed` on.
    pub fn pack(&self, seq: u64, seed: u64, count: u64, size: u32) -> Vec<ChunkNo> {
        self.run(move |tx| {
            let chunks: Vec<_> = (0..count).map(|i| new_chunk(seed + i, i as u32, size)).collect();
            tx.insert_pack(pack_name(seq), 1000 + count, &chunks, seq + 1)
        })
    }
}

pub(super) fn pack_name(seq: u64) -> PackName {
    PackName { epoch: Epoch(3), seq, writer: WriterId(u64::MAX) }
}

pub(super) fn chunk_id(seed: u64) -> ChunkId {
    ChunkId(*blake3::hash(&seed.to_le_bytes()).as_bytes())
}

pub(super) fn new_chunk(seed: u64, at: u32, size: u32) -> NewChunk {
    NewChunk { id: chunk_id(seed), offset: at * 100, frame_len: 50 + at, size }
}

pub(super) fn plain(ino: Ino) -> Inode {
    Inode {
        ino,
        mode: FILE,
        uid: 1000,
        gid: 1000,
        nlink: 1,
        rdev: 0,
        size: 0,
        holes: 0,
        atime: Nanos(1_700_000_000_000_000_000),
        mtime: Nanos(1_700_000_000_000_000_000),
        ctime: Nanos(1_700_000_000_000_000_000),
        parent: Ino(0),
        flushed: 0,
    }
}

pub(super) fn add_file(tx: &mut Tx<'_>, parent: Ino, name: &[u8]) -> Result<Ino, MetaError> {
    let ino = tx.alloc_ino()?;
    tx.insert_inode(&plain(ino))?;
    tx.insert_name(parent, name, ino)?;
    Ok(ino)
}

/// A whole flush: the file is `extents` and nothing else.
pub(super) fn content(ino: Ino, size: u64, extents: Vec<Extent>) -> StoredContent {
    StoredContent {
        ino,
        generation: 1,
        size,
        mtime: Nanos(5),
        ctime: Nanos(6),
        replaced: std::iter::once(0..u64::MAX).collect(),
        extents,
        settled: true,
    }
}

pub(super) fn extent(range: ByteRange, chunk: ChunkNo, chunk_offset: u32) -> Extent {
    Extent { range, chunk, chunk_offset }
}

/// Everything that is counted, counted anew.
pub(super) fn assert_counts(meta: &Meta) {
    let number = |sql: &str| {
        meta.read::<u64, MetaError>(|v| Ok(v.one(sql, [], |r| r.get::<_, i64>(0))?.unwrap() as u64)).unwrap()
    };
    let counted = Totals {
        entries: number("SELECT count(*) FROM name"),
        inodes: number("SELECT count(*) FROM inode"),
        // 0o100644 is stored as 0: the type of a regular file has none of the bits that are left.
        file_bytes: number("SELECT ifnull(sum(size), 0) FROM inode WHERE (mode & 61440) = 0"),
        live_chunks: number("SELECT count(*) FROM chunk WHERE refs > 0"),
        live_plain_bytes: number("SELECT ifnull(sum(size), 0) FROM chunk WHERE refs > 0"),
        live_frame_bytes: number("SELECT ifnull(sum(frame_len), 0) FROM chunk WHERE refs > 0"),
        packs: number("SELECT count(*) FROM pack"),
        pack_bytes: number("SELECT ifnull(sum(size), 0) FROM pack"),
        condemned_packs: number("SELECT count(*) FROM pack WHERE condemned IS NOT NULL"),
    };
    assert_eq!(meta.totals().unwrap(), counted);
    let wrong_refs = "SELECT count(*) FROM chunk c WHERE refs <>
        (SELECT count(*) FROM extent e WHERE e.chunk = c.no)";
    assert_eq!(number(wrong_refs), 0, "refs");
    let wrong_live = "SELECT count(*) FROM pack p WHERE live_bytes <>
        (SELECT ifnull(sum(frame_len), 0) FROM chunk c WHERE c.pack = p.no AND refs > 0)";
    assert_eq!(number(wrong_live), 0, "live_bytes");
    let wrong_holes = "SELECT count(*) FROM inode i WHERE (mode & 61440) = 0 AND holes <>
        size - (SELECT ifnull(sum(len), 0) FROM extent e WHERE e.ino = i.ino)";
    assert_eq!(number(wrong_holes), 0, "holes");
    assert_eq!(number("SELECT count(*) FROM pragma_foreign_key_check"), 0, "references");
}
