//! Names sort and read back to the letter; a listing is whole or an error.

use super::*;
use crate::vault::names::{list_all, number_in};
use proptest::prelude::*;

fn name(epoch: u32, seq: u64, writer: u64) -> PackName {
    PackName { epoch: Epoch(epoch), seq, writer: WriterId(writer) }
}

proptest! {
    #[test]
    fn pack_keys_sort_by_epoch_and_sequence_and_read_back(
        a in (any::<u32>(), 0u64..1 << 48, any::<u64>()),
        b in (any::<u32>(), 0u64..1 << 48, any::<u64>()),
    ) {
        let (a, b) = (name(a.0, a.1, a.2), name(b.0, b.1, b.2));
        prop_assert_eq!(pack_key(a).cmp(&pack_key(b)), a.cmp(&b));
        prop_assert_eq!(parse_pack_key(&pack_key(a)), Some(a));
    }

    /// Whatever lies in the bucket, a key that is taken for a pack's is the key of that pack.
    #[test]
    fn what_is_no_pack_key_is_not_taken_for_one(key in "pack/[+0-9a-fA-F]{7,9}/[0-9a-f]{11,13}-[0-9a-f]{15,17}") {
        prop_assert!(parse_pack_key(&key).is_none_or(|name| pack_key(name) == key));
    }
}

#[test]
fn numbered_keys_are_read_to_the_letter() {
    assert_eq!(number_in("key/", "key/0000000a"), Some(10));
    for key in ["key/a", "key/+000000a", "key/0000000A", "key/0000000a.old", "lease/0000000a", "key/"] {
        assert_eq!(number_in("key/", key), None, "{key}");
    }
}

#[test]
fn packs_from_a_sequence_on_are_listed_across_pages() {
    block_on(async {
        let store = Arc::new(MemoryStore::new());
        let vault = make(&store).await.vault;
        for seq in 0..2100 {
            vault.put_pack(name(3, seq, seq % 2), Bytes::from(vec![0; 5])).await.expect("put");
        }
        vault.put_pack(name(3, 50, u64::MAX), Bytes::new()).await.expect("put");
        vault.put_pack(name(2, 99, 1), Bytes::new()).await.expect("put");
        vault.put_pack(name(4, 0, 1), Bytes::new()).await.expect("put");
        store.put("pack/00000003/what-is-this", Bytes::new()).await.expect("put");
        let found = vault.packs_from(Epoch(3), 50).await.expect("packs_from");
        assert_eq!(found.len(), 2100 - 50 + 1);
        assert!(found.is_sorted());
        assert_eq!(found[0], (name(3, 50, 0), 5));
        assert_eq!(found[1], (name(3, 50, u64::MAX), 0), "another writer's of the same sequence");
        assert_eq!(vault.packs_from(Epoch(3), 2100).await.expect("packs_from"), []);
    });
}

/// Says that there is more, and brings nothing.
#[derive(Debug)]
struct Liar(MemoryStore);

#[async_trait]
impl Store for Liar {
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
    async fn list(&self, prefix: &str, after: Option<&str>, _: usize) -> Result<ListPage, StoreError> {
        // Page by page one object, and after the last of them still more to come.
        let objects = self.0.list(prefix, after, 1).await?.objects;
        Ok(ListPage { objects, more: true })
    }
    async fn delete(&self, keys: &[String]) -> Result<(), StoreError> {
        self.0.delete(keys).await
    }
    fn describe(&self) -> String {
        "liar".to_owned()
    }
}

#[test]
fn a_listing_that_does_not_come_to_its_end_is_an_error() {
    block_on(async {
        let liar = Liar(MemoryStore::new());
        for n in 0..3 {
            liar.put(&format!("a/{n}"), Bytes::new()).await.expect("put");
        }
        let refused = list_all(&liar, "a/", None).await;
        assert!(matches!(refused, Err(StoreError::Temporary { .. })), "{refused:?}");
    });
}
