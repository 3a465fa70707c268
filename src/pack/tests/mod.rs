//! Packs read back, and damage stays where it is.

use super::*;
use crate::seal::{Cipher, Compression};
use crate::store::Store;
use crate::store::memory::MemoryStore;
use crate::types::{ChunkSizes, Epoch, PackName, WriterId};
use crate::vault::{KdfCost, Parameters, Vault, pack_key};
use bytes::Bytes;
use proptest::prelude::*;
use std::sync::Arc;

mod golden;

const NAME: PackName = PackName { epoch: Epoch(1), seq: 7, writer: WriterId(9) };

fn block_on<T>(f: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("runtime").block_on(f)
}

async fn vault() -> (Arc<MemoryStore>, Vault) {
    let store = Arc::new(MemoryStore::new());
    let parameters = Parameters {
        label: String::new(),
        cipher: Cipher::XChaCha20Poly1305,
        chunk_sizes: ChunkSizes::DEFAULT,
        pack_size: 1 << 20,
        compression: Compression::None,
    };
    let secret = Some(passphrase());
    let made = Vault::create_with_cost(store.clone(), parameters, secret, false, KdfCost::TEST).await;
    (store, made.expect("create").vault)
}

fn chunk(n: u32) -> (ChunkId, Vec<u8>) {
    (ChunkId([n as u8; 32]), vec![n as u8; 100 + n as usize * 37])
}

fn build(vault: &Vault, chunks: u32) -> (Bytes, Vec<PackEntry>) {
    let mut builder = PackBuilder::new();
    for n in 0..chunks {
        let (id, content) = chunk(n);
        builder.push(id, content.len() as u32, &vault.seal_chunk(&id, &content, Compression::None));
    }
    let entries = builder.entries().to_vec();
    (builder.finish(vault, NAME), entries)
}

#[test]
fn a_pack_describes_itself_whatever_its_size() {
    block_on(async {
        let (_, vault) = vault().await;
        for chunks in [1, 5, 3000] {
            let (body, entries) = build(&vault, chunks);
            vault.put_pack(NAME, body.clone()).await.expect("put");
            let read = read_index(&vault, NAME, body.len() as u64).await.expect("read_index");
            assert_eq!(read, entries, "{chunks} chunks");
        }
    });
}

fn is_damage<T>(result: &Result<T, PackError>) -> bool {
    matches!(result, Err(PackError::Damaged { .. }))
}

/// One request for all, as a reader makes it.
fn one_request(entries: &[PackEntry]) -> Fetch {
    let frames = entries.iter().map(|entry| FrameAt { pack: NAME, entry: *entry }).collect();
    let mut requests = coalesce(frames, 1 << 20, 1 << 30);
    assert_eq!(requests.len(), 1, "neighbours share a request");
    requests.remove(0)
}

/// Stores these bytes and reads all chunks; says which are damaged. The others must be right.
async fn damaged_chunks(vault: &Vault, entries: &[PackEntry], body: Bytes) -> Vec<u32> {
    vault.put_pack(NAME, body).await.expect("put");
    let got = fetch(vault, &one_request(entries)).await.expect("fetch");
    assert_eq!(got.len(), entries.len());
    let mut damaged = Vec::new();
    for (n, (id, content)) in (0..).zip(got) {
        assert_eq!(id, chunk(n).0);
        match content {
            Ok(content) => assert_eq!(content, chunk(n).1),
            Err(PackError::Damaged { .. }) => damaged.push(n),
            Err(other) => panic!("chunk {n}: {other}"),
        }
    }
    damaged
}

#[test]
fn each_byte_of_a_pack_that_is_flipped_damages_its_own_frame_and_no_other() {
    block_on(async {
        let (_, vault) = vault().await;
        let (body, entries) = build(&vault, 4);
        for at in 0..body.len() {
            let mut bad = body.to_vec();
            bad[at] ^= 1 << (at % 8);
            let holds = |e: &PackEntry| (e.offset..e.offset + e.frame_len).contains(&(at as u32));
            let hit: Vec<u32> = (0..).zip(&entries).filter(|(_, e)| holds(e)).map(|(n, _)| n).collect();
            assert_eq!(damaged_chunks(&vault, &entries, bad.into()).await, hit, "byte {at}");
        }
    });
}

#[test]
fn a_pack_cut_short_damages_the_frames_beyond_the_cut() {
    block_on(async {
        let (_, vault) = vault().await;
        let (body, entries) = build(&vault, 4);
        for len in 0..body.len() {
            let beyond = |e: &PackEntry| (e.offset + e.frame_len) as usize > len;
            let hit: Vec<u32> = (0..).zip(&entries).filter(|(_, e)| beyond(e)).map(|(n, _)| n).collect();
            assert_eq!(damaged_chunks(&vault, &entries, body.slice(..len)).await, hit, "cut at {len}");
        }
    });
}

