//! A file's stored bytes against a plain model.

use super::*;
use proptest::prelude::*;

const FILES: usize = 2;
const SPACE: u64 = 48;
const CHUNK: u32 = 12;

#[derive(Clone, Debug)]
enum Op {
    Store { file: usize, size: u64, replaced: Vec<(u64, u64)>, chunks: Vec<(usize, u32)> },
    Share { from: usize, start: u64, len: u64, to: usize, at: u64 },
    Drop { file: usize, limit: usize },
    SetSize { file: usize, size: u64 },
}

fn op() -> impl Strategy<Value = Op> {
    let file = 0..FILES;
    prop_oneof![
        4 => (
            file.clone(),
            0..SPACE,
            prop::collection::vec((0..SPACE, 1..16u64), 0..4),
            prop::collection::vec((0..8usize, 0..CHUNK - 1), 1..6)
        )
            .prop_map(|(file, size, replaced, chunks)| Op::Store { file, size, replaced, chunks }),
        3 => (file.clone(), 0..SPACE, 1..24u64, file.clone(), 0..SPACE)
            .prop_map(|(from, start, len, to, at)| Op::Share { from, start, len, to, at }),
        1 => (file.clone(), 0..3usize).prop_map(|(file, limit)| Op::Drop { file, limit }),
        2 => (file, 0..SPACE).prop_map(|(file, size)| Op::SetSize { file, size }),
    ]
}

/// A byte of a file: which byte of which chunk, or a hole.
type Model = Vec<Option<(u64, u32)>>;

fn model_of(fx: &Fixture, ino: Ino) -> Model {
    let row = fx.row(ino);
    let extents = fx.read::<_, MetaError>(|v| v.extents(ino, 0..u64::MAX, usize::MAX)).unwrap();
    let mut bytes = vec![None; row.size as usize];
    for e in extents {
        for at in e.range.clone() {
            assert!(bytes[at as usize].is_none(), "overlap at {at}");
            bytes[at as usize] = Some((e.chunk.0, e.chunk_offset + (at - e.range.start) as u32));
        }
    }
    assert_eq!(row.holes, bytes.iter().filter(|b| b.is_none()).count() as u64);
    bytes
}

fn store(fx: &Fixture, model: &mut Model, ino: Ino, chunks: &[ChunkNo], op: Op) {
    let Op::Store { size, replaced, chunks: picks, .. } = op else { return };
    // Ascending, disjoint.
    let set: crate::types::RangeSet = replaced.iter().map(|(s, l)| *s..*s + *l).collect();
    model.resize(size.max(model.len() as u64) as usize, None);
    let mut extents = Vec::new();
    for (i, range) in set.iter().enumerate() {
        for at in range.clone() {
            if let Some(byte) = model.get_mut(at as usize) {
                *byte = None;
            }
        }
        let (pick, offset) = picks[i % picks.len()];
        let end = range.end.min(size).min(range.start + u64::from(CHUNK - offset));
        if range.start < end {
            for at in range.start..end {
                model[at as usize] = Some((chunks[pick].0, offset + (at - range.start) as u32));
            }
            extents.push(extent(range.start..end, chunks[pick], offset));
        }
    }
    model.resize(size as usize, None);
    let stored = StoredContent { replaced: set.iter().collect(), extents, ..content(ino, size, Vec::new()) };
    assert!(fx.run(move |tx| tx.store_content(&stored)));
}

