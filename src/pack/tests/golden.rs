//! File systems that version 1 wrote are readable by every later release: objects in tests/data/v1, committed
//! once and never made anew. Their passphrase is "correct horse"; their recovery key lies beside them.
//!
//! A test here that fails means that users' buckets can't be read any more: the code is wrong, not the data.

use super::*;
use crate::chunk::ChunkNamer;
use crate::vault::Secret;
use std::path::{Path, PathBuf};

const PACK: PackName = PackName { epoch: Epoch(1), seq: 7, writer: WriterId(0x0123_4567_89ab_cdef) };
const RECOVERY_KEY: &str = "recovery-key.txt";

fn folder(of: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/v1").join(of)
}

fn golden_parameters(cipher: Cipher) -> Parameters {
    Parameters {
        label: "golden Größe".into(),
        cipher,
        chunk_sizes: ChunkSizes { min: 2 << 10, avg: 8 << 10, max: 32 << 10 },
        pack_size: 1 << 20,
        compression: Compression::Zstd(7),
    }
}

/// Nothing, one byte, what zstd shrinks, and what it does not.
fn contents() -> Vec<Vec<u8>> {
    let noise = (0u32..160).flat_map(|n| *blake3::hash(&n.to_le_bytes()).as_bytes()).collect();
    vec![vec![], vec![0xa5], b"the same line again and again\n".repeat(300), noise]
}

/// The bucket as it was committed.
async fn bucket(of: &str) -> Arc<MemoryStore> {
    let (store, top) = (Arc::new(MemoryStore::new()), folder(of));
    let mut folders = vec![top.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("read_dir") {
            let path = entry.expect("entry").path();
            let key = path.strip_prefix(&top).expect("below the top").to_str().expect("ASCII").to_owned();
            if path.is_dir() {
                folders.push(path);
            } else if key != RECOVERY_KEY {
                let body = std::fs::read(&path).expect("read");
                store.put(&key, body.into()).await.expect("put");
            }
        }
    }
    store
}

async fn everything_is_read(vault: &Vault, store: &MemoryStore, cipher: Cipher) {
    assert_eq!(vault.parameters(), &golden_parameters(cipher));
    assert_eq!(vault.newest_epoch().await.expect("newest_epoch"), Some(Epoch(1)));
    let lease = vault.newest_lease().await.expect("newest_lease").expect("a lease");
    assert_eq!((lease.epoch, lease.writer), (Epoch(1), PACK.writer));
    let packs = vault.packs_from(Epoch(1), 0).await.expect("packs_from");
    assert_eq!(packs.iter().map(|(name, _)| *name).collect::<Vec<_>>(), [PACK]);
    let size = store.head(&pack_key(PACK)).await.expect("head").expect("the pack").size;
    assert_eq!(packs[0].1, size);

    let entries = read_index(vault, PACK, size).await.expect("read_index");
    let namer = ChunkNamer::new(vault.chunk_id_key());
    let named: Vec<ChunkId> = contents().iter().map(|content| namer.name(content)).collect();
    assert_eq!(entries.iter().map(|e| e.id).collect::<Vec<_>>(), named, "chunks are found again by name");
    let frames = entries.iter().map(|entry| FrameAt { pack: PACK, entry: *entry }).collect();
    for request in coalesce(frames, 0, 1 << 20) {
        for ((id, got), content) in fetch(vault, &request).await.expect("fetch").into_iter().zip(contents()) {
            assert_eq!(got.unwrap_or_else(|e| panic!("{id}: {e}")), content);
        }
    }
}

#[test]
fn version_1_sealed_is_read() {
    block_on(async {
        let store = bucket("sealed").await;
        let recovery = std::fs::read_to_string(folder("sealed").join(RECOVERY_KEY)).expect("recovery key");
        let secrets = [
            Secret::Passphrase("correct horse".to_owned().into()),
            Secret::RecoveryKey(recovery.trim().to_owned().into()),
        ];
        for secret in secrets {
            let vault = Vault::open(store.clone(), Some(secret)).await.expect("open");
            everything_is_read(&vault, &store, Cipher::XChaCha20Poly1305).await;
        }
    });
}

#[test]
fn version_1_plain_is_read() {
    block_on(async {
        let store = bucket("plain").await;
        let vault = Vault::open(store.clone(), None).await.expect("open");
        everything_is_read(&vault, &store, Cipher::Plain).await;
    });
}

/// What docs/format.md says, byte by byte, of an object that needs no key.
#[test]
fn the_plain_pack_is_laid_out_as_the_documentation_says() {
    block_on(async {
        let store = bucket("plain").await;
        let pack = store.get(&pack_key(PACK), None).await.expect("get");
        let number = |at: usize| u32::from_le_bytes(pack[at..at + 4].try_into().expect("four bytes"));
        assert_eq!(&pack[..16], b"PAILPACK\x01\0\0\0\0\0\0\0");
        // The second frame: one byte of content, stored as it is.
        let frame = &pack[16 + 56..16 + 56 + 57];
        assert_eq!(&frame[..16], b"\x01\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0");
        assert_eq!((&frame[16..40], frame[40]), (&[0; 24][..], 0xa5));
        // The third: compressed, 9,000 bytes.
        let third = 16 + 56 + 57;
        assert_eq!((pack[third + 2], number(third + 8)), (1, 9000));
        let trailer = pack.len() - 24;
        let (index, len) = (number(trailer) as usize, number(trailer + 4) as usize);
        assert_eq!((index + len, len), (trailer, 56 + 4 * 44));
        assert_eq!((number(trailer + 8), number(trailer + 12)), (1, 0));
        assert_eq!(&pack[trailer + 16..], b"PAILPEND");
        let entry = index + 40 + 44;
        assert_eq!((number(entry + 32), number(entry + 36), number(entry + 40)), (16 + 56, 57, 1));
    });
}

/// Made tests/data/v1, once. For a version 2 write another one, beside it.
#[test]
#[ignore = "writes the golden files, which are never made anew"]
fn write_the_golden_files() {
    block_on(async {
        for (of, cipher) in [("sealed", Cipher::XChaCha20Poly1305), ("plain", Cipher::Plain)] {
            let store = Arc::new(MemoryStore::new());
            let passphrase = (cipher != Cipher::Plain).then(|| "correct horse".to_owned().into());
            let (parameters, cost) = (golden_parameters(cipher), KdfCost::TEST);
            let made = Vault::create_with_cost(store.clone(), parameters, passphrase, false, cost).await;
            let made = made.expect("create");
            made.vault.raise_epoch(PACK.writer).await.expect("raise_epoch");
            let namer = ChunkNamer::new(made.vault.chunk_id_key());
            let mut builder = PackBuilder::new();
            for content in contents() {
                let id = namer.name(&content);
                let frame = made.vault.seal_chunk(&id, &content, Compression::Zstd(7));
                builder.push(id, content.len() as u32, &frame);
            }
            let body = builder.finish(&made.vault, PACK);
            made.vault.put_pack(PACK, body).await.expect("put_pack");

            assert!(!folder(of).exists(), "they are there already");
            for object in store.list("", None, 1000).await.expect("list").objects {
                let path = folder(of).join(&object.key);
                std::fs::create_dir_all(path.parent().expect("a parent")).expect("create_dir_all");
                let body = store.get(&object.key, None).await.expect("get");
                std::fs::write(path, body).expect("write");
            }
            if let Some(key) = made.recovery_key {
                std::fs::write(folder(of).join(RECOVERY_KEY), format!("{}\n", *key)).expect("write");
            }
        }
    });
}
