//! A store in memory, for tests: the trait's promises in their simplest form.

use super::{ListPage, ObjectInfo, PutOutcome, Store, StoreError, check_key, clip};
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ops::{Bound, Range};

/// Objects in a map.
#[derive(Debug, Default)]
pub struct MemoryStore {
    objects: Mutex<BTreeMap<String, Bytes>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }
}

fn info(key: &str, body: &Bytes) -> ObjectInfo {
    ObjectInfo { key: key.to_owned(), size: body.len() as u64, modified: 0 }
}

#[async_trait]
impl Store for MemoryStore {
    async fn put(&self, key: &str, body: Bytes) -> Result<(), StoreError> {
        check_key(key)?;
        self.objects.lock().insert(key.to_owned(), body);
        Ok(())
    }

    async fn put_if_absent(&self, key: &str, body: Bytes) -> Result<PutOutcome, StoreError> {
        check_key(key)?;
        let mut objects = self.objects.lock();
        if objects.contains_key(key) {
            return Ok(PutOutcome::Exists);
        }
        objects.insert(key.to_owned(), body);
        Ok(PutOutcome::Created)
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes, StoreError> {
        check_key(key)?;
        let body = self.objects.lock().get(key).cloned();
        let body = body.ok_or_else(|| StoreError::NotFound { key: key.to_owned() })?;
        let part = clip(range, body.len() as u64);
        Ok(body.slice(part.start as usize..part.end as usize))
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>, StoreError> {
        check_key(key)?;
        Ok(self.objects.lock().get(key).map(|body| info(key, body)))
    }

    async fn list(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        limit: usize,
    ) -> Result<ListPage, StoreError> {
        let objects = self.objects.lock();
        let from = match start_after {
            Some(after) if after >= prefix => Bound::Excluded(after.to_owned()),
            _ => Bound::Included(prefix.to_owned()),
        };
        let mut matching = objects
            .range::<String, _>((from, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix));
        let page: Vec<ObjectInfo> = matching.by_ref().take(limit).map(|(k, b)| info(k, b)).collect();
        Ok(ListPage { objects: page, more: matching.next().is_some() })
    }

    async fn delete(&self, keys: &[String]) -> Result<(), StoreError> {
        let mut objects = self.objects.lock();
        for key in keys {
            check_key(key)?;
            objects.remove(key);
        }
        Ok(())
    }

    fn describe(&self) -> String {
        "memory".to_owned()
    }
}