/// Frames of equal length change places: each is authentic, and in the wrong place.
#[test]
fn swapped_frames_are_damage() {
    block_on(async {
        let (_, vault) = vault().await;
        let mut builder = PackBuilder::new();
        let ids = [ChunkId([1; 32]), ChunkId([2; 32])];
        let frames = ids.map(|id| vault.seal_chunk(&id, &id.0, Compression::None));
        builder.push(ids[0], 32, &frames[1]);
        builder.push(ids[1], 32, &frames[0]);
        let request = one_request(builder.entries());
        vault.put_pack(NAME, builder.finish(&vault, NAME)).await.expect("put");
        let got = fetch(&vault, &request).await.expect("fetch");
        assert!(got.iter().all(|(_, content)| is_damage(content)), "{got:?}");
    });
}

#[test]
fn a_pack_of_a_foreign_file_system_is_damage() {
    block_on(async {
        let ((_, ours), (_, theirs)) = (vault().await, vault().await);
        let (body, entries) = build(&theirs, 3);
        assert_eq!(damaged_chunks(&ours, &entries, body.clone()).await, [0, 1, 2]);
        assert!(is_damage(&read_index(&ours, NAME, body.len() as u64).await));
    });
}

/// A wrong entry, as a damaged database might hold it, is an error and never a panic or other data.
#[test]
fn a_request_that_contradicts_the_pack_is_damage() {
    block_on(async {
        let (_, vault) = vault().await;
        let (body, entries) = build(&vault, 3);
        vault.put_pack(NAME, body.clone()).await.expect("put");
        let right = entries[1];
        let size = u64::from(entries[1].size);
        for entry in [
            PackEntry { offset: 0, ..right },
            PackEntry { offset: right.offset + 1, ..right },
            PackEntry { offset: u32::MAX, ..right },
            PackEntry { frame_len: u32::MAX, ..right },
            PackEntry { frame_len: 0, ..right },
            PackEntry { size: right.size - 1, ..right },
            PackEntry { size: right.size + 1, ..right },
            PackEntry { size: u32::MAX, ..right },
            PackEntry { id: entries[0].id, ..right },
        ] {
            for range in [0..body.len() as u64, 100..100 + size, 1 << 40..1 << 41] {
                let request = Fetch { pack: NAME, range, frames: vec![entry] };
                let got = fetch(&vault, &request).await.expect("fetch");
                assert!(is_damage(&got[0].1), "{entry:?}");
            }
        }
    });
}

#[test]
fn an_object_that_is_missing_is_the_stores_error() {
    block_on(async {
        let (_, vault) = vault().await;
        let (body, entries) = build(&vault, 3);
        let missing = fetch(&vault, &one_request(&entries)).await;
        assert!(matches!(missing, Err(PackError::Vault(_))));
        assert!(matches!(read_index(&vault, NAME, body.len() as u64).await, Err(PackError::Vault(_))));
    });
}

#[test]
fn an_index_that_is_damaged_or_anothers_is_refused() {
    block_on(async {
        let (store, vault) = vault().await;
        let (body, entries) = build(&vault, 3);
        let index_from = (entries[2].offset + entries[2].frame_len) as usize;
        for at in index_from..body.len() {
            let mut bad = body.to_vec();
            bad[at] ^= 1 << (at % 8);
            store.put(&pack_key(NAME), bad.into()).await.expect("put");
            assert!(is_damage(&read_index(&vault, NAME, body.len() as u64).await), "byte {at}");
        }
        for len in 0..body.len() {
            store.put(&pack_key(NAME), body.slice(..len)).await.expect("put");
            assert!(is_damage(&read_index(&vault, NAME, len as u64).await), "cut at {len}");
            assert!(is_damage(&read_index(&vault, NAME, body.len() as u64).await), "cut at {len}, old size");
        }
        // Another pack under this name: its index is bound to its own.
        let other = PackName { seq: 8, ..NAME };
        store.put(&pack_key(other), body.clone()).await.expect("put");
        assert!(is_damage(&read_index(&vault, other, body.len() as u64).await));
    });
}

/// A pack around an index that is authentic, and false: a bug of a writer.
fn lying_pack(vault: &Vault, entries: &[(u32, u32, u32)], frames: usize) -> Bytes {
    let mut plain = Vec::new();
    for (offset, frame_len, size) in entries {
        plain.extend_from_slice(&[7; 32]);
        [offset, frame_len, size].iter().for_each(|n| plain.extend_from_slice(&n.to_le_bytes()));
    }
    let index = vault.seal_pack_index(NAME, &plain);
    let mut body = PackBuilder::new().body();
    body.resize(HEADER + frames, 0);
    let at = body.len() as u32;
    body.extend_from_slice(&index);
    body.extend_from_slice(&at.to_le_bytes());
    body.extend_from_slice(&(index.len() as u32).to_le_bytes());
    body.extend_from_slice(&VERSION.to_le_bytes());
    body.extend_from_slice(&[0; 4]);
    body.extend_from_slice(END_MAGIC);
    body.into()
}

