//! Damage, malice and later versions, in one copy of the superblock or in both.

use super::*;
use crate::vault::superblock::{Slot, SlotKind, Superblock, to_bytes};

const BOTH: [&str; 2] = ["superblock-a", "superblock-b"];
const VERSION_AT: usize = 8;
const LABEL_AT: usize = 58;

/// What somebody without the key can do: change bytes and put the checksum right.
fn rechecked(mut bytes: Vec<u8>) -> Bytes {
    let body = bytes.len() - 32;
    let sum = blake3::hash(&bytes[..body]);
    bytes[body..].copy_from_slice(sum.as_bytes());
    bytes.into()
}

async fn get(store: &MemoryStore, name: &str) -> Vec<u8> {
    store.get(name, None).await.expect("get").to_vec()
}

#[test]
fn any_damage_of_one_copy_is_survived() {
    block_on(async {
        let store = Arc::new(MemoryStore::new());
        make(&store).await;
        for name in BOTH {
            let whole = get(&store, name).await;
            for at in 0..whole.len() {
                let mut bad = whole.clone();
                bad[at] ^= 1 << (at % 8);
                store.put(name, bad.into()).await.expect("put");
                let opened = open(&store, passphrase()).await;
                opened.unwrap_or_else(|e| panic!("byte {at} of {name}: {e}"));
                store.put(name, whole[..at].to_vec().into()).await.expect("put");
                let opened = open(&store, passphrase()).await;
                opened.unwrap_or_else(|e| panic!("{name} cut at {at}: {e}"));
            }
            store.delete(&[name.to_owned()]).await.expect("delete");
            open(&store, passphrase()).await.expect("one is missing");
            store.put(name, whole.into()).await.expect("put");
        }
    });
}

#[test]
fn two_damaged_copies_are_damage_and_none_is_no_file_system() {
    block_on(async {
        let store = Arc::new(MemoryStore::new());
        make(&store).await;
        for name in BOTH {
            let cut = get(&store, name).await[..100].to_vec();
            store.put(name, cut.into()).await.expect("put");
        }
        assert!(matches!(open(&store, passphrase()).await, Err(VaultError::Damaged { .. })));
        store.delete(&[BOTH[0].to_owned()]).await.expect("delete");
        assert!(matches!(open(&store, passphrase()).await, Err(VaultError::Damaged { .. })));
        store.delete(&BOTH.map(str::to_owned)).await.expect("delete");
        assert!(matches!(open(&store, passphrase()).await, Err(VaultError::NoFileSystem { .. })));
    });
}

/// A newer Pail writes one copy after the other: one is enough to keep us out.
#[test]
fn a_newer_format_is_refused_but_a_damaged_version_is_not_one() {
    block_on(async {
        for name in BOTH {
            let store = Arc::new(MemoryStore::new());
            make(&store).await;
            let mut newer = get(&store, name).await;
            newer[VERSION_AT] = 2;
            store.put(name, newer.clone().into()).await.expect("put");
            open(&store, passphrase()).await.expect("its checksum says that it is damaged");
            store.put(name, rechecked(newer)).await.expect("put");
            let refused = open(&store, passphrase()).await;
            assert!(matches!(refused, Err(VaultError::TooNew { found: 2, known: 1, .. })));
        }
    });
}

/// A changed copy with a right checksum and the highest generation: the MAC is wrong, the other one serves.
#[test]
fn a_copy_that_was_changed_without_the_key_is_not_used() {
    block_on(async {
        let store = Arc::new(MemoryStore::new());
        let made = make(&store).await;
        let mut changed = get(&store, "superblock-b").await;
        changed[12] = 99; // the generation
        assert_eq!(&changed[LABEL_AT..LABEL_AT + 6], b"photos");
        changed[LABEL_AT] = b'X';
        store.put("superblock-b", rechecked(changed.clone())).await.expect("put");
        let opened = open(&store, passphrase()).await.expect("the other copy");
        assert_eq!(opened.parameters(), made.vault.parameters());
        store.put("superblock-a", rechecked(changed)).await.expect("put");
        assert!(matches!(open(&store, passphrase()).await, Err(VaultError::Damaged { .. })));
    });
}

/// Somebody who can write to the bucket puts a file system of his own there, without encryption. Who has a
/// passphrase believes that there is encryption, and must not write plain data.
#[test]
fn a_secret_for_a_file_system_without_encryption_is_refused() {
    block_on(async {
        let store = Arc::new(MemoryStore::new());
        make(&store).await;
        Vault::create(store.clone(), parameters(Cipher::Plain), None, true).await.expect("the intruder's");
        assert!(matches!(open(&store, passphrase()).await, Err(VaultError::NotEncrypted { .. })));
        open(&store, None).await.expect("for who never had a passphrase");
    });
}

