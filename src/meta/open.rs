//! Making and opening the databases, and the settings of every connection.
//!
//! What holds:
//! - `create` builds under another name and renames: a crash leaves either no meta.db or a whole one.
//! - `open` reads a handful of pages, whatever the database's size; SQLite recovers the WAL of a crash.
//! - No checkpoint when a connection closes: every checkpoint passes `durable::copy_wal`.
//! - Nothing in this process opens meta.db itself by an own descriptor while SQLite has it open:
//!   closing one would drop SQLite's POSIX locks. (The WAL carries no locks.)

use super::cache::Caches;
use super::counters::Counters;
use super::database::Meta;
use super::durable::Wal;
use super::error::MetaError;
use super::group::{Queue, Writer};
use super::local::Local;
use super::readers::Readers;
use super::schema::{APPLICATION_ID, PAGE_SIZE, SCHEMA_VERSION, TABLES};
use super::view::{Tx, View, Work};
use super::{Identity, Inode};
use crate::types::{FsId, Ino, Nanos, WriterId};
use parking_lot::Mutex;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, params};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Names in the cache directory.
const META: &str = "meta.db";
const META_NEW: &str = "meta.db.new";
const LOCAL: &str = "local.db";

/// What SQLite may have put beside a database of a former life.
const COMPANIONS: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// More than there are statements in this room.
const STATEMENTS: usize = 128;

/// Two connections contend only while a WAL is recovered or reset.
const BUSY: Duration = Duration::from_secs(10);

/// The root directory's mode.
const ROOT_MODE: u32 = 0o040_755;

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The one that writes: 32 MiB of pages.
    Writer,
    /// Reads, or copies the WAL: 2 MiB; the rest is in the kernel's page cache.
    Reader,
    /// Copies the WAL.
    Checkpointer,
}

/// Opens meta.db with the settings that every connection must have.
pub(super) fn connect(path: &Path, role: Role) -> Result<Connection, MetaError> {
    let access = match role {
        Role::Reader => OpenFlags::SQLITE_OPEN_READ_ONLY,
        Role::Writer | Role::Checkpointer => OpenFlags::SQLITE_OPEN_READ_WRITE,
    };
    let name = path.display().to_string();
    let sorted = |e| MetaError::from_sqlite(&name, e);
    // NO_MUTEX: each connection is used by one thread at a time, behind our own lock.
    let conn = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(sorted)?;
    configure(&conn, if role == Role::Writer { -32_768 } else { -2048 }).map_err(sorted)?;
    Ok(conn)
}

fn configure(conn: &Connection, cache_size: i32) -> rusqlite::Result<()> {
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    conn.busy_timeout(BUSY)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "cache_size", cache_size)
}

impl Meta {
    /// Makes `meta.db` and `local.db` in `dir` with a root directory (mode 0755, `uid`, `gid`), durably.
    /// A meta.db that is there is left alone: an error.
    pub fn create(dir: &Path, identity: Identity, uid: u32, gid: u32) -> Result<(), MetaError> {
        let path = dir.join(META);
        if Meta::exists(dir) {
            return Err(MetaError::io(&path)(std::io::ErrorKind::AlreadyExists.into()));
        }
        // A stale `-wal` beside the new database would be replayed into it.
        for name in [META, META_NEW, LOCAL] {
            remove_database(&dir.join(name))?;
        }
        let new = dir.join(META_NEW);
        let built = Connection::open(&new).map_err(MetaError::from).and_then(|mut conn| {
            build(&mut conn, identity, uid, gid)?;
            // Closed by hand, so that the closing checkpoint's failure is seen.
            conn.close().map_err(|(_, e)| e.into())
        });
        built.map_err(|e: MetaError| match e {
            MetaError::Sqlite(e) => MetaError::from_sqlite(&new.display().to_string(), e),
            other => other,
        })?;
        File::open(&new).and_then(|file| file.sync_all()).map_err(MetaError::io(&new))?;
        std::fs::rename(&new, &path).map_err(MetaError::io(&path))?;
        sync_dir(dir)?;
        // local.db: made here so that it is there; nothing depends on it.
        let meta = Meta::open(dir, identity.fs)?;
        meta.checkpoint()
    }

    /// Whether `dir` holds a meta.db (of whatever state).
    pub fn exists(dir: &Path) -> bool {
        dir.join(META).exists()
    }

