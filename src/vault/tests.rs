//! What opens a file system, what does not, and what an interrupted or damaged one says.

use super::*;
use crate::store::fault::{Fault, FaultStore, Op};
use crate::store::memory::MemoryStore;
use crate::types::{Epoch, WriterId};

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
        let wrong = open(&store, Some(Secret::Passphrase(text("correct horse ")))).await;
        assert!(matches!(wrong, Err(VaultError::WrongSecret { .. })));
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
fn one_damaged_superblock_is_survived_two_are_not() {
    block_on(async {
        let store = Arc::new(MemoryStore::new());
        make(&store).await;
        let secret = || Some(Secret::Passphrase(text("correct horse")));
        let whole = store.get("superblock-a", None).await.expect("get");
        for at in 0..whole.len() {
            let mut bad = whole.to_vec();
            bad[at] ^= 0x10;
            // The version's bytes say "too new" when they rise: that is refused, as it must be.
            if (8..12).contains(&at) {
                continue;
            }
            store.put("superblock-a", bad.into()).await.expect("put");
            open(&store, secret()).await.unwrap_or_else(|e| panic!("byte {at} of one copy: {e}"));
        }
        let second = store.get("superblock-b", None).await.expect("get");
        store.put("superblock-b", second.slice(..100)).await.expect("put");
        assert!(matches!(open(&store, secret()).await, Err(VaultError::Damaged { .. })));
        store.delete(&["superblock-a".into(), "superblock-b".into()]).await.expect("delete");
        assert!(matches!(open(&store, secret()).await, Err(VaultError::NoFileSystem { .. })));
    });
}

#[test]
fn a_newer_format_is_refused() {
    block_on(async {
        let store = Arc::new(MemoryStore::new());
        make(&store).await;
        let mut newer = store.get("superblock-b", None).await.expect("get").to_vec();
        newer[8..12].copy_from_slice(&2u32.to_le_bytes());
        store.put("superblock-b", newer.into()).await.expect("put");
        let refused = open(&store, Some(Secret::Passphrase(text("correct horse")))).await;
        assert!(matches!(refused, Err(VaultError::TooNew { found: 2, known: 1, .. })));
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

#[test]
fn an_mkfs_that_died_at_any_put_is_no_file_system_or_a_whole_one() {
    block_on(async {
        for survivors in 0..3 {
            let inner = Arc::new(MemoryStore::new());
            let store = Arc::new(FaultStore::new(inner.clone(), 1));
            let shared: Arc<dyn Store> = store.clone();
            // Fails at the put after `survivors` good ones.
            let made = async {
                let create = Vault::create(shared.clone(), parameters(Cipher::Plain), None, false);
                tokio::pin!(create);
                create.await
            };
            store.fail_after(Op::Put, survivors, Fault::BeforeApply);
            assert!(made.await.is_err());
            match (survivors, Vault::open(inner.clone(), None).await) {
                (0 | 1, Err(VaultError::NoFileSystem { .. })) | (2, Ok(_)) => {}
                (n, other) => panic!("after {n} puts: {:?}", other.map(|_| ())),
            }
            Vault::create(inner, parameters(Cipher::Plain), None, true).await.expect("again, with force");
        }
    });
}

#[test]
fn epochs_rise_and_have_one_holder() {
    block_on(async {
        let inner = Arc::new(MemoryStore::new());
        let store = Arc::new(FaultStore::new(inner.clone(), 1));
        let made =
            Vault::create(store.clone(), parameters(Cipher::Plain), None, false).await.expect("create");
        let vault = made.vault;
        assert_eq!(vault.newest_epoch().await.expect("newest"), None);
        assert_eq!(vault.raise_epoch(WriterId(1)).await.expect("raise"), Epoch(1));
        // A put whose answer was lost is still ours.
        store.fail_next(Op::Put, 1, Fault::AfterApply);
        assert_eq!(vault.raise_epoch(WriterId(1)).await.expect("raise"), Epoch(2));
        for n in 3..20 {
            assert_eq!(vault.raise_epoch(WriterId(n)).await.expect("raise"), Epoch(n as u32));
        }
        assert_eq!(vault.newest_epoch().await.expect("newest"), Some(Epoch(19)));
        assert!(
            inner.list("lease/", None, 100).await.expect("list").objects.len() < 10,
            "old ones are removed"
        );
    });
}

#[test]
fn pack_keys_sort_by_epoch_and_sequence_and_read_back() {
    let name = |epoch, seq, writer| PackName { epoch: Epoch(epoch), seq, writer: WriterId(writer) };
    let names = [name(1, 2, 9), name(1, 10, 1), name(2, 1, 5), name(0x10, 0, 0)];
    let keys: Vec<String> = names.iter().map(|n| pack_key(*n)).collect();
    assert!(keys.is_sorted(), "{keys:?}");
    for (name, key) in names.iter().zip(&keys) {
        assert_eq!(parse_pack_key(key), Some(*name));
    }
    assert_eq!(parse_pack_key("pack/1/2-3"), None);
}
