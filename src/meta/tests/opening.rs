//! Creating and opening: what is refused, and how.

use super::*;

fn spoil(sql: &str) -> (tempfile::TempDir, MetaError) {
    let Fixture { dir, meta } = fixture();
    drop(meta);
    rusqlite::Connection::open(dir.path().join("meta.db")).unwrap().execute_batch(sql).unwrap();
    let error = Meta::open(dir.path(), FS).err().unwrap();
    (dir, error)
}

/// A new database has a root directory and nothing else; opened again it is the same.
#[test]
fn create_and_open() {
    let fx = fixture();
    let root = fx.row(Ino::ROOT);
    assert_eq!((root.mode, root.uid, root.gid, root.nlink), (0o040_755, 1000, 1001, 2));
    assert_eq!(root.parent, Ino::ROOT);
    assert_eq!(fx.identity(), identity());
    assert!(Meta::exists(fx.dir.path()) && fx.dir.path().join("local.db").exists());
    assert_eq!(fx.totals().unwrap(), Totals { inodes: 1, ..Totals::default() });
    assert_counts(&fx);
    let ino = fx.file("f");
    let dir = fx.dir;
    drop(fx.meta);
    let meta = Meta::open(dir.path(), FS).unwrap();
    assert_eq!(meta.lookup(Ino::ROOT, b"f").unwrap(), Some(ino));
    assert_counts(&meta);
    assert!(matches!(Meta::create(dir.path(), identity(), 0, 0), Err(MetaError::Io { .. })));
}

/// The settings that promises rest on.
#[test]
fn pragmas() {
    let fx = fixture();
    let writer = fx.meta.writer.lock();
    let get = |name| writer.conn.pragma_query_value(None, name, |r| r.get::<_, i64>(0)).unwrap();
    let names =
        ["page_size", "synchronous", "foreign_keys", "wal_autocheckpoint", "user_version", "application_id"];
    assert_eq!(names.map(get), [4096, 1, 1, 0, 1, 0x5061_696c]);
    let mode: String = writer.conn.pragma_query_value(None, "journal_mode", |r| r.get(0)).unwrap();
    assert_eq!(mode, "wal");
}

/// Every table is STRICT; no index but the two of packs and the one of shadows.
#[test]
fn tables_are_strict_and_indices_few() {
    let fx = fixture();
    fx.read::<_, MetaError>(|v| {
        let loose = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND strict = 0
            AND name NOT LIKE 'sqlite%'";
        assert_eq!(v.all(loose, [], |r| r.get::<_, String>(0))?, Vec::<String>::new());
        let indices = "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY name";
        let named = ["pack_condemned", "pack_dead", "shadow_replaced"];
        assert_eq!(v.all(indices, [], |r| r.get::<_, String>(0))?, named);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_missing_database_is_an_io_error() {
    let dir = tempfile::tempdir().unwrap();
    assert!(!Meta::exists(dir.path()));
    assert!(matches!(Meta::open(dir.path(), FS), Err(MetaError::Io { .. })));
}

#[test]
fn a_foreign_database_is_refused() {
    let Fixture { dir, meta } = fixture();
    drop(meta);
    let error = Meta::open(dir.path(), FsId([1; 16])).err().unwrap();
    assert!(matches!(error, MetaError::Foreign { found, .. } if found == FS.to_string()));
}

#[test]
fn a_newer_schema_is_refused() {
    let (_dir, error) = spoil("PRAGMA user_version = 2");
    assert!(matches!(error, MetaError::TooNew { found: 2, known: 1, .. }));
}

#[test]
fn what_is_not_ours_is_damaged() {
    for sql in [
        "PRAGMA application_id = 5",
        "PRAGMA user_version = 0",
        "PRAGMA journal_mode = DELETE",
        "DROP TABLE identity",
        "DELETE FROM state",
    ] {
        let (_dir, error) = spoil(sql);
        assert!(matches!(error, MetaError::Damaged { .. }), "{sql}: {error:?}");
    }
    for bytes in [&b""[..], &[b'x'; 8192][..]] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("meta.db"), bytes).unwrap();
        let error = Meta::open(dir.path(), FS).err().unwrap();
        assert!(matches!(error, MetaError::Damaged { .. }), "{error:?}");
    }
}

/// A creation that a crash cut short leaves no meta.db, and the next one is not disturbed by its rests
/// nor by a former life's WAL.
#[test]
fn rests_of_a_former_creation() {
    let Fixture { dir, meta } = fixture();
    meta.write::<_, MetaError, _>(|tx| add_file(tx, Ino::ROOT, b"old")).unwrap();
    drop(meta);
    std::fs::rename(dir.path().join("meta.db"), dir.path().join("meta.db.new")).unwrap();
    assert!(!Meta::exists(dir.path()));
    Meta::create(dir.path(), identity(), 0, 0).unwrap();
    let meta = Meta::open(dir.path(), FS).unwrap();
    assert_eq!(meta.lookup(Ino::ROOT, b"old").unwrap(), None);
    assert!(!dir.path().join("meta.db.new").exists());
}