/// An open slot in what calls itself encrypted would hand the intruder's key to a writer.
#[test]
fn an_open_slot_among_encrypted_ones_is_refused() {
    let (fs, master) = (crate::types::FsId([1; 16]), Zeroizing::new([2; 32]));
    let slot = |id, kind| Slot { id, kind, wrapped: vec![2; 32] };
    let salted = || SlotKind::Passphrase { salt: [0; 16], cost: KdfCost::TEST };
    let parses = |cipher, slots: &[Slot]| {
        Superblock::parse(&to_bytes(1, fs, &parameters(cipher), slots, &master)).is_ok()
    };
    let sealed = Cipher::XChaCha20Poly1305;
    assert!(parses(Cipher::Plain, &[slot(0, SlotKind::Open)]));
    assert!(!parses(Cipher::Plain, &[]));
    assert!(!parses(Cipher::Plain, &[slot(0, SlotKind::Open), slot(1, SlotKind::Recovery)]));
    assert!(parses(sealed, &[slot(0, salted()), slot(1, SlotKind::Recovery)]));
    assert!(!parses(sealed, &[slot(0, SlotKind::Open)]));
    assert!(!parses(sealed, &[slot(0, salted()), slot(1, SlotKind::Open)]));
    // A superblock must not be able to keep a machine busy, or out of memory, before it is known to be ours.
    let many: Vec<Slot> = (0..17).map(|id| slot(id, salted())).collect();
    assert!(parses(sealed, &many[..16]) && !parses(sealed, &many));
    for cost in [
        KdfCost { memory: u32::MAX, ..KdfCost::TEST },
        KdfCost { passes: u32::MAX, ..KdfCost::TEST },
        KdfCost { lanes: u32::MAX, ..KdfCost::TEST },
        KdfCost { memory: 7, ..KdfCost::TEST },
    ] {
        assert!(!parses(sealed, &[slot(0, SlotKind::Passphrase { salt: [0; 16], cost })]));
    }
}

#[test]
fn the_newest_of_two_whole_copies_is_taken() {
    block_on(async {
        let (fs, master) = (crate::types::FsId([1; 16]), Zeroizing::new([2; 32]));
        let slots = [Slot { id: 0, kind: SlotKind::Open, wrapped: master.to_vec() }];
        for newer in BOTH {
            let store = Arc::new(MemoryStore::new());
            let key = keys::data_key_object(fs, &master, 1, &Zeroizing::new([3; 32]));
            store.put("key/00000001", key.into()).await.expect("put");
            for name in BOTH {
                let label = name.to_owned();
                let generation = if name == newer { 8 } else { 7 };
                let parameters = Parameters { label, ..parameters(Cipher::Plain) };
                let bytes = to_bytes(generation, fs, &parameters, &slots, &master);
                store.put(name, bytes.into()).await.expect("put");
            }
            assert_eq!(open(&store, None).await.expect("open").parameters().label, newer);
        }
    });
}

/// A store that fails may hide the newer copy: that is no reason to take the older.
#[test]
fn a_failing_store_is_not_a_missing_copy() {
    block_on(async {
        let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new()), 1));
        Vault::create(store.clone(), parameters(Cipher::Plain), None, false).await.expect("create");
        store.fail_next(Op::Get, 1, Fault::BeforeApply);
        assert!(matches!(Vault::open(store, None).await, Err(VaultError::Store(e)) if e.is_temporary()));
    });
}

#[test]
fn a_damaged_or_missing_data_key_is_damage_and_strays_are_not() {
    block_on(async {
        let store = Arc::new(MemoryStore::new());
        make(&store).await;
        let key = get(&store, "key/00000001").await;
        for stray in ["key/00000001.old", "key/00000000", "key/2", "key/readme"] {
            store.put(stray, Bytes::from_static(b"what is this")).await.expect("put");
        }
        open(&store, passphrase()).await.expect("open among strays");
        for at in 0..key.len() {
            let mut bad = key.clone();
            bad[at] ^= 1;
            store.put("key/00000001", bad.into()).await.expect("put");
            let refused = open(&store, passphrase()).await;
            assert!(matches!(refused, Err(VaultError::Damaged { .. })), "byte {at}");
        }
        store.delete(&["key/00000001".to_owned()]).await.expect("delete");
        assert!(matches!(open(&store, passphrase()).await, Err(VaultError::Damaged { .. })));
        // A whole key under another number is not that key.
        store.put("key/00000002", key.into()).await.expect("put");
        assert!(matches!(open(&store, passphrase()).await, Err(VaultError::Damaged { .. })));
    });
}