#[test]
fn entries_lie_inside_the_pack_and_do_not_overlap() {
    block_on(async {
        let (store, vault) = vault().await;
        let read = async |entries: &[(u32, u32, u32)]| {
            let body = lying_pack(&vault, entries, 400);
            let size = body.len() as u64;
            store.put(&pack_key(NAME), body).await.expect("put");
            read_index(&vault, NAME, size).await
        };
        assert_eq!(read(&[]).await.expect("an empty pack"), []);
        assert!(read(&[(16, 100, 44), (116, 300, 244)]).await.is_ok(), "one after the other");
        for lie in [
            &[(15, 100, 100)][..],
            &[(16, 401, 1000)],
            &[(16, u32::MAX, u32::MAX)],
            &[(u32::MAX, u32::MAX, u32::MAX)],
            &[(16, 100, 100), (115, 100, 100)],
            &[(116, 100, 100), (16, 100, 100)],
            &[(16, 100, 100), (16, 100, 100)],
            &[(16, 55, 100)],
            &[(16, 100, 43)],
        ] {
            assert!(is_damage(&read(lie).await), "{lie:?}");
        }
    });
}

/// A trailer of which nobody vouches says that the index is huge: nothing of that size is asked for.
#[test]
fn an_index_longer_than_its_frames_allow_is_not_even_asked_for() {
    block_on(async {
        let (store, vault) = vault().await;
        let mut body = lying_pack(&vault, &[], 1 << 20).to_vec();
        let size = body.len();
        let trailer = size - TRAILER;
        body[trailer..trailer + 4].copy_from_slice(&(HEADER as u32).to_le_bytes());
        body[trailer + 4..trailer + 8].copy_from_slice(&((trailer - HEADER) as u32).to_le_bytes());
        let counted = Arc::new(crate::store::fault::FaultStore::new(store.clone(), 1));
        let reader = Vault::open(counted.clone(), Some(crate::vault::Secret::Passphrase(passphrase())));
        let reader = reader.await.expect("open");
        store.put(&pack_key(NAME), body.into()).await.expect("put");
        // The second get would fail with the store's error.
        counted.fail_after(crate::store::fault::Op::Get, 1, crate::store::fault::Fault::BeforeApply);
        assert!(is_damage(&read_index(&reader, NAME, size as u64).await));
    });
}

fn passphrase() -> zeroize::Zeroizing<String> {
    "p".to_owned().into()
}

proptest! {
    #[test]
    fn every_frame_is_asked_for_once_and_bounds_are_kept(
        frames in prop::collection::vec((0u64..3, 0u32..200, 1u32..50), 0..40),
        repeated in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
        gap in prop_oneof![0u64..100, Just(u64::MAX)],
        most in 1u64..400,
    ) {
        // Frames of one pack do not overlap: slots of 50 bytes.
        let mut unique: Vec<FrameAt> = frames.into_iter().map(|(seq, slot, len)| FrameAt {
            pack: PackName { seq, ..NAME },
            entry: PackEntry { id: ChunkId([slot as u8; 32]), offset: slot * 50, frame_len: len, size: 1 },
        }).collect();
        unique.sort_by_key(|f| (f.pack, f.entry.offset, f.entry.frame_len));
        unique.dedup_by_key(|f| (f.pack, f.entry.offset));
        // Asked for in any order, some of them more than once.
        let mut asked: Vec<FrameAt> = unique.iter().rev().copied().collect();
        if !unique.is_empty() {
            asked.extend(repeated.iter().map(|i| *i.get(&unique)));
        }
        let fetches = coalesce(asked, gap, most);
        let mut covered = Vec::new();
        for fetch in &fetches {
            prop_assert!(fetch.frames.len() == 1 || fetch.range.end - fetch.range.start <= most);
            let mut end = fetch.range.start;
            for entry in &fetch.frames {
                prop_assert!(u64::from(entry.offset) <= end.saturating_add(gap));
                end = u64::from(entry.offset + entry.frame_len);
                prop_assert!(u64::from(entry.offset) >= fetch.range.start && end <= fetch.range.end);
                covered.push(FrameAt { pack: fetch.pack, entry: *entry });
            }
            prop_assert_eq!(end, fetch.range.end);
        }
        prop_assert_eq!(covered, unique);
        // No two requests where one would have done.
        for pair in fetches.windows(2).filter(|pair| pair[0].pack == pair[1].pack) {
            let next = &pair[1].frames[0];
            let near = u64::from(next.offset) <= pair[0].range.end.saturating_add(gap);
            let fits = u64::from(next.offset + next.frame_len) - pair[0].range.start <= most;
            prop_assert!(!near || !fits);
        }
    }
}

/// Entries that contradict each other (of a damaged database) do not keep equal ones apart.
#[test]
fn duplicates_are_asked_for_once_also_among_contradictions() {
    let entry = |frame_len| PackEntry { id: ChunkId([1; 32]), offset: 16, frame_len, size: 1 };
    let at = |frame_len| FrameAt { pack: NAME, entry: entry(frame_len) };
    let fetches = coalesce(vec![at(10), at(20), at(10)], 0, 1000);
    assert_eq!(fetches, [Fetch { pack: NAME, range: 16..36, frames: vec![entry(10), entry(20)] }]);
}
