//! Packs: recorded, condemned, forgotten; the mark.

use super::*;

/// A pack lives while a chunk of it is named; then it is condemned, listed, and forgotten with its chunks.
#[test]
fn the_life_of_packs() {
    let fx = fixture();
    let file = fx.file("f");
    let first = fx.pack(0, 0, 3, 10);
    let second = fx.pack(1, 10, 2, 10);
    assert_eq!((first[2].0 + 1, first.len()), (second[0].0, 3));
    let stored = content(file, 10, vec![extent(0..10, first[1], 0)]);
    fx.run(move |tx| tx.store_content(&stored));
    // The second has nothing live, but is of an unfinished flush.
    assert_eq!(fx.run(|tx| tx.condemn_dead_packs(PackNo(2), Nanos(8), 9)), 0);
    assert_eq!(fx.run(|tx| tx.condemn_dead_packs(PackNo(3), Nanos(8), 9)), 1);
    assert_eq!(fx.run(|tx| tx.condemn_dead_packs(PackNo(3), Nanos(9), 9)), 0);
    let condemned = fx.read::<_, MetaError>(|v| v.condemned_packs(9)).unwrap();
    let row =
        PackRow { no: PackNo(2), name: pack_name(1), size: 1002, live_bytes: 0, condemned: Some(Nanos(8)) };
    assert_eq!(condemned, [row]);
    let chunk = fx.read::<_, MetaError>(|v| v.chunk(second[1])).unwrap().unwrap();
    assert!(chunk.condemned && chunk.pack_name == pack_name(1) && chunk.offset == 100);
    assert_eq!((chunk.frame_len, chunk.size, chunk.refs, chunk.id), (51, 10, 0, chunk_id(11)));
    assert_counts(&fx);
    fx.write::<_, MetaError, _>(|tx| tx.forget_packs(&[PackNo(2), PackNo(1)])).unwrap_err();
    fx.run(|tx| tx.forget_packs(&[PackNo(2), PackNo(77)]));
    fx.run(|tx| tx.forget_packs(&[PackNo(2)]));
    assert_eq!(fx.read::<_, MetaError>(|v| v.chunk(second[1])).unwrap(), None);
    assert!(fx.read::<_, MetaError>(|v| v.chunk(first[2])).unwrap().is_some());
    // Numbers of the forgotten are not used again.
    assert_eq!(fx.pack(2, 20, 1, 10)[0].0, second[1].0 + 1);
    assert_counts(&fx);
}

/// Oldest first, and no more than asked for.
#[test]
fn condemned_packs_come_oldest_first() {
    let fx = fixture();
    (0..4).for_each(|seq| drop(fx.pack(seq, seq, 1, 10)));
    for (from, now) in [(2, 30), (3, 10), (4, 20)] {
        fx.run(move |tx| tx.condemn_dead_packs(PackNo(from), Nanos(now), 1));
    }
    let list = fx.read::<_, MetaError>(|v| v.condemned_packs(2)).unwrap();
    assert_eq!(list.iter().map(|p| p.no.0).collect::<Vec<_>>(), [2, 3]);
    assert_counts(&fx);
}

/// The mark follows its epoch, never goes back, and an adopted pack of an older epoch leaves it alone.
#[test]
fn the_mark_moves_forward() {
    let fx = fixture();
    let mark = || fx.read::<_, MetaError>(|v| v.pack_mark()).unwrap();
    assert_eq!(mark(), None);
    fx.run(|tx| tx.begin_epoch(Epoch(3)));
    assert_eq!(mark(), Some((Epoch(3), 0)));
    fx.pack(4, 0, 1, 10);
    assert_eq!(mark(), Some((Epoch(3), 5)));
    fx.pack(2, 1, 1, 10);
    assert_eq!(mark(), Some((Epoch(3), 5)));
    fx.run(|tx| tx.begin_epoch(Epoch(4)));
    fx.pack(9, 2, 1, 10);
    assert_eq!(mark(), Some((Epoch(4), 0)));
    let dir = fx.dir;
    drop(fx.meta);
    let meta = Meta::open(dir.path(), FS).unwrap();
    assert_eq!(meta.read::<_, MetaError>(|v| v.pack_mark()).unwrap(), Some((Epoch(4), 0)));
}
