//! Trying again, with exponential backoff and full jitter, while an error says that it may help.

use super::{ListPage, ObjectInfo, PutOutcome, Store, StoreError};
use async_trait::async_trait;
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// The first pause is random up to this; each further one up to twice the one before.
pub const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// No pause is longer.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How long to pause before the nth retry (0 = the first): random between nothing and the ceiling.
pub fn pause(attempt: u32) -> Duration {
    let ceiling = FIRST_PAUSE.saturating_mul(1 << attempt.min(20)).min(LONGEST_PAUSE);
    let mut random = [0; 4];
    // Without randomness the pause is the ceiling: still bounded.
    let share = match getrandom::fill(&mut random) {
        Ok(()) => f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX),
        Err(_) => 1.0,
    };
    ceiling.mul_f64(share)
}

/// Repeats what failed for now, at most so many times.
#[derive(Debug)]
pub struct RetryStore {
    inner: Arc<dyn Store>,
    tries: u32,
}

impl RetryStore {
    /// `tries` counts the first one.
    pub fn new(inner: Arc<dyn Store>, tries: u32) -> RetryStore {
        RetryStore { inner, tries: tries.max(1) }
    }

    async fn repeat<T, F>(&self, mut call: impl FnMut() -> F + Send) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Send,
    {
        let mut attempt = 0;
        loop {
            match call().await {
                Err(e) if e.is_temporary() && attempt + 1 < self.tries => {
                    tracing::debug!(error = %e, attempt, "trying again");
                    tokio::time::sleep(pause(attempt)).await;
                    attempt += 1;
                }
                done => return done,
            }
        }
    }
}

#[async_trait]
impl Store for RetryStore {
    async fn put(&self, key: &str, body: Bytes) -> Result<(), StoreError> {
        self.repeat(|| self.inner.put(key, body.clone())).await
    }

    /// Not repeated: after a lost answer only the caller can tell its own object from another's.
    async fn put_if_absent(&self, key: &str, body: Bytes) -> Result<PutOutcome, StoreError> {
        self.inner.put_if_absent(key, body).await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes, StoreError> {
        self.repeat(|| self.inner.get(key, range.clone())).await
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>, StoreError> {
        self.repeat(|| self.inner.head(key)).await
    }

    async fn list(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        limit: usize,
    ) -> Result<ListPage, StoreError> {
        self.repeat(|| self.inner.list(prefix, start_after, limit)).await
    }

    async fn delete(&self, keys: &[String]) -> Result<(), StoreError> {
        self.repeat(|| self.inner.delete(keys)).await
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}
