//! An epoch has one holder, whatever others do in between.

use super::*;
use crate::types::Nanos;
use std::collections::BTreeSet;

fn plain_vault(store: Arc<dyn Store>) -> Vault {
    block_on(Vault::create(store, parameters(Cipher::Plain), None, false)).expect("create").vault
}

#[test]
fn epochs_rise_and_old_leases_are_removed() {
    let inner = Arc::new(MemoryStore::new());
    let store = Arc::new(FaultStore::new(inner.clone(), 1));
    let vault = plain_vault(store.clone());
    block_on(async {
        assert_eq!(vault.newest_epoch().await.expect("newest"), None);
        assert_eq!(vault.raise_epoch(WriterId(1)).await.expect("raise"), Epoch(1));
        // A put whose answer was lost is still ours.
        store.fail_next(Op::Put, 1, Fault::AfterApply);
        assert_eq!(vault.raise_epoch(WriterId(1)).await.expect("raise"), Epoch(2));
        for n in 3..20 {
            assert_eq!(vault.raise_epoch(WriterId(n)).await.expect("raise"), Epoch(n as u32));
        }
        assert_eq!(vault.newest_epoch().await.expect("newest"), Some(Epoch(19)));
        let left = inner.list("lease/", None, 100).await.expect("list").objects.len();
        assert!((2..10).contains(&left), "{left} leases are there");
    });
}

#[test]
fn racing_writers_get_different_epochs() {
    let store = Arc::new(MemoryStore::new());
    let vault = Arc::new(plain_vault(store));
    let racers: Vec<_> = (0..8)
        .map(|n| {
            let vault = vault.clone();
            std::thread::spawn(move || {
                (0..5).map(|_| block_on(vault.raise_epoch(WriterId(n))).expect("raise")).collect::<Vec<_>>()
            })
        })
        .collect();
    let mut all = BTreeSet::new();
    for racer in racers {
        let epochs = racer.join().expect("join");
        assert!(epochs.is_sorted(), "each racer's own epochs rise");
        for epoch in epochs {
            assert!(all.insert(epoch), "{epoch:?} was given twice");
        }
    }
}

/// The writer slept between its listing and its put; meanwhile others raised the epoch to 7 and removed the
/// old leases, so the key that it puts is free again. It must not believe that epoch 2 is its own.
#[test]
fn a_turn_that_others_went_past_is_not_taken() {
    let store = MeddledStore::new(|inner, op, key| {
        if (op, key) == ("put_if_absent", "lease/00000002") {
            block_on_plain(inner.put("lease/00000007", Bytes::from_static(b"somebody's")));
        }
        Ok(())
    });
    let vault = plain_vault(store);
    assert_eq!(block_on(vault.raise_epoch(WriterId(1))).expect("raise"), Epoch(1));
    assert_eq!(block_on(vault.raise_epoch(WriterId(1))).expect("raise"), Epoch(8));
}

/// A future that never waits, finished inside of another runtime.
fn block_on_plain<T>(f: impl Future<Output = Result<T, StoreError>>) {
    let mut f = std::pin::pin!(f);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match f.as_mut().poll(&mut context) {
        std::task::Poll::Ready(done) => drop(done.expect("done")),
        std::task::Poll::Pending => panic!("the memory store never waits"),
    }
}

/// Somebody else was quicker each time: after a bounded number of tries we say so.
#[test]
fn giving_up_is_an_error_and_takes_nothing() {
    let store = MeddledStore::new(|inner, op, key| {
        if op == "put_if_absent" && key.starts_with("lease/") {
            block_on_plain(inner.put(key, Bytes::from_static(b"somebody's")));
        }
        Ok(())
    });
    let vault = plain_vault(store);
    let refused = block_on(vault.raise_epoch(WriterId(1)));
    assert!(matches!(refused, Err(VaultError::Crowded { .. })), "{refused:?}");
}

#[test]
fn a_lease_says_who_took_it_and_only_under_its_own_name() {
    block_on(async {
        let store = Arc::new(MemoryStore::new());
        let vault = make(&store).await.vault;
        assert_eq!(vault.newest_lease().await.expect("newest"), None);
        let before = Nanos::now();
        let epoch = vault.raise_epoch(WriterId(77)).await.expect("raise");
        let lease = vault.newest_lease().await.expect("newest").expect("a lease");
        assert_eq!((lease.epoch, lease.writer), (epoch, WriterId(77)));
        assert!(lease.since >= before && lease.since <= Nanos::now());
        let body = store.get("lease/00000001", None).await.expect("get");
        store.put("lease/00000002", body).await.expect("put");
        assert!(vault.newest_lease().await.is_err(), "a copy under another epoch");
        assert_eq!(vault.newest_epoch().await.expect("newest"), Some(Epoch(2)), "its number is still taken");
    });
}

/// Removing old leases is a courtesy: a store that refuses it takes nothing from the turn.
#[test]
fn a_refused_removal_does_not_cost_the_turn() {
    let store = MeddledStore::new(|_, op, key| if op == "delete" { Err(denied(key)) } else { Ok(()) });
    let vault = plain_vault(store);
    for n in 1..12 {
        assert_eq!(block_on(vault.raise_epoch(WriterId(1))).expect("raise"), Epoch(n));
    }
}
