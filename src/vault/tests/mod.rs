//! What opens a file system, what does not, and what an interrupted or damaged one says.

use super::*;
use crate::store::fault::{Fault, FaultStore, Op};
use crate::store::memory::MemoryStore;
use crate::store::{ListPage, ObjectInfo, PutOutcome};
use crate::types::{Epoch, WriterId};
use async_trait::async_trait;

mod creating;
mod leases;
mod listing;
mod superblocks;

/// What a test does at a call, with the store below and the call's key (a listing's prefix).
type Meddler = dyn Fn(&MemoryStore, &'static str, &str) -> Result<(), StoreError> + Send + Sync;

/// A store in memory, with a hand in every call before it is applied.
struct MeddledStore {
    inner: MemoryStore,
    meddle: Box<Meddler>,
}

impl std::fmt::Debug for MeddledStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MeddledStore")
    }
}

impl MeddledStore {
    fn new(
        meddle: impl Fn(&MemoryStore, &'static str, &str) -> Result<(), StoreError> + Send + Sync + 'static,
    ) -> Arc<MeddledStore> {
        Arc::new(MeddledStore { inner: MemoryStore::new(), meddle: Box::new(meddle) })
    }
}

#[async_trait]
impl Store for MeddledStore {
    async fn put(&self, key: &str, body: Bytes) -> Result<(), StoreError> {
        (self.meddle)(&self.inner, "put", key)?;
        self.inner.put(key, body).await
    }
    async fn put_if_absent(&self, key: &str, body: Bytes) -> Result<PutOutcome, StoreError> {
        (self.meddle)(&self.inner, "put_if_absent", key)?;
        self.inner.put_if_absent(key, body).await
    }
    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes, StoreError> {
        (self.meddle)(&self.inner, "get", key)?;
        self.inner.get(key, range).await
    }
    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>, StoreError> {
        self.inner.head(key).await
    }
    async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<ListPage, StoreError> {
        (self.meddle)(&self.inner, "list", prefix)?;
        self.inner.list(prefix, after, limit).await
    }
    async fn delete(&self, keys: &[String]) -> Result<(), StoreError> {
        for key in keys {
            (self.meddle)(&self.inner, "delete", key)?;
        }
        self.inner.delete(keys).await
    }
    fn describe(&self) -> String {
        "meddled".to_owned()
    }
}

fn denied(key: &str) -> StoreError {
    StoreError::Denied { operation: "put", key: key.to_owned(), reason: "by the test".to_owned() }
}

fn passphrase() -> Option<Secret> {
    Some(Secret::Passphrase(text("correct horse")))
}

fn parameters(cipher: Cipher) -> Parameters {
    Parameters {
        label: "photos".into(),
        cipher,
        chunk_sizes: ChunkSizes::DEFAULT,
        pack_size: 16 << 20,
        compression: Compression::Zstd(3),
    }
}

fn block_on<T>(f: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("runtime").block_on(f)
}

fn text(s: &str) -> Zeroizing<String> {
    Zeroizing::new(s.to_owned())
}

async fn make(store: &Arc<MemoryStore>) -> Created {
    let parameters = parameters(Cipher::XChaCha20Poly1305);
    let passphrase = Some(text("correct horse"));
    Vault::create_with_cost(store.clone(), parameters, passphrase, false, KdfCost::TEST)
        .await
        .expect("create")
}

async fn open(store: &Arc<MemoryStore>, secret: Option<Secret>) -> Result<Vault, VaultError> {
    Vault::open(store.clone(), secret).await
}

#[test]
fn passphrase_and_recovery_key_open_it_and_nothing_else_does() {
    block_on(async {
        let store = Arc::new(MemoryStore::new());
        let made = make(&store).await;
        let shared: Arc<dyn Store> = store.clone();
        assert!(Vault::needs_secret(&shared).await.expect("needs_secret"));
        let opened = open(&store, Some(Secret::Passphrase(text("correct horse")))).await.expect("open");
        assert_eq!(opened.fs_id(), made.vault.fs_id());
        assert_eq!(opened.parameters(), &parameters(Cipher::XChaCha20Poly1305));
        assert_eq!(opened.chunk_id_key(), made.vault.chunk_id_key());
        let id = ChunkId([5; 32]);
        let frame = made.vault.seal_chunk(&id, b"content", Compression::None);
        assert_eq!(opened.open_chunk(&id, &frame, 7).expect("open_chunk"), b"content");
        assert!(opened.open_chunk(&id, &frame, 8).is_err(), "another size");
        assert!(opened.open_chunk(&ChunkId([6; 32]), &frame, 7).is_err(), "another chunk");

        let recovery = made.recovery_key.expect("a recovery key");
        open(&store, Some(Secret::RecoveryKey(recovery))).await.expect("open by recovery key");
        for wrong in ["correct horse ", "Correct horse", ""] {
            let wrong = open(&store, Some(Secret::Passphrase(text(wrong)))).await;
            assert!(matches!(wrong, Err(VaultError::WrongSecret { .. })));
        }
        // Another file system's recovery key: well-formed, but not ours. One with a typing error: told so.
        let other = make(&Arc::new(MemoryStore::new())).await.recovery_key.expect("a recovery key");
        let refused = open(&store, Some(Secret::RecoveryKey(other.clone()))).await;
        assert!(matches!(refused, Err(VaultError::WrongSecret { .. })));
        let typo = other.replacen(&other[3..4], if &other[3..4] == "7" { "8" } else { "7" }, 1);
        let refused = open(&store, Some(Secret::RecoveryKey(text(&typo)))).await;
        assert!(matches!(refused, Err(VaultError::BadParameter(m)) if m.contains("typing error")));
        assert!(matches!(open(&store, None).await, Err(VaultError::SecretNeeded { .. })));
    });
}

#[test]
fn a_plain_one_needs_no_secret_but_still_finds_damage() {
    block_on(async {
        let store = Arc::new(MemoryStore::new());
        let made =
            Vault::create(store.clone(), parameters(Cipher::Plain), None, false).await.expect("create");
        assert!(made.recovery_key.is_none());
        let opened = open(&store, None).await.expect("open");
        let id = ChunkId([5; 32]);
        let mut frame = made.vault.seal_chunk(&id, b"content", Compression::None);
        assert_eq!(opened.open_chunk(&id, &frame, 7).expect("open_chunk"), b"content");
        let last = frame.len() - 20;
        frame[last] ^= 1;
        assert!(opened.open_chunk(&id, &frame, 7).is_err());
    });
}

#[test]
fn what_is_there_is_not_overwritten_without_force() {
    block_on(async {
        let store = Arc::new(MemoryStore::new());
        store.put("holiday.jpg", Bytes::from_static(b"x")).await.expect("put");
        let shared: Arc<dyn Store> = store.clone();
        let create = |force| Vault::create(shared.clone(), parameters(Cipher::Plain), None, force);
        assert!(matches!(create(false).await, Err(VaultError::NotEmpty { .. })));
        create(true).await.expect("forced");
        assert!(store.head("holiday.jpg").await.expect("head").is_none());
        let again = create(false).await.map(|_| ()).expect_err("there is one");
        assert!(again.to_string().contains("file system"), "{again}");
    });
}

/// Frames of another file system, kind or place do not open, whoever's keys are used.
#[test]
fn frames_open_only_where_they_belong() {
    block_on(async {
        let ours = make(&Arc::new(MemoryStore::new())).await.vault;
        let theirs = make(&Arc::new(MemoryStore::new())).await.vault;
        let id = ChunkId([5; 32]);
        let pack = |seq| PackName { epoch: Epoch(1), seq, writer: WriterId(1) };
        let chunk = ours.seal_chunk(&id, b"content", Compression::None);
        let index = ours.seal_pack_index(pack(1), b"content");
        assert_eq!(ours.open_pack_index(pack(1), &index).expect("our index"), b"content");
        assert!(ours.open_pack_index(pack(2), &index).is_err(), "another pack's index");
        assert!(ours.open_pack_index(pack(1), &chunk).is_err(), "a chunk for an index");
        assert!(ours.open_chunk(&id, &index, 7).is_err(), "an index for a chunk");
        assert!(theirs.open_chunk(&id, &chunk, 7).is_err(), "a foreign file system's chunk");
        // A kind is told apart even where the identities are the same bytes.
        let key = pack_key(pack(1));
        let lease = ours.seal(Kind::Lease, key.as_bytes(), b"content", Compression::None);
        assert!(ours.open_pack_index(pack(1), &lease).is_err(), "a lease for an index");
        let mut unknown = chunk.clone();
        unknown[4] = 9;
        let refused = ours.open_chunk(&id, &unknown, 7);
        assert!(matches!(refused, Err(VaultError::Sealed { reason: SealError::UnknownKey(9), .. })));
    });
}

#[test]
fn packs_are_deleted_in_batches_that_a_store_takes() {
    block_on(async {
        let store = Arc::new(MemoryStore::new());
        let vault = make(&store).await.vault;
        let names: Vec<PackName> =
            (0..2500).map(|seq| PackName { epoch: Epoch(1), seq, writer: WriterId(1) }).collect();
        for name in &names {
            vault.put_pack(*name, Bytes::from_static(b"x")).await.expect("put");
        }
        vault.delete_packs(&names[..2400]).await.expect("delete");
        let left = vault.packs_from(Epoch(1), 0).await.expect("list");
        assert_eq!(left.iter().map(|(name, _)| *name).collect::<Vec<_>>(), names[2400..]);
    });
}
