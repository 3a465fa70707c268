//! Inode rows, symlinks, xattrs, what waits, and what is missing.

use super::*;
use proptest::prelude::*;

fn edge() -> impl Strategy<Value = i64> {
    prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), Just(0), Just(-1)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Every field comes back from disk as it went in, extremes included.
    #[test]
    fn rows_round_trip(
        kind in prop::sample::select(vec![0o100_000u32, 0o040_000, 0o120_000, 0o020_000, 0o060_000]),
        bits in 0..0o7777u32, uid: u32, gid: u32, nlink: u32, rdev: u32,
        size in 0..=i64::MAX as u64, times in (edge(), edge(), edge()), flushed in 0..=i64::MAX as u64,
    ) {
        let fx = fixture();
        let ino = fx.run(|tx| tx.alloc_ino());
        let directory = kind == 0o040_000;
        let regular = kind == 0o100_000;
        let row = Inode {
            ino, mode: kind | bits, uid, gid, nlink,
            rdev: if directory { 0 } else { rdev },
            size, holes: if regular { size } else { 0 },
            atime: Nanos(times.0), mtime: Nanos(times.1), ctime: Nanos(times.2),
            parent: if directory { Ino(size) } else { Ino(0) }, flushed,
        };
        fx.run(move |tx| tx.insert_inode(&row));
        prop_assert_eq!(fx.meta.inode(ino).unwrap(), Some(row));
        prop_assert_eq!(fx.read::<_, MetaError>(|v| v.inode(ino)).unwrap(), Some(row));
        let changed = Inode { atime: Nanos(times.2), ctime: Nanos(times.0), uid: gid, gid: uid, ..row };
        fx.run(move |tx| tx.update_inode(&changed));
        prop_assert_eq!(fx.meta.inode(ino).unwrap(), Some(changed));
        prop_assert_eq!(fx.read::<_, MetaError>(|v| v.inode(ino)).unwrap(), Some(changed));
        assert_counts(&fx);
    }
}

/// update_inode leaves what belongs to the extents alone.
#[test]
fn updates_keep_size_holes_and_generation() {
    let fx = fixture();
    let ino = fx.file("f");
    fx.run(move |tx| tx.store_content(&content(ino, 9, Vec::new())));
    fx.run(move |tx| {
        tx.update_inode(&Inode { mode: 0o100_600, size: 1, holes: 3, flushed: 77, ..plain(ino) })
    });
    let row = fx.row(ino);
    assert_eq!((row.mode, row.size, row.holes, row.flushed), (0o100_600, 9, 9, 1));
    assert_counts(&fx);
}

/// Deleting an inode takes everything of it along; a replaced inode of a deleted successor is an orphan.
#[test]
fn deletion_takes_all_rows_along() {
    let fx = fixture();
    let (a, b) = (fx.file("a"), fx.file("b"));
    fx.run(move |tx| {
        for (ino, name) in [(a, b"a"), (b, b"b")] {
            tx.remove_name(Ino::ROOT, name)?;
            tx.update_inode(&Inode { nlink: 0, ..plain(ino) })?;
        }
        tx.set_symlink(a, b"x")?;
        tx.set_xattr(a, b"user.k", b"v")?;
        tx.set_pending(a, Nanos(3))?;
        tx.add_orphan(a)?;
        tx.set_shadow(Shadow { successor: a, replaced: b })?;
        tx.delete_inode(a)
    });
    fx.read::<_, MetaError>(|v| {
        assert_eq!(v.orphans(9)?, [b]);
        assert_eq!(v.symlink(a)?, None);
        assert_eq!(v.xattr_names(a)?, Vec::<Vec<u8>>::new());
        assert_eq!(v.pending()?, []);
        assert_eq!(v.shadow_of(a)?, None);
        Ok(())
    })
    .unwrap();
    assert_eq!(fx.meta.inode(a).unwrap(), None);
    assert_counts(&fx);
}

/// What must not be deleted is not: a directory with entries, a file with extents.
#[test]
fn deletion_is_refused_while_something_hangs_on_it() {
    let fx = fixture();
    let file = fx.file("f");
    let c = fx.pack(0, 0, 1, 8)[0];
    fx.run(move |tx| tx.store_content(&content(file, 8, vec![extent(0..8, c, 0)])));
    fx.write::<_, MetaError, _>(|tx| tx.delete_inode(Ino::ROOT)).unwrap_err();
    fx.write::<_, MetaError, _>(move |tx| tx.delete_inode(file)).unwrap_err();
    assert!(fx.meta.inode(file).unwrap().is_some());
    assert!(!fx.run(move |tx| tx.drop_extents(file, 1)));
    fx.run(move |tx| tx.delete_inode(file));
    assert_counts(&fx);
}