    /// Opens the databases; checks file system and schema. A missing or older local.db is made anew.
    /// Time does not depend on the size of the database.
    pub fn open(dir: &Path, fs: FsId) -> Result<Meta, MetaError> {
        let path = dir.join(META);
        // SQLite would say only "unable to open database file".
        std::fs::metadata(&path).map_err(MetaError::io(&path))?;
        let conn = connect(&path, Role::Writer)?;
        let (identity, instance) = check(&conn, &path, fs)?;
        let counters = Counters::load(&conn).map_err(|e| damaged(&path, e))?;
        let readers = Readers::new(path.clone());
        // The first reader makes the WAL, if there is none; its directory entry must outlive a power
        // cut that the first synced commit outlives.
        readers.single(|view| view.inode(Ino::ROOT))?;
        let wal_path = with_suffix(&path, "-wal");
        let wal = File::open(&wal_path).map_err(MetaError::io(&wal_path))?;
        sync_dir(dir)?;
        let local = Local::open(&dir.join(LOCAL), identity, instance, counters.next_chunk);
        let next_ino = counters.ino_reserved;
        let work = Work { counters, next_ino, ..Work::default() };
        let writer = Writer { conn, work, stored: counters, durable_ino: next_ino, reserved_from: next_ino };
        Ok(Meta {
            identity,
            queue: Queue::default(),
            writer: Mutex::new(writer),
            readers,
            caches: Caches::new(),
            totals: Mutex::new(counters.totals),
            committed: AtomicU64::new(1), // What recovery found in the WAL is not known to be synced.
            wal: Wal::new(wal, wal_path),
            checkpointer: Mutex::new(connect(&path, Role::Checkpointer)?),
            local: Mutex::new(local),
            path,
        })
    }
}

/// Fills a new, empty database.
fn build(conn: &mut Connection, identity: Identity, uid: u32, gid: u32) -> Result<(), MetaError> {
    conn.pragma_update(None, "page_size", PAGE_SIZE)?;
    conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    conn.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    let tx = conn.transaction()?;
    tx.execute_batch(TABLES)?;
    let mut instance = [0; 8];
    getrandom::fill(&mut instance).map_err(|e| MetaError::invalid(format!("no random numbers: {e}")))?;
    tx.execute(
        "INSERT INTO identity VALUES(1, ?, ?, ?)",
        params![&identity.fs.0[..], identity.writer.0.cast_signed(), i64::from_le_bytes(instance)],
    )?;
    // `insert_inode` counts the root.
    let mut counters = Counters::fresh();
    counters.totals.inodes = 0;
    let mut work = Work { counters, ..Work::default() };
    let now = Nanos::now();
    Tx { view: View { conn: &tx }, work: &mut work }.insert_inode(&Inode {
        ino: Ino::ROOT,
        mode: ROOT_MODE,
        uid,
        gid,
        nlink: 2,
        rdev: 0,
        size: 0,
        holes: 0,
        atime: now,
        mtime: now,
        ctime: now,
        parent: Ino::ROOT,
        flushed: 0,
    })?;
    work.counters.store(&tx)?;
    tx.commit()?;
    // Last: with the data in the file itself, the switch only marks its header.
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    match mode.as_str() {
        "wal" => Ok(()),
        other => Err(MetaError::invalid(format!("the journal mode is {other}, not wal"))),
    }
}

/// Whose it is, and which instance; refuses what is not ours to open.
fn check(conn: &Connection, path: &Path, fs: FsId) -> Result<(Identity, i64), MetaError> {
    let name = path.display().to_string();
    let sorted = |e| MetaError::from_sqlite(&name, e);
    let pragma = |what| conn.pragma_query_value(None, what, |row| row.get::<_, i64>(0)).map_err(sorted);
    let broken = |reason: &str| MetaError::Damaged { path: name.clone(), reason: reason.to_string() };
    if pragma("application_id")? != i64::from(APPLICATION_ID) {
        return Err(broken("it is not a metadata database of Pail"));
    }
    let version = pragma("user_version")?;
    let found = u32::try_from(version).map_err(|_| broken("its schema number is negative"))?;
    if found > SCHEMA_VERSION {
        return Err(MetaError::TooNew { path: name, found, known: SCHEMA_VERSION });
    }
    if found != SCHEMA_VERSION {
        return Err(broken("its schema number is not one that was ever in use"));
    }
    let row = conn.query_row("SELECT fs, writer, instance FROM identity WHERE id = 1", [], |row| {
        Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
    });
    let (found, writer, instance) = row.map_err(|e| damaged(path, e.into()))?;
    if found != fs.0 {
        return Err(MetaError::Foreign { path: name, found: FsId(found).to_string() });
    }
    let mode: String = conn.pragma_query_value(None, "journal_mode", |row| row.get(0)).map_err(sorted)?;
    if mode != "wal" {
        return Err(broken("its journal mode is not WAL"));
    }
    Ok((Identity { fs, writer: WriterId(writer.cast_unsigned()) }, instance))
}

/// A table or row that every database of ours has was not there or not readable.
fn damaged(path: &Path, error: MetaError) -> MetaError {
    match error {
        MetaError::Full => MetaError::Full,
        other => MetaError::Damaged { path: path.display().to_string(), reason: other.to_string() },
    }
}

/// Removes a database with what SQLite left beside it.
pub(super) fn remove_database(path: &Path) -> Result<(), MetaError> {
    for suffix in COMPANIONS {
        let file = with_suffix(path, suffix);
        match std::fs::remove_file(&file) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(MetaError::io(&file)(e)),
            _ => {}
        }
    }
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(suffix);
    PathBuf::from(name)
}

fn sync_dir(dir: &Path) -> Result<(), MetaError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(MetaError::io(dir))
}
