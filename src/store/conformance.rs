//! The trait's promises as one suite, run over every store and every layer.
//!
//! It panics where a promise is broken: it is a test, in the library so that the tests of each backend,
//! also those over real servers, can run it.
#![allow(clippy::expect_used, missing_docs)]

use super::{PutOutcome, Store, StoreError};
use bytes::Bytes;
use std::sync::Arc;

const RACERS: usize = 16;
const ROUNDS: usize = 8;

/// Runs everything on an empty store; leaves it empty.
pub async fn check(store: Arc<dyn Store>) {
    objects(&*store).await;
    ranges(&*store).await;
    listings(&*store).await;
    keys(&*store).await;
    racing(store).await;
}

async fn keys_of(store: &dyn Store, prefix: &str, after: Option<&str>, limit: usize) -> (Vec<String>, bool) {
    // proof: a test suite; a failure is to panic
    let page = store.list(prefix, after, limit).await.expect("list");
    (page.objects.into_iter().map(|o| o.key).collect(), page.more)
}

async fn objects(store: &dyn Store) {
    // proof: a test suite; a failure is to panic
    assert!(store.head("o/b").await.expect("head").is_none());
    let missing = store.get("o/b", None).await;
    assert!(matches!(missing, Err(StoreError::NotFound { .. })), "{missing:?}");
    for body in [&b"first"[..], b"", b"second, longer"] {
        // proof: a test suite; a failure is to panic
        store.put("o/b", Bytes::from_static(body)).await.expect("put");
        assert_eq!(store.get("o/b", None).await.expect("get"), body);
        assert_eq!(store.head("o/b").await.expect("head").expect("there").size, body.len() as u64);
    }
    // proof: a test suite; a failure is to panic
    let taken = store.put_if_absent("o/b", Bytes::from_static(b"x")).await.expect("put_if_absent");
    assert_eq!(taken, PutOutcome::Exists);
    assert_eq!(store.get("o/b", None).await.expect("get"), &b"second, longer"[..]);
    // proof: a test suite; a failure is to panic
    store.delete(&["o/b".into(), "never/there".into()]).await.expect("delete");
    store.delete(&["o/b".into()]).await.expect("delete of what is gone");
    assert!(store.head("o/b").await.expect("head").is_none());
}

async fn ranges(store: &dyn Store) {
    // proof: a test suite; a failure is to panic
    store.put("r", Bytes::from_static(b"0123456789")).await.expect("put");
    for (range, want) in
        [(0..10, "0123456789"), (2..5, "234"), (8..100, "89"), (10..20, ""), (50..60, ""), (3..3, "")]
    {
        // proof: a test suite; a failure is to panic
        let got = store.get("r", Some(range.clone())).await.expect("get");
        assert_eq!(got, want.as_bytes(), "range {range:?}");
    }
    // proof: a test suite; a failure is to panic
    store.delete(&["r".into()]).await.expect("delete");
}

/// Keys whose order as bytes differs from the order of a directory walk.
async fn listings(store: &dyn Store) {
    let mut keys: Vec<String> = [
        "a", "a-b", "a.b", "b/x", "b/x0", "b-x", "b0", "b/y/1", "b/y/2", "b/y.z", "c/d/e/f", "ca", "pack/1",
        "pack-1",
    ]
    .map(str::to_owned)
    .to_vec();
    keys.extend((0..40).map(|i| format!("n/{:02x}/{i:04}", i % 5)));
    for key in &keys {
        // proof: a test suite; a failure is to panic
        store.put(key, Bytes::from(key.clone())).await.expect("put");
    }
    keys.sort();
    for prefix in ["", "a", "b", "b/", "b/y", "b/y/", "n/0", "n/03/", "pack", "pack/", "zz"] {
        let want: Vec<String> = keys.iter().filter(|k| k.starts_with(prefix)).cloned().collect();
        assert_eq!(keys_of(store, prefix, None, 1000).await, (want.clone(), false), "prefix {prefix:?}");
        for after in ["", "a", "b/", "b/x", "b/y/1", "n/02/0007", "n/99", "b/nothing/here"] {
            let rest: Vec<String> = want.iter().filter(|k| k.as_str() > after).cloned().collect();
            let got = keys_of(store, prefix, Some(after), 1000).await.0;
            assert_eq!(got, rest, "prefix {prefix:?} after {after:?}");
        }
        let (mut paged, mut after) = (Vec::new(), None::<String>);
        loop {
            let (page, more) = keys_of(store, prefix, after.as_deref(), 3).await;
            assert!(page.len() <= 3);
            after = page.last().cloned();
            paged.extend(page);
            if !more {
                break;
            }
        }
        assert_eq!(paged, want, "pages of {prefix:?}");
    }
    // proof: a test suite; a failure is to panic
    store.delete(&keys).await.expect("delete");
    assert_eq!(keys_of(store, "", None, 10).await, (Vec::new(), false));
}

