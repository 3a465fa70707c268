//! Directories: look-ups, listings in pages, paths.

use super::*;
use crate::meta::names::name_hash;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Adds an entry with a chosen hash (a collision can't be found by trying).
fn insert_with_hash(tx: &mut Tx<'_>, name: &[u8], hash: i64, ino: Ino) -> Result<(), MetaError> {
    tx.change("INSERT INTO name VALUES(1, ?, ?, ?)", rusqlite::params![hash, name, ino.0 as i64])?;
    tx.work.counters.totals.entries += 1;
    Ok(())
}

fn page(fx: &Fixture, after: Cookie, limit: usize) -> Vec<DirEntry> {
    fx.read::<_, MetaError>(|v| v.read_dir(Ino::ROOT, after, limit)).unwrap()
}

fn list(fx: &Fixture, limit: usize) -> Vec<Vec<u8>> {
    let (mut names, mut after) = (Vec::new(), 0);
    loop {
        let entries = page(fx, after, limit);
        let Some(last) = entries.last() else { return names };
        after = last.cookie;
        names.extend(entries.into_iter().map(|e| e.name));
    }
}

/// Entries with colliding hashes come in one page, whatever the limit; the extremes of the hash are
/// listed, and their cookies leave room for `.` and `..`.
#[test]
fn pages_never_split_equal_cookies() {
    let fx = fixture();
    let ino = fx.file("plain");
    let (low, high) = (-(1i64 << 47), (1i64 << 47) - 1);
    fx.run(move |tx| {
        for (i, hash) in [low, low, 5, 5, 5, high, high].into_iter().enumerate() {
            insert_with_hash(tx, format!("n{i}").as_bytes(), hash, ino)?;
        }
        Ok(())
    });
    for limit in 0..9 {
        let (mut seen, mut after) = (BTreeSet::new(), 0);
        loop {
            let entries = page(&fx, after, limit);
            let Some(last) = entries.last() else { break };
            assert!(entries.iter().all(|e| e.cookie > after && e.cookie >= FIRST_COOKIE));
            after = last.cookie;
            for e in &entries {
                assert!(seen.insert(e.name.clone()), "twice: {:?}", e.name);
                assert_eq!(e.inode.ino, ino);
            }
        }
        assert_eq!(seen.len(), 8, "limit {limit}");
        assert_eq!(page(&fx, u64::MAX, 9), []);
        assert_eq!(after, FIRST_COOKIE + (1 << 48) - 1);
    }
    assert_counts(&fx);
}

/// The stored hash of a name: part of the format, for ever.
#[test]
fn name_hash_is_pinned() {
    let digest = blake3::hash(b"IMG_0001.jpg");
    let mut le = [0u8; 8];
    le[..6].copy_from_slice(&digest.as_bytes()[..6]);
    assert_eq!(name_hash(b"IMG_0001.jpg"), i64::from_le_bytes(le) - 140_737_488_355_328);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// A listing while names come and go gives each that exists throughout exactly once, and none twice.
    #[test]
    fn listing_a_changing_directory(
        limit in 1usize..6,
        steps in prop::collection::vec(prop::collection::vec((any::<bool>(), 0u32..40), 0..6), 12),
    ) {
        let fx = fixture();
        let mut throughout = BTreeSet::new();
        let mut now: BTreeMap<u32, Ino> = BTreeMap::new();
        for i in 0..20 {
            now.insert(i, fx.file(&format!("f{i}")));
            throughout.insert(format!("f{i}").into_bytes());
        }
        let mut seen: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        let (mut after, mut steps) = (0, steps.into_iter());
        loop {
            let entries = page(&fx, after, limit);
            let Some(last) = entries.last() else { break };
            after = last.cookie;
            entries.iter().for_each(|e| *seen.entry(e.name.clone()).or_default() += 1);
            for (add, i) in steps.next().unwrap_or_default() {
                let name = format!("f{i}");
                if add && !now.contains_key(&i) {
                    now.insert(i, fx.file(&name));
                } else if !add && now.remove(&i).is_some() {
                    throughout.remove(name.as_bytes());
                    fx.run(move |tx| tx.remove_name(Ino::ROOT, name.as_bytes()));
                }
            }
        }
        for name in throughout {
            prop_assert_eq!(seen.get(&name), Some(&1));
        }
        // A name removed and made again keeps its place: also that one comes once.
        prop_assert!(seen.values().all(|n| *n == 1));
        assert_counts(&fx);
    }
}

/// 100,000 entries in one directory: all found, each once, in pages.
#[test]
fn a_large_directory() {
    let fx = fixture();
    fx.run(|tx| (0..100_000).try_for_each(|i| add_file(tx, Ino::ROOT, format!("{i}").as_bytes()).map(drop)));
    let names: BTreeSet<_> = list(&fx, 1000).into_iter().collect();
    assert_eq!(names.len(), 100_000);
    assert_eq!(fx.totals().unwrap().entries, 100_000);
}

/// Any bytes make a name; a name leads where it was pointed last, in memory and on disk.
#[test]
fn names_lead_where_they_point() {
    let fx = fixture();
    let name: Vec<u8> = (1..=255).filter(|b| *b != b'/').collect();
    let ino = fx.run({
        let name = name.clone();
        move |tx| add_file(tx, Ino::ROOT, &name)
    });
    let other = fx.file("other");
    assert_eq!(fx.lookup(Ino::ROOT, &name).unwrap(), Some(ino));
    fx.run({
        let name = name.clone();
        move |tx| tx.repoint_name(Ino::ROOT, &name, other)
    });
    assert_eq!(fx.lookup(Ino::ROOT, &name).unwrap(), Some(other));
    assert_eq!(fx.read::<_, MetaError>(|v| v.lookup(Ino::ROOT, &name)).unwrap(), Some(other));
    assert_eq!(fx.lookup(Ino::ROOT, &[b'x'; 256]).unwrap(), None);
    assert_eq!(fx.lookup(Ino(77), &name).unwrap(), None);
    let again = name.clone();
    fx.write::<_, MetaError, _>(move |tx| tx.insert_name(Ino::ROOT, &again, ino)).unwrap_err();
    fx.run({
        let name = name.clone();
        move |tx| tx.remove_name(Ino::ROOT, &name)
    });
    assert_eq!(fx.lookup(Ino::ROOT, &name).unwrap(), None);
    assert_counts(&fx);
}

fn add_dir(tx: &mut Tx<'_>, parent: Ino, name: &[u8]) -> Result<Ino, MetaError> {
    let ino = tx.alloc_ino()?;
    tx.insert_inode(&Inode { mode: 0o040_755, nlink: 2, parent, ..plain(ino) })?;
    tx.insert_name(parent, name, ino)?;
    Ok(ino)
}

/// Paths of files and directories; the nameless have none; a cycle ends.
#[test]
fn paths() {
    let fx = fixture();
    let (a, b, file) = fx.run(|tx| {
        let a = add_dir(tx, Ino::ROOT, b"a")?;
        let b = add_dir(tx, a, b"b")?;
        Ok((a, b, add_file(tx, b, b"f")?))
    });
    let path = |ino| fx.read::<_, MetaError>(|v| v.path_of(ino)).unwrap();
    assert_eq!(path(Ino::ROOT), Some(b"/".to_vec()));
    assert_eq!(path(b), Some(b"/a/b".to_vec()));
    assert_eq!(path(file), Some(b"/a/b/f".to_vec()));
    assert_eq!(path(Ino(999)), None);
    fx.run(move |tx| tx.remove_name(b, b"f"));
    assert_eq!(path(file), None);
    assert!(fx.read::<_, MetaError>(|v| v.is_empty_dir(b)).unwrap());
    assert!(!fx.read::<_, MetaError>(|v| v.is_empty_dir(a)).unwrap());
    fx.run(move |tx| {
        tx.insert_name(b, b"loop", a)?;
        tx.remove_name(Ino::ROOT, b"a")?;
        let row = tx.inode(a)?.unwrap();
        tx.update_inode(&Inode { parent: b, ..row })
    });
    assert_eq!(path(b), None);
}