/// Xattrs and symlinks: stored, replaced, listed, removed.
#[test]
fn xattrs_and_symlinks() {
    let fx = fixture();
    let ino = fx.file("f");
    fx.run(move |tx| {
        tx.set_xattr(ino, b"user.b", &vec![1; 60_000])?;
        tx.set_xattr(ino, b"user.a", b"")?;
        tx.set_xattr(ino, b"user.b", b"two")?;
        tx.set_symlink(ino, b"one")?;
        tx.set_symlink(ino, b"two")
    });
    fx.read::<_, MetaError>(|v| {
        assert_eq!(v.xattr_names(ino)?, [b"user.a".to_vec(), b"user.b".to_vec()]);
        assert_eq!(v.xattr(ino, b"user.b")?, Some(b"two".to_vec()));
        assert_eq!(v.xattr(ino, b"user.a")?, Some(Vec::new()));
        assert_eq!(v.xattr(ino, b"user.c")?, None);
        assert_eq!(v.symlink(ino)?, Some(b"two".to_vec()));
        Ok(())
    })
    .unwrap();
    assert!(fx.run(move |tx| tx.remove_xattr(ino, b"user.a")));
    assert!(!fx.run(move |tx| tx.remove_xattr(ino, b"user.a")));
}

/// Whatever needs a row that is not there says so, and leaves nothing behind.
#[test]
fn missing_rows_are_reported() {
    let fx = fixture();
    let no = Ino(4242);
    let file = fx.file("f");
    type Change = Box<dyn FnOnce(&mut Tx<'_>) -> Result<(), MetaError> + Send>;
    let changes: Vec<Change> = vec![
        Box::new(move |tx| tx.update_inode(&plain(no))),
        Box::new(move |tx| tx.delete_inode(no)),
        Box::new(move |tx| tx.insert_name(Ino::ROOT, b"x", no)),
        Box::new(move |tx| tx.insert_name(no, b"x", file)),
        Box::new(move |tx| tx.repoint_name(Ino::ROOT, b"x", file)),
        Box::new(move |tx| tx.repoint_name(Ino::ROOT, b"f", no)),
        Box::new(move |tx| tx.remove_name(Ino::ROOT, b"x")),
        Box::new(move |tx| tx.set_symlink(no, b"x")),
        Box::new(move |tx| tx.set_xattr(no, b"x", b"")),
        Box::new(move |tx| tx.set_pending(no, Nanos(1))),
        Box::new(move |tx| tx.add_orphan(no)),
        Box::new(move |tx| tx.set_shadow(Shadow { successor: file, replaced: no })),
        Box::new(move |tx| tx.set_stored_size(no, 1, Nanos(1))),
        Box::new(move |tx| tx.share_extents(no, 0..1, file, 0)),
        Box::new(move |tx| tx.share_extents(file, 0..1, no, 0)),
    ];
    for (i, change) in changes.into_iter().enumerate() {
        let result = fx.write::<_, MetaError, _>(change);
        assert!(matches!(result, Err(MetaError::Missing(_))), "{i}: {result:?}");
    }
    assert_eq!(fx.meta.lookup(Ino::ROOT, b"f").unwrap(), Some(file));
    assert_eq!(fx.meta.inode(no).unwrap(), None);
    assert_eq!(fx.meta.inode(Ino(u64::MAX)).unwrap(), None);
    assert!(!fx.run(move |tx| tx.drop_extents(no, 9)));
    assert_counts(&fx);
}

/// A number that SQLite can't hold is refused, not wrapped.
#[test]
fn too_large_numbers_are_refused() {
    let fx = fixture();
    let ino = fx.file("f");
    fx.write::<_, MetaError, _>(move |tx| tx.set_stored_size(ino, u64::MAX, Nanos(1))).unwrap_err();
    fx.write::<_, MetaError, _>(move |tx| tx.share_extents(ino, 0..10, ino, u64::MAX - 3)).unwrap_err();
    fx.write::<_, MetaError, _>(|tx| tx.insert_inode(&plain(Ino(u64::MAX)))).unwrap_err();
    assert_eq!(fx.row(ino).size, 0);
    assert_counts(&fx);
}
