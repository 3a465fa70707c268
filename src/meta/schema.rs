//! meta.db's tables, and what each byte of them means (docs/format.md says it at length).
//!
//! What holds:
//! - Tables grow in key order; there is no index over random keys. Names are keyed by a hash, but
//!   below their directory, so a directory's names lie together.
//! - A reference is declared (REFERENCES) only where deleting the parent row finds its children by a
//!   key: `name.ino`, `extent.chunk` and `chunk.pack` are not; the code keeps those.
//! - A column that usually holds 0 or 1 costs no byte beyond its header byte; that is why times, gid
//!   and mode are stored as differences to what is usual.

/// `PRAGMA application_id` of meta.db: "Pail".
pub(super) const APPLICATION_ID: i32 = 0x5061_696c;

/// `PRAGMA user_version` of meta.db.
pub(super) const SCHEMA_VERSION: u32 = 1;

/// 4096 is the block of the file systems below and the unit of WAL frames and deltas: one create
/// dirties three pages, so a larger page would only make its WAL frames and deltas longer.
pub(super) const PAGE_SIZE: u32 = 4096;

/// Everything in meta.db, in the order of docs/format.md.
pub(super) const TABLES: &str = "
CREATE TABLE identity(
    id INTEGER PRIMARY KEY CHECK (id = 1),
    fs BLOB NOT NULL CHECK (length(fs) = 16),
    writer INTEGER NOT NULL,
    instance INTEGER NOT NULL
) STRICT;
CREATE TABLE state(
    id INTEGER PRIMARY KEY CHECK (id = 1),
    ino_reserved INTEGER NOT NULL,
    next_chunk INTEGER NOT NULL,
    next_pack INTEGER NOT NULL,
    mark_epoch INTEGER,
    mark_seq INTEGER,
    entries INTEGER NOT NULL,
    inodes INTEGER NOT NULL,
    file_bytes INTEGER NOT NULL,
    live_chunks INTEGER NOT NULL,
    live_plain_bytes INTEGER NOT NULL,
    live_frame_bytes INTEGER NOT NULL,
    packs INTEGER NOT NULL,
    pack_bytes INTEGER NOT NULL,
    condemned_packs INTEGER NOT NULL
) STRICT;
CREATE TABLE inode(
    ino INTEGER PRIMARY KEY,
    mode INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    gid INTEGER NOT NULL,
    nlink INTEGER NOT NULL,
    link INTEGER NOT NULL,
    size INTEGER NOT NULL,
    holes INTEGER NOT NULL,
    ctime INTEGER NOT NULL,
    mtime INTEGER NOT NULL,
    atime INTEGER NOT NULL,
    flushed INTEGER NOT NULL
) STRICT;
CREATE TABLE name(
    parent INTEGER NOT NULL REFERENCES inode(ino),
    hash INTEGER NOT NULL,
    name BLOB NOT NULL,
    ino INTEGER NOT NULL,
    PRIMARY KEY (parent, hash, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE symlink(
    ino INTEGER PRIMARY KEY REFERENCES inode(ino) ON DELETE CASCADE,
    target BLOB NOT NULL
) STRICT;
CREATE TABLE xattr(
    ino INTEGER NOT NULL REFERENCES inode(ino) ON DELETE CASCADE,
    name BLOB NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (ino, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE extent(
    ino INTEGER NOT NULL REFERENCES inode(ino),
    off INTEGER NOT NULL,
    len INTEGER NOT NULL CHECK (len > 0),
    chunk INTEGER NOT NULL,
    chunk_off INTEGER NOT NULL,
    PRIMARY KEY (ino, off)
) STRICT, WITHOUT ROWID;
CREATE TABLE chunk(
    no INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    pack INTEGER NOT NULL,
    off INTEGER NOT NULL,
    frame_len INTEGER NOT NULL,
    size INTEGER NOT NULL,
    refs INTEGER NOT NULL CHECK (refs >= 0)
) STRICT;
CREATE TABLE pack(
    no INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    writer INTEGER NOT NULL,
    size INTEGER NOT NULL,
    live_bytes INTEGER NOT NULL CHECK (live_bytes >= 0),
    first_chunk INTEGER NOT NULL,
    chunks INTEGER NOT NULL,
    condemned INTEGER
) STRICT;
CREATE INDEX pack_dead ON pack(no) WHERE live_bytes = 0 AND condemned IS NULL;
CREATE INDEX pack_condemned ON pack(condemned, no) WHERE condemned IS NOT NULL;
CREATE TABLE pending(
    ino INTEGER PRIMARY KEY REFERENCES inode(ino) ON DELETE CASCADE,
    since INTEGER NOT NULL
) STRICT;
CREATE TABLE shadow(
    successor INTEGER PRIMARY KEY REFERENCES inode(ino) ON DELETE CASCADE,
    replaced INTEGER NOT NULL REFERENCES inode(ino) ON DELETE CASCADE
) STRICT;
CREATE INDEX shadow_replaced ON shadow(replaced);
CREATE TABLE orphan(
    ino INTEGER PRIMARY KEY REFERENCES inode(ino) ON DELETE CASCADE
) STRICT;
";