async fn keys(store: &dyn Store) {
    for bad in ["", "/a", "a//b", "a/", "../x", "a/./b", "a b", "é", &"x".repeat(300)] {
        let put = store.put(bad, Bytes::new()).await;
        assert!(matches!(put, Err(StoreError::BadKey { .. })), "{bad:?}: {put:?}");
    }
}

async fn racing(store: Arc<dyn Store>) {
    for round in 0..ROUNDS {
        let key = format!("race/{round:04}");
        let racers: Vec<_> = (0..RACERS)
            .map(|racer| {
                let (store, key) = (Arc::clone(&store), key.clone());
                tokio::spawn(async move { store.put_if_absent(&key, Bytes::from(racer.to_string())).await })
            })
            .collect();
        let mut winners = Vec::new();
        for (racer, task) in racers.into_iter().enumerate() {
            // proof: a test suite; a failure is to panic
            if task.await.expect("racer").expect("put_if_absent") == PutOutcome::Created {
                winners.push(racer);
            }
        }
        assert_eq!(winners.len(), 1, "winners of round {round}: {winners:?}");
        // proof: a test suite; a failure is to panic
        let body = store.get(&key, None).await.expect("get");
        assert_eq!(body, winners[0].to_string().as_bytes()); // proof: one winner was just asserted
        store.delete(&[key]).await.expect("delete");
    }
}

#[cfg(test)]
mod tests {
    use super::super::fault::FaultStore;
    use super::super::local::LocalStore;
    use super::super::memory::MemoryStore;
    use super::super::retry::RetryStore;
    use super::*;

    fn run(store: Arc<dyn Store>) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build();
        runtime.expect("runtime").block_on(check(store));
    }

    #[test]
    fn memory_keeps_the_promises() {
        run(Arc::new(MemoryStore::new()));
    }

    #[test]
    fn a_local_directory_keeps_the_promises() {
        let dir = tempfile::tempdir().expect("tempdir");
        run(Arc::new(LocalStore::open(dir.path(), false).expect("open")));
        assert!(LocalStore::open(&dir.path().join("missing"), false).is_err());
    }

    #[test]
    fn layers_keep_the_promises() {
        let faultless = Arc::new(FaultStore::new(Arc::new(MemoryStore::new()), 1));
        run(Arc::new(RetryStore::new(faultless, 3)));
    }

    #[test]
    fn temporary_files_of_the_dead_are_removed_and_never_listed() {
        let dir = tempfile::tempdir().expect("tempdir");
        let temporary = dir.path().join(".pail-tmp");
        std::fs::create_dir(&temporary).expect("mkdir");
        std::fs::write(temporary.join("999999999-1-1"), "x").expect("write");
        std::fs::write(temporary.join(format!("{}-1-1", std::process::id())), "x").expect("write");
        let store = LocalStore::open(dir.path(), false).expect("open");
        assert_eq!(std::fs::read_dir(&temporary).expect("read_dir").count(), 1);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        assert!(runtime.block_on(store.list("", None, 10)).expect("list").objects.is_empty());
    }
}
