//! Opening what mkfs made.

use super::keys::{self, Key};
use super::names::{KEYS, PAGE, SUPERBLOCKS};
use super::superblock::{SUPERBLOCK_MAX, SlotKind, Superblock, Unusable, slot_identity};
use super::{FORMAT_VERSION, Secret, Vault, VaultError, recovery};
use crate::seal::{Cipher, FrameKey};
use crate::store::{Store, StoreError};
use std::collections::BTreeMap;
use std::sync::Arc;
use zeroize::Zeroizing;

impl Vault {
    /// Whether there is a file system, and whether it needs a secret. Cheap: two gets.
    pub async fn needs_secret(store: &Arc<dyn Store>) -> Result<bool, VaultError> {
        Ok(newest(&**store).await?.parameters.cipher != Cipher::Plain)
    }

    /// Opens what mkfs made. Argon2id runs on the calling thread.
    pub async fn open(store: Arc<dyn Store>, secret: Option<Secret>) -> Result<Vault, VaultError> {
        let superblock = newest(&*store).await?;
        let place = store.describe();
        let master = master_key(&superblock, secret.as_ref(), &place)?;
        if !superblock.is_signed_by(&master) {
            let what = format!("the superblock at {place}: it was changed by someone without the key");
            return Err(VaultError::Damaged { what });
        }
        let (fs, parameters) = (superblock.fs, superblock.parameters);
        let data_keys = data_keys(&*store, fs, &master, parameters.cipher).await?;
        if data_keys.is_empty() {
            return Err(VaultError::Damaged { what: format!("{place}: there is no data key") });
        }
        Ok(Vault { store, fs, parameters, chunk_id_key: keys::chunk_id_key(&master), data_keys })
    }
}

/// The newest whole copy. A damaged one is only worth a line while the other is whole.
async fn newest(store: &dyn Store) -> Result<Superblock, VaultError> {
    let place = store.describe();
    let (mut best, mut damage): (Option<Superblock>, Vec<String>) = (None, Vec::new());
    for name in SUPERBLOCKS {
        let bytes = match store.get(name, Some(0..SUPERBLOCK_MAX)).await {
            Err(StoreError::NotFound { .. }) => {
                damage.push(format!("{name}: missing"));
                continue;
            }
            other => other?,
        };
        match Superblock::parse(&bytes) {
            Ok(copy) if best.as_ref().is_none_or(|b| copy.generation > b.generation) => best = Some(copy),
            Ok(_) => {}
            Err(Unusable::TooNew(found)) => {
                return Err(VaultError::TooNew { place, found, known: FORMAT_VERSION });
            }
            Err(Unusable::Damaged(reason)) => damage.push(format!("{name}: {reason}")),
        }
    }
    match best {
        Some(superblock) => {
            damage.iter().for_each(|d| tracing::warn!(%place, "a copy of the superblock can't be used: {d}"));
            Ok(superblock)
        }
        None if damage.iter().all(|d| d.ends_with("missing")) => Err(VaultError::NoFileSystem { place }),
        None => Err(VaultError::Damaged { what: format!("{place}: {}", damage.join("; ")) }),
    }
}

fn master_key(superblock: &Superblock, secret: Option<&Secret>, place: &str) -> Result<Key, VaultError> {
    let recovery = match secret {
        Some(Secret::RecoveryKey(text)) => Some(recovery::from_text(text)?),
        _ => None,
    };
    for slot in &superblock.slots {
        let wrapper = match (&slot.kind, secret) {
            (SlotKind::Open, _) => {
                let key = slot.wrapped.as_slice().try_into();
                return key.map(Zeroizing::new).map_err(|_| VaultError::Damaged {
                    what: format!("the superblock at {place}: its key slot"),
                });
            }
            (SlotKind::Passphrase { salt, cost }, Some(Secret::Passphrase(passphrase))) => {
                keys::passphrase_wrapper(passphrase, salt, *cost)?
            }
            (SlotKind::Recovery, _) => match &recovery {
                Some(key) => keys::recovery_wrapper(key),
                None => continue,
            },
            _ => continue,
        };
        if let Some(master) = keys::unwrap(superblock.fs, &wrapper, &slot_identity(slot.id), &slot.wrapped) {
            return Ok(master);
        }
    }
    let place = place.to_owned();
    Err(if secret.is_none() { VaultError::SecretNeeded { place } } else { VaultError::WrongSecret { place } })
}

/// All data keys: a bounded listing, one object for each time that a key was rotated.
async fn data_keys(
    store: &dyn Store,
    fs: crate::types::FsId,
    master: &Key,
    cipher: Cipher,
) -> Result<BTreeMap<u32, FrameKey>, VaultError> {
    let mut found = BTreeMap::new();
    let page = store.list(KEYS, None, PAGE).await?;
    for object in page.objects {
        let Some(number) = object.key.strip_prefix(KEYS).and_then(|n| u32::from_str_radix(n, 16).ok()) else {
            continue;
        };
        let body = store.get(&object.key, Some(0..SUPERBLOCK_MAX)).await?;
        let secret = keys::open_data_key(fs, master, number, &body)?;
        found.insert(number, FrameKey { number, cipher, secret });
    }
    Ok(found)
}
