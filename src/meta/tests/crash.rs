//! The process dies: the database and WAL files, copied at any moment, open to a committed state.

use super::*;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What a dead process leaves: the files, and no open descriptor.
fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for name in ["meta.db", "meta.db-wal"] {
        std::fs::copy(from.join(name), to.path().join(name)).unwrap();
    }
    to
}

/// Everything answered is in the copy, counters and totals are exact, and no inode number comes twice.
#[test]
fn a_copy_has_everything_answered() {
    let fx = fixture();
    let mut last = Ino::ROOT;
    for round in 0..5 {
        for i in 0..20 {
            last = fx.file(&format!("{round}-{i}"));
        }
        let _ = fx.write::<(), MetaError, _>(|tx| Err(MetaError::Missing(tx.alloc_ino()?.to_string())));
        let chunks = fx.pack(round, round * 10, 3, 10);
        fx.run(move |tx| tx.store_content(&content(last, 10, vec![extent(0..10, chunks[0], 0)])));
        if round == 2 {
            fx.checkpoint().unwrap();
        }
        let dead = copy(fx.dir.path());
        let meta = Meta::open(dead.path(), FS).unwrap();
        assert_counts(&meta);
        assert_eq!(meta.totals().unwrap(), fx.totals().unwrap());
        assert_eq!(meta.lookup(Ino::ROOT, format!("{round}-19").as_bytes()).unwrap(), Some(last));
        assert!(meta.write::<_, MetaError, _>(|tx| tx.alloc_ino()).unwrap() > Ino(last.0 + 1));
    }
}

/// Copied while a thread commits: a state between two commits, with counts that fit. The copy takes
/// the database before the WAL, and no checkpoint runs, as at a death.
#[test]
fn copies_under_way_are_whole() {
    let fx = fixture();
    // A checkpoint between the two copies would tear them apart, which a death does not do.
    fx.meta.wal.try_at.store(u64::MAX, Ordering::Relaxed);
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let _stop = StopAtEnd(&stop);
        scope.spawn(|| {
            // A bound, so that the copies stay small on a slow machine.
            for i in 0..5000 {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                fx.file(&format!("f{i}"));
                answered.store(i + 1, Ordering::Release);
            }
        });
        for _ in 0..8 {
            let floor = answered.load(Ordering::Acquire);
            let dead = copy(fx.dir.path());
            let meta = Meta::open(dead.path(), FS).unwrap();
            assert_counts(&meta);
            assert!(meta.totals().unwrap().entries >= floor);
        }
    });
}

/// Stops the other threads of a test, also when an assertion fails: the scope waits for them.
pub(super) struct StopAtEnd<'a>(pub &'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Inode numbers stay fresh across opens, rollbacks and blocks used up inside one transaction.
#[test]
fn numbers_are_never_reused() {
    let mut fx = fixture();
    let mut highest = Ino::ROOT;
    for round in 0..4 {
        let count = if round == 2 { 10_000 } else { 3 };
        let take = move |tx: &mut Tx<'_>| (0..count).map(|_| tx.alloc_ino()).collect::<Result<Vec<_>, _>>();
        let kept = fx.run(take);
        let lost = fx.write::<(), MetaError, _>(move |tx| {
            let numbers = take(tx)?;
            Err(MetaError::ChunkGone(numbers.last().unwrap().0))
        });
        let Err(MetaError::ChunkGone(lost)) = lost else { panic!() };
        assert!(kept[0] > highest && kept.windows(2).all(|w| w[0] < w[1]));
        assert!(lost > kept.last().unwrap().0);
        highest = Ino(kept.last().unwrap().0.max(lost));
        let next = fx.run(|tx| tx.alloc_ino());
        assert!(next > highest);
        highest = next;
        let dir = fx.dir;
        drop(fx.meta);
        fx = Fixture { meta: Meta::open(dir.path(), FS).unwrap(), dir };
    }
}

