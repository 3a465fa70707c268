//! Opening what mkfs made.

use super::create::parameters_are_sound;
use super::keys::{self, Key};
use super::names::{FIRST_KEY, KEYS, PAGE, SUPERBLOCKS, number_in};
use super::superblock::{SUPERBLOCK_MAX, SlotKind, Superblock, Unusable, slot_identity};
use super::{FORMAT_VERSION, Secret, Vault, VaultError, recovery};
use crate::seal::{Cipher, FrameKey};
use crate::store::{Store, StoreError};
use crate::types::FsId;
use std::collections::BTreeMap;
use std::sync::Arc;
use zeroize::Zeroizing;

impl Vault {
    /// Whether there is a file system, and whether it needs a secret. Cheap: two gets.
    pub async fn needs_secret(store: &Arc<dyn Store>) -> Result<bool, VaultError> {
        let copies = whole_copies(&**store).await?;
        Ok(copies.first().is_some_and(|newest| newest.parameters.cipher != Cipher::Plain))
    }

    /// Opens what mkfs made. Argon2id runs on the calling thread. A secret that is not needed is refused:
    /// who has one believes that the file system is encrypted, and somebody may have put one in its place
    /// that is not.
    pub async fn open(store: Arc<dyn Store>, secret: Option<Secret>) -> Result<Vault, VaultError> {
        let copies = whole_copies(&*store).await?;
        let place = store.describe();
        let (superblock, master) = authentic(copies, secret.as_ref(), &place)?;
        let (fs, parameters) = (superblock.fs, superblock.parameters);
        let data_keys = data_keys(&*store, fs, &master, parameters.cipher).await?;
        if data_keys.is_empty() {
            return Err(VaultError::Damaged { what: format!("{place}: there is no data key") });
        }
        Ok(Vault { store, fs, parameters, chunk_id_key: keys::chunk_id_key(&master), data_keys })
    }
}

/// What `superblock-a` or `superblock-b` holds; `None` when it is not there.
async fn copy(store: &dyn Store, name: &str) -> Result<Option<Result<Superblock, Unusable>>, StoreError> {
    match store.get(name, Some(0..SUPERBLOCK_MAX)).await {
        Ok(bytes) => Ok(Some(Superblock::parse(&bytes))),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(e) => Err(e),
    }
}

/// The whole copies, at least one, the newest first. A damaged one is only worth a line while the other is
/// whole. A store that fails is not taken for a missing copy: it might hide the newer one.
async fn whole_copies(store: &dyn Store) -> Result<Vec<Superblock>, VaultError> {
    let place = store.describe();
    let (a, b) = tokio::join!(copy(store, SUPERBLOCKS[0]), copy(store, SUPERBLOCKS[1]));
    let (mut copies, mut damage, mut missing) = (Vec::new(), Vec::new(), 0);
    for (name, found) in SUPERBLOCKS.iter().zip([a?, b?]) {
        match found {
            Some(Ok(copy)) => copies.push(copy),
            Some(Err(Unusable::TooNew(found))) => {
                return Err(VaultError::TooNew { place, found, known: FORMAT_VERSION });
            }
            Some(Err(Unusable::Damaged(reason))) => damage.push(format!("{name}: {reason}")),
            None => {
                missing += 1;
                damage.push(format!("{name}: it is missing"));
            }
        }
    }
    if missing == SUPERBLOCKS.len() {
        return Err(VaultError::NoFileSystem { place });
    }
    if copies.is_empty() {
        return Err(VaultError::Damaged { what: format!("{place}: {}", damage.join("; ")) });
    }
    damage.iter().for_each(|d| tracing::warn!(%place, "a copy of the superblock can't be used: {d}"));
    copies.sort_by_key(|copy| std::cmp::Reverse(copy.generation));
    Ok(copies)
}

/// The newest copy that the holder of the master key wrote, and that key. A secret that the newest copy
/// does not take is wrong, whatever an older one says: it may be a passphrase that was changed since.
fn authentic(
    copies: Vec<Superblock>,
    secret: Option<&Secret>,
    place: &str,
) -> Result<(Superblock, Key), VaultError> {
    for copy in copies {
        let master = master_key(&copy, secret, place)?;
        if copy.is_signed_by(&master) && parameters_are_sound(&copy.parameters).is_ok() {
            return Ok((copy, master));
        }
        let generation = copy.generation;
        tracing::warn!(%place, generation, "a copy of the superblock was changed by someone without the key");
    }
    let what = format!("the superblock at {place}: it was changed by someone without the key");
    Err(VaultError::Damaged { what })
}

fn master_key(superblock: &Superblock, secret: Option<&Secret>, place: &str) -> Result<Key, VaultError> {
    let recovery = match secret {
        Some(Secret::RecoveryKey(text)) => Some(recovery::from_text(text)?),
        _ => None,
    };
    if superblock.parameters.cipher == Cipher::Plain && secret.is_some() {
        return Err(VaultError::NotEncrypted { place: place.to_owned() });
    }
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
    fs: FsId,
    master: &Key,
    cipher: Cipher,
) -> Result<BTreeMap<u32, FrameKey>, VaultError> {
    let mut found = BTreeMap::new();
    let page = store.list(KEYS, None, PAGE).await?;
    if page.more {
        // Without the newest we would seal under a retired key.
        return Err(VaultError::Damaged { what: format!("{KEYS}: more than {PAGE} objects") });
    }
    for object in page.objects {
        let Some(number) = number_in(KEYS, &object.key).filter(|n| *n >= FIRST_KEY) else { continue };
        let body = store.get(&object.key, Some(0..SUPERBLOCK_MAX)).await?;
        let secret = keys::open_data_key(fs, master, number, &body)?;
        found.insert(number, FrameKey { number, cipher, secret });
    }
    Ok(found)
}
