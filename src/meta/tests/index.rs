//! local.db: found through it, believed only with meta.db, thrown away when in doubt.

use super::*;

fn index_all(meta: &Meta) {
    while meta.index_step().unwrap() {}
}

fn found(meta: &Meta, seed: u64) -> Option<ChunkNo> {
    meta.find_chunk(&chunk_id(seed)).unwrap().map(|row| row.no)
}

/// Chunks are found after a step; steps are bounded and come to an end; the next open goes on there.
#[test]
fn chunks_are_found() {
    let fx = fixture();
    let chunks = fx.pack(0, 0, 5000, 10);
    assert_eq!(found(&fx, 7), None);
    assert!(fx.index_step().unwrap());
    assert_eq!(found(&fx, 7), Some(chunks[7]));
    assert_eq!(found(&fx, 4999), None);
    index_all(&fx);
    assert_eq!(found(&fx, 4999), Some(chunks[4999]));
    assert_eq!(found(&fx, 5000), None);
    let dir = fx.dir;
    drop(fx.meta);
    let meta = Meta::open(dir.path(), FS).unwrap();
    assert_eq!(found(&meta, 4999), Some(chunks[4999]));
    assert!(!meta.index_step().unwrap());
}

/// Condemned and forgotten chunks are not found; the same content stored anew is.
#[test]
fn condemned_chunks_are_not_found() {
    let fx = fixture();
    fx.pack(0, 0, 2, 10);
    index_all(&fx);
    fx.run(|tx| tx.condemn_dead_packs(PackNo(9), Nanos(1), 9));
    assert_eq!(found(&fx, 0), None);
    let again = fx.pack(1, 0, 1, 10);
    index_all(&fx);
    assert_eq!(found(&fx, 0), Some(again[0]));
    fx.run(|tx| tx.forget_packs(&[PackNo(1)]));
    assert_eq!((found(&fx, 0), found(&fx, 1)), (Some(again[0]), None));
}

/// A key that another id shares is a miss, never another chunk.
#[test]
fn equal_keys_are_told_apart() {
    let fx = fixture();
    fx.pack(0, 0, 1, 10);
    index_all(&fx);
    let mut other = chunk_id(0);
    other.0[31] ^= 1;
    assert_eq!(fx.find_chunk(&other).unwrap(), None);
    assert!(found(&fx, 0).is_some());
}

/// Missing, damaged, foreign, of another instance: made anew without an error.
#[test]
fn a_bad_index_is_made_anew() {
    let fx = fixture();
    let chunks = fx.pack(0, 0, 3, 10);
    index_all(&fx);
    let dir = fx.dir;
    drop(fx.meta);
    let local = dir.path().join("local.db");
    type Spoil<'a> = Box<dyn Fn() + 'a>;
    let damage: [(&str, Spoil<'_>); 4] = [
        ("missing", Box::new(|| std::fs::remove_file(&local).unwrap())),
        ("no database", Box::new(|| std::fs::write(&local, vec![b'x'; 9000]).unwrap())),
        ("empty", Box::new(|| std::fs::write(&local, b"").unwrap())),
        (
            "of another",
            Box::new(|| {
                let other = rusqlite::Connection::open(&local).unwrap();
                other.execute("UPDATE origin SET instance = instance + 1", []).unwrap();
            }),
        ),
    ];
    for (what, spoil) in damage {
        for suffix in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(dir.path().join(format!("local.db{suffix}")));
        }
        spoil();
        let meta = Meta::open(dir.path(), FS).unwrap();
        assert_eq!(found(&meta, 2), None, "{what}");
        index_all(&meta);
        assert_eq!(found(&meta, 2), Some(chunks[2]), "{what}");
    }
}

/// Damage that shows only while it is used is a miss, not an error, and heals.
#[test]
fn damage_under_way_heals() {
    let fx = fixture();
    let chunks = fx.pack(0, 0, 3, 10);
    index_all(&fx);
    rusqlite::Connection::open(fx.dir.path().join("local.db"))
        .unwrap()
        .execute("DROP TABLE dedup", [])
        .unwrap();
    assert_eq!(found(&fx, 2), None);
    index_all(&fx);
    assert_eq!(found(&fx, 2), Some(chunks[2]));
}

/// meta.db lost its last transactions: the index is ahead, and its entries are misses until true again.
#[test]
fn an_index_that_is_ahead() {
    let fx = fixture();
    fx.pack(0, 0, 3, 10);
    fx.checkpoint().unwrap();
    let old = std::fs::read(fx.dir.path().join("meta.db")).unwrap();
    fx.pack(1, 10, 3, 10);
    index_all(&fx);
    let dir = fx.dir;
    drop(fx.meta);
    for name in ["meta.db-wal", "meta.db-shm"] {
        std::fs::remove_file(dir.path().join(name)).unwrap();
    }
    std::fs::write(dir.path().join("meta.db"), old).unwrap();
    let fx = Fixture { meta: Meta::open(dir.path(), FS).unwrap(), dir };
    assert_eq!(found(&fx, 11), None);
    let again = fx.pack(1, 20, 3, 10);
    assert_eq!(found(&fx, 10), None);
    index_all(&fx);
    assert_eq!((found(&fx, 21), found(&fx, 10)), (Some(again[1]), None));
}
