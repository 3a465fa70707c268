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
    let passphrase = Some("p".to_owned().into());
    let made = Vault::create_with_cost(store.clone(), parameters, passphrase, false, KdfCost::TEST).await;
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

#[test]
fn a_damaged_frame_harms_no_neighbour() {
    block_on(async {
        let (_, vault) = vault().await;
        let (body, entries) = build(&vault, 5);
        let mut bad = body.to_vec();
        bad[entries[2].offset as usize + 60] ^= 1;
        vault.put_pack(NAME, bad.into()).await.expect("put");
        let frames = entries.iter().map(|entry| FrameAt { pack: NAME, entry: *entry }).collect();
        let requests = coalesce(frames, 1 << 20, 1 << 30);
        assert_eq!(requests.len(), 1, "neighbours share a request");
        for (n, (id, got)) in fetch(&vault, &requests[0]).await.expect("fetch").into_iter().enumerate() {
            assert_eq!(id, chunk(n as u32).0);
            match n {
                2 => assert!(got.is_err(), "the damaged one"),
                _ => assert_eq!(got.expect("a neighbour"), chunk(n as u32).1),
            }
        }
    });
}

#[test]
fn an_index_that_lies_or_is_damaged_is_refused() {
    block_on(async {
        let (store, vault) = vault().await;
        let (body, entries) = build(&vault, 3);
        let index_from = (entries[2].offset + entries[2].frame_len) as usize;
        for at in index_from..body.len() {
            let mut bad = body.to_vec();
            bad[at] ^= 0x20;
            store.put(&pack_key(NAME), bad.into()).await.expect("put");
            assert!(read_index(&vault, NAME, body.len() as u64).await.is_err(), "byte {at}");
        }
        for len in 0..body.len() {
            store.put(&pack_key(NAME), body.slice(..len)).await.expect("put");
            assert!(read_index(&vault, NAME, len as u64).await.is_err(), "cut at {len}");
            assert!(read_index(&vault, NAME, body.len() as u64).await.is_err(), "cut at {len}, old size");
        }
        // Another pack under this name: its index is bound to its own.
        let other = PackName { seq: 8, ..NAME };
        store.put(&pack_key(other), body.clone()).await.expect("put");
        assert!(read_index(&vault, other, body.len() as u64).await.is_err());
    });
}

proptest! {
    #[test]
    fn every_frame_is_asked_for_once_and_bounds_are_kept(
        frames in prop::collection::vec((0u64..3, 0u32..200, 1u32..50), 0..40),
        gap in 0u64..100,
        most in 1u64..400,
    ) {
        // Frames of one pack do not overlap: slots of 50 bytes.
        let frames: Vec<FrameAt> = frames.into_iter().map(|(seq, slot, len)| FrameAt {
            pack: PackName { seq, ..NAME },
            entry: PackEntry { id: ChunkId([slot as u8; 32]), offset: slot * 50, frame_len: 1 + len % 50, size: 1 },
        }).collect();
        let mut unique = frames.clone();
        unique.sort_by_key(|f| (f.pack, f.entry.offset, f.entry.frame_len));
        unique.dedup_by_key(|f| (f.pack, f.entry.offset));
        let fetches = coalesce(unique.clone(), gap, most);
        let mut covered = Vec::new();
        for fetch in &fetches {
            prop_assert!(fetch.frames.len() == 1 || fetch.range.end - fetch.range.start <= most);
            let mut end = fetch.range.start;
            for entry in &fetch.frames {
                prop_assert!(u64::from(entry.offset) <= end + gap);
                end = u64::from(entry.offset + entry.frame_len);
                prop_assert!(u64::from(entry.offset) >= fetch.range.start && end <= fetch.range.end);
                covered.push(FrameAt { pack: fetch.pack, entry: *entry });
            }
            prop_assert_eq!(end, fetch.range.end);
        }
        prop_assert_eq!(covered, unique);
    }
}