fn apply(fx: &Fixture, models: &mut [Model], inos: &[Ino], chunks: &[ChunkNo], op: Op) {
    match op {
        Op::Store { file, .. } => store(fx, &mut models[file], inos[file], chunks, op),
        Op::Share { from, start, len, to, at } => {
            if from == to && start < at + len && at < start + len {
                return;
            }
            let piece: Model =
                (start..start + len).map(|i| models[from].get(i as usize).copied().flatten()).collect();
            let target = &mut models[to];
            target.resize((at + len).max(target.len() as u64) as usize, None);
            target[at as usize..(at + len) as usize].copy_from_slice(&piece);
            let (from, to) = (inos[from], inos[to]);
            fx.run(move |tx| tx.share_extents(from, start..start + len, to, at));
        }
        Op::Drop { file, limit } => {
            let ino = inos[file];
            let before = fx.read::<_, MetaError>(|v| v.extents(ino, 0..u64::MAX, usize::MAX)).unwrap();
            for e in before.iter().rev().take(limit) {
                models[file][e.range.start as usize..e.range.end as usize].fill(None);
            }
            assert_eq!(fx.run(move |tx| tx.drop_extents(ino, limit)), before.len() > limit);
        }
        Op::SetSize { file, size } => {
            models[file].resize(size as usize, None);
            let ino = inos[file];
            fx.run(move |tx| tx.set_stored_size(ino, size, Nanos(9)));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// After any series of stores, copies, drops and truncations each byte of each file is the byte of
    /// the chunk that the model says, and refs, live bytes, holes and totals are what a recount gives.
    #[test]
    fn extents_agree_with_a_byte_model(ops in prop::collection::vec(op(), 1..24)) {
        let fx = fixture();
        let inos = [fx.file("a"), fx.file("b")];
        let mut chunks = fx.pack(0, 0, 4, CHUNK);
        chunks.extend(fx.pack(1, 10, 4, CHUNK));
        let mut models = vec![Model::new(), Model::new()];
        for op in ops {
            apply(&fx, &mut models, &inos, &chunks, op.clone());
            for (ino, model) in inos.iter().zip(&models) {
                prop_assert_eq!(&model_of(&fx, *ino), model, "{:?}", op);
            }
            assert_counts(&fx);
        }
    }
}

/// A flush settles: pending and shadow go, the replaced inode becomes an orphan, ctime keeps the newer.
#[test]
fn a_flush_settles_pending_and_shadow() {
    let fx = fixture();
    let (new, old) = (fx.file("new"), fx.file("old"));
    fx.run(move |tx| {
        tx.set_pending(new, Nanos(1))?;
        tx.set_pending(new, Nanos(2))?;
        tx.remove_name(Ino::ROOT, b"old")?;
        let row = tx.inode(old)?.unwrap();
        tx.update_inode(&Inode { nlink: 0, ..row })?;
        tx.set_shadow(Shadow { successor: new, replaced: old })
    });
    assert_eq!(fx.read::<_, MetaError>(|v| v.pending()).unwrap(), [(new, Nanos(1))]);
    let stored = StoredContent { settled: false, generation: 4, ..content(new, 7, Vec::new()) };
    assert!(fx.run(move |tx| tx.store_content(&stored)));
    fx.read::<_, MetaError>(|v| {
        assert!(v.is_pending(new)?);
        assert_eq!(v.shadow_of(new)?, None);
        assert_eq!(v.orphans(10)?, [old]);
        Ok(())
    })
    .unwrap();
    let row = fx.row(new);
    assert_eq!((row.size, row.holes, row.flushed, row.mtime), (7, 7, 4, Nanos(5)));
    assert_eq!(row.ctime, plain(new).ctime);
    assert!(fx.run(move |tx| tx.store_content(&content(new, 7, Vec::new()))));
    assert!(!fx.read::<_, MetaError>(|v| v.is_pending(new)).unwrap());
    assert!(!fx.run(|tx| tx.store_content(&content(Ino(999), 7, Vec::new()))));
}

/// Naming a chunk that is missing or condemned is refused before anything is changed.
#[test]
fn a_gone_chunk_refuses_the_flush() {
    let fx = fixture();
    let ino = fx.file("f");
    let chunks = fx.pack(0, 0, 1, CHUNK);
    let good = content(ino, 5, vec![extent(0..5, chunks[0], 0)]);
    assert_eq!(fx.run(|tx| tx.condemn_dead_packs(PackNo(9), Nanos(1), 9)), 1);
    let result = fx.write::<_, MetaError, _>(move |tx| tx.store_content(&good));
    assert!(matches!(result, Err(MetaError::ChunkGone(n)) if n == chunks[0].0));
    let missing = content(ino, 5, vec![extent(0..5, ChunkNo(77), 0)]);
    let result = fx.write::<_, MetaError, _>(move |tx| tx.store_content(&missing));
    assert!(matches!(result, Err(MetaError::ChunkGone(77))));
    assert_eq!(fx.row(ino), plain(ino));
    assert_counts(&fx);
}

/// Extents outside their place or past their chunk's end are refused.
#[test]
fn misplaced_extents_are_refused() {
    let fx = fixture();
    let ino = fx.file("f");
    let c = fx.pack(0, 0, 1, CHUNK)[0];
    let wrong = [
        content(ino, 5, vec![extent(0..6, c, 0)]),
        content(ino, 50, vec![extent(0..6, c, 7)]),
        content(ino, 50, vec![extent(4..6, c, 0), extent(5..7, c, 0)]),
        StoredContent {
            replaced: std::iter::once(0..3).collect(),
            ..content(ino, 50, vec![extent(0..6, c, 0)])
        },
    ];
    for stored in wrong {
        fx.write::<_, MetaError, _>(move |tx| tx.store_content(&stored)).unwrap_err();
    }
    assert_counts(&fx);
}

/// A look at a range gives whole extents that overlap it, at most as many as asked for.
#[test]
fn extents_of_a_range() {
    let fx = fixture();
    let ino = fx.file("f");
    let c = fx.pack(0, 0, 1, CHUNK)[0];
    let all: Vec<_> = (0..4).map(|i| extent(i * 10..i * 10 + 5, c, i as u32)).collect();
    let stored = content(ino, 40, all.clone());
    fx.run(move |tx| tx.store_content(&stored));
    let get = |range, limit| fx.read::<_, MetaError>(|v| v.extents(ino, range, limit)).unwrap();
    assert_eq!(get(0..u64::MAX, 9), all);
    assert_eq!(get(4..11, 9), all[..2]);
    assert_eq!(get(5..10, 9), []);
    assert_eq!(get(12..40, 2), all[1..3]);
    assert_eq!(get(12..40, 0), []);
}