/// sync covers what was committed, is free when nothing was, and is right around a checkpoint's reset.
#[test]
fn sync_and_checkpoint() {
    let fx = fixture();
    fx.file("a");
    fx.sync().unwrap();
    let at = *fx.meta.wal.synced.lock();
    assert_eq!(at, fx.meta.committed.load(Ordering::Relaxed));
    fx.run(|_| Ok(()));
    assert_eq!(at, fx.meta.committed.load(Ordering::Relaxed), "nothing was changed");
    fx.file("b");
    fx.checkpoint().unwrap();
    assert_eq!(fx.meta.wal.bytes(), 0);
    let alone = tempfile::tempdir().unwrap();
    std::fs::copy(fx.dir.path().join("meta.db"), alone.path().join("meta.db")).unwrap();
    let meta = Meta::open(alone.path(), FS).unwrap();
    assert!(meta.lookup(Ino::ROOT, b"b").unwrap().is_some());
    fx.file("c");
    assert!(fx.meta.wal.bytes() > 0);
    fx.sync().unwrap();
    assert!(fx.database_bytes() > 0);
    // A reader with an old snapshot keeps the WAL, but not its content from being copied.
    fx.read::<_, MetaError>(|v| {
        v.inode(Ino::ROOT)?;
        fx.file("d");
        fx.checkpoint()
    })
    .unwrap();
    assert!(fx.meta.wal.bytes() > 0);
    fx.checkpoint().unwrap();
    assert_eq!(fx.meta.wal.bytes(), 0);
}

/// After a failed sync nothing counts as synced before a checkpoint has copied the WAL.
#[test]
fn a_failed_sync_is_not_forgotten() {
    let fx = fixture();
    fx.file("a");
    fx.meta.wal.fail();
    assert!(matches!(fx.meta.wal.sync_file(), Err(MetaError::Io { .. })));
    fx.sync().unwrap();
    let alone = tempfile::tempdir().unwrap();
    std::fs::copy(fx.dir.path().join("meta.db"), alone.path().join("meta.db")).unwrap();
    assert!(Meta::open(alone.path(), FS).unwrap().lookup(Ino::ROOT, b"a").unwrap().is_some());
    fx.meta.wal.sync_file().unwrap();
}

/// The writer keeps the WAL within its bound by itself.
#[test]
fn the_wal_is_bounded() {
    let fx = fixture();
    let ino = fx.file("f");
    fx.meta.wal.try_at.store(1 << 20, Ordering::Relaxed);
    for i in 0..40u8 {
        fx.run(move |tx| (0..20u8).try_for_each(|k| tx.set_xattr(ino, &[k], &vec![i; 4000])));
    }
    assert!(fx.meta.wal.bytes() < 3 << 20);
    assert!(fx.meta.wal.try_at.load(Ordering::Relaxed) > 1 << 20, "it was never copied");
}

/// What a file costs: `cargo test --lib meta::tests::crash::bytes_per_file -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn bytes_per_file() {
    const FILES: u64 = 1_000_000;
    let fx = fixture();
    let empty = fx.database_bytes();
    let chunks = fx.pack(0, 0, 1, 3_000_000);
    // 1,000 files a directory, made by one program at one time; photos of 3 MB.
    for dir in 0..FILES / 1000 {
        let chunk = chunks[0];
        fx.run(move |tx| {
            let parent = tx.alloc_ino()?;
            tx.insert_inode(&Inode { mode: 0o040_755, nlink: 2, parent: Ino::ROOT, ..plain(parent) })?;
            tx.insert_name(Ino::ROOT, format!("dir{dir:05}").as_bytes(), parent)?;
            for i in 0..1000 {
                let ino = add_file(tx, parent, format!("IMG_{i:04}.jpg").as_bytes())?;
                let size = 2_000_000 + i * 1000;
                let extents = vec![extent(0..size, chunk, 0)];
                let now = Nanos(1_700_000_000_000_000_000 + (i * 1_234_567) as i64);
                let stored = StoredContent { ctime: now, mtime: now, ..content(ino, size, extents) };
                tx.store_content(&stored)?;
            }
            Ok(())
        });
    }
    fx.checkpoint().unwrap();
    let bytes = fx.database_bytes() - empty;
    println!("{} bytes a file with one extent (chunk rows not counted)", bytes as f64 / FILES as f64);
    fx.read::<_, MetaError>(|v| {
        let sql =
            "SELECT name, sum(pgsize), sum(payload) FROM dbstat GROUP BY name HAVING sum(pgsize) > 100000";
        let rows = v.all(sql, [], |r| Ok((r.get::<_, String>(0)?, r.get::<_, i64>(1)?, r.get::<_, i64>(2)?)));
        rows.into_iter().flatten().for_each(|(n, p, q)| println!("{n}: {p} bytes of pages, {q} of payload"));
        Ok(())
    })
    .unwrap();
}
