//! mkfs: what it refuses, what an interrupted one leaves, and who wins when two do it at once.

use super::*;
use parking_lot::Mutex;

/// mkfs dies at each of its puts, for good.
#[test]
fn an_mkfs_that_died_at_any_put_is_no_file_system_or_a_whole_one() {
    for survivors in 0..3 {
        let puts = Arc::new(Mutex::new(0));
        let dead_from = Arc::new(Mutex::new(survivors));
        let (count, dead) = (puts.clone(), dead_from.clone());
        let store = MeddledStore::new(move |_, op, key| {
            if op.starts_with("put") {
                *count.lock() += 1;
                if *count.lock() > *dead.lock() {
                    return Err(denied(key));
                }
            }
            Ok(())
        });
        block_on(async {
            let create = |force| Vault::create(store.clone(), parameters(Cipher::Plain), None, force);
            assert!(create(false).await.is_err());
            match (survivors, Vault::open(store.clone(), None).await) {
                (0 | 1, Err(VaultError::NoFileSystem { .. })) | (2, Ok(_)) => {}
                (n, other) => panic!("after {n} puts: {:?}", other.map(|_| ())),
            }
            *dead_from.lock() = usize::MAX;
            if survivors > 0 {
                let left_over = create(false).await.map(|_| ());
                assert!(matches!(left_over, Err(VaultError::NotEmpty { .. })), "only force goes over it");
            }
            create(true).await.expect("again, with force");
            Vault::open(store.clone(), None).await.expect("open");
        });
    }
}

#[test]
fn a_lost_answer_of_the_first_put_is_not_taken_for_somebody_else() {
    block_on(async {
        let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new()), 1));
        store.fail_next(Op::Put, 1, Fault::AfterApply);
        Vault::create(store.clone(), parameters(Cipher::Plain), None, false).await.expect("create");
        Vault::open(store, None).await.expect("open");
    });
}

/// Both found the place empty. One makes its file system, the other is told; no mixture comes about.
#[test]
fn of_two_who_make_one_at_the_same_time_one_wins() {
    let store = MeddledStore::new(|inner, op, key| {
        if (op, key) == ("put_if_absent", "key/00000001") {
            let mut put = std::pin::pin!(inner.put_if_absent(key, Bytes::from_static(b"the other's")));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(put.as_mut().poll(&mut context).is_ready());
        }
        Ok(())
    });
    block_on(async {
        let lost = Vault::create(store.clone(), parameters(Cipher::Plain), None, false).await.map(|_| ());
        assert!(matches!(lost, Err(VaultError::NotEmpty { .. })), "{lost:?}");
        assert!(store.head("superblock-a").await.expect("head").is_none());
        assert_eq!(&store.get("key/00000001", None).await.expect("get")[..], b"the other's");
    });
}

/// The superblocks go first: what a broken-off `--force` leaves is no file system, not one with holes.
#[test]
fn force_removes_the_superblocks_before_everything_else() {
    let deleted = Arc::new(Mutex::new(Vec::new()));
    let log = deleted.clone();
    let store = MeddledStore::new(move |_, op, key| {
        if op == "delete" {
            log.lock().push(key.to_owned());
        }
        Ok(())
    });
    block_on(async {
        Vault::create(store.clone(), parameters(Cipher::Plain), None, false).await.expect("create");
        for n in 0..2500 {
            store.put(&format!("pack/{n}"), Bytes::new()).await.expect("put");
        }
        Vault::create(store.clone(), parameters(Cipher::Plain), None, true).await.expect("forced");
        let all = store.list("", None, 1000).await.expect("list").objects;
        assert_eq!(all.len(), 3, "nothing of the old one is left");
    });
    let deleted = deleted.lock();
    assert_eq!(deleted[..2], ["superblock-a", "superblock-b"]);
    assert_eq!(deleted.len(), 2 + 1 + 2500);
}

/// A store that takes deletes and does nothing must not keep mkfs busy for ever.
#[test]
fn force_gives_up_when_nothing_goes_away() {
    #[derive(Debug)]
    struct Keeps(MemoryStore);
    #[async_trait]
    impl Store for Keeps {
        async fn put(&self, key: &str, body: Bytes) -> Result<(), StoreError> {
            self.0.put(key, body).await
        }
        async fn put_if_absent(&self, key: &str, body: Bytes) -> Result<PutOutcome, StoreError> {
            self.0.put_if_absent(key, body).await
        }
        async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes, StoreError> {
            self.0.get(key, range).await
        }
        async fn head(&self, key: &str) -> Result<Option<ObjectInfo>, StoreError> {
            self.0.head(key).await
        }
        async fn list(&self, prefix: &str, a: Option<&str>, n: usize) -> Result<ListPage, StoreError> {
            self.0.list(prefix, a, n).await
        }
        async fn delete(&self, _: &[String]) -> Result<(), StoreError> {
            Ok(())
        }
        fn describe(&self) -> String {
            "keeps".to_owned()
        }
    }
    block_on(async {
        let store = Arc::new(Keeps(MemoryStore::new()));
        store.put("holiday.jpg", Bytes::new()).await.expect("put");
        assert!(Vault::create(store, parameters(Cipher::Plain), None, true).await.is_err());
    });
}

#[test]
fn parameters_out_of_bounds_are_refused_before_anything_is_stored() {
    let sealed = || parameters(Cipher::XChaCha20Poly1305);
    let sizes = |min, avg, max| Parameters { chunk_sizes: ChunkSizes { min, avg, max }, ..sealed() };
    let bad = [
        Parameters { compression: Compression::Zstd(0), ..sealed() },
        Parameters { compression: Compression::Zstd(20), ..sealed() },
        Parameters { label: "x".repeat(256), ..sealed() },
        Parameters { pack_size: 1000, ..sealed() },
        Parameters { pack_size: u32::MAX, ..sealed() },
        sizes(0, 8 << 10, 32 << 10),
        sizes(2049, 8 << 10, 32 << 10),
        sizes(32 << 10, 8 << 10, 32 << 10),
        sizes(2 << 10, 8 << 10, u32::MAX),
    ];
    block_on(async {
        let refused = async |parameters, passphrase: Option<&str>, cost| {
            let store = Arc::new(MemoryStore::new());
            let secret = passphrase.map(text);
            let made = Vault::create_with_cost(store.clone(), parameters, secret, false, cost).await;
            assert!(matches!(made.map(|_| ()), Err(VaultError::BadParameter(_))));
            assert!(store.list("", None, 1).await.expect("list").objects.is_empty());
        };
        for parameters in bad {
            refused(parameters, Some("p"), KdfCost::TEST).await;
        }
        refused(sealed(), None, KdfCost::TEST).await;
        refused(sealed(), Some(""), KdfCost::TEST).await;
        refused(parameters(Cipher::Plain), Some("p"), KdfCost::TEST).await;
        refused(sealed(), Some("p"), KdfCost { memory: u32::MAX, ..KdfCost::TEST }).await;
        refused(sealed(), Some("p"), KdfCost { lanes: 0, ..KdfCost::TEST }).await;
    });
}
