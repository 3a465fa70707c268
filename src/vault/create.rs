//! mkfs.
//!
//! Order: the data key's object, by put-if-absent, which decides between two who make one at the same time;
//! then the two superblocks. What was interrupted before the first superblock is no file system (open says
//! so); its left-over key object makes the prefix non-empty, so that only `--force` goes over it: a key
//! object without a superblock may as well be what is left of a file system that someone wants back.

use super::keys::{self, KdfCost};
use super::lease::put_once;
use super::names::{FIRST_KEY, PAGE, SUPERBLOCKS, key_key};
use super::superblock::{self, Slot, SlotKind, slot_identity};
use super::{Parameters, Vault, VaultError, recovery};
use crate::seal::{Cipher, Compression, FrameKey};
use crate::store::{Store, StoreError};
use crate::types::{ChunkSizes, FsId};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use zeroize::Zeroizing;

const LABEL_MAX: usize = 255;
/// What a pack aims at. Offsets in it are 32 bits, so there is room for the chunk that reaches beyond.
const PACK_SIZES: RangeInclusive<u32> = 64 << 10..=1 << 30;
// What the cutter takes.
const MIN_SIZES: RangeInclusive<u32> = 1 << 10..=1 << 20;
const AVG_SIZES: RangeInclusive<u32> = 4 << 10..=4 << 20;
const MAX_SIZES: RangeInclusive<u32> = 4 << 10..=16 << 20;

/// What mkfs shows once.
pub struct Created {
    /// The opened file system.
    pub vault: Vault,
    /// Opens the file system when the passphrase is lost; `None` with `--plain`.
    pub recovery_key: Option<Zeroizing<String>>,
}

impl Vault {
    /// mkfs: refuses a prefix that has any object unless `force`, and then removes what is there
    /// first (superblocks before everything else, so that a half-removed one is no file system).
    /// `passphrase` is `None` exactly with `Cipher::Plain`.
    pub async fn create(
        store: Arc<dyn Store>,
        parameters: Parameters,
        passphrase: Option<Zeroizing<String>>,
        force: bool,
    ) -> Result<Created, VaultError> {
        Vault::create_with_cost(store, parameters, passphrase, force, KdfCost::DEFAULT).await
    }

    /// The same, with another cost of trying a passphrase.
    pub async fn create_with_cost(
        store: Arc<dyn Store>,
        parameters: Parameters,
        passphrase: Option<Zeroizing<String>>,
        force: bool,
        cost: KdfCost,
    ) -> Result<Created, VaultError> {
        check(&parameters, passphrase.as_deref(), cost)?;
        clear(&*store, force).await?;
        let mut id = [0; 16];
        keys::fill(&mut id)?;
        let fs = FsId(id);
        let (master, data_key) = (keys::random_key()?, keys::random_key()?);

        let (slots, recovery_key) = match &passphrase {
            None => (vec![Slot { id: 0, kind: SlotKind::Open, wrapped: master.to_vec() }], None),
            Some(passphrase) => {
                let recovery = keys::random_key()?;
                let mut salt = [0; 16];
                keys::fill(&mut salt)?;
                let wrapper = keys::passphrase_wrapper(passphrase, &salt, cost)?;
                let slot = |id, kind, with: &Zeroizing<[u8; 32]>| Slot {
                    id,
                    kind,
                    wrapped: keys::wrap(fs, with, &slot_identity(id), &master),
                };
                let slots = vec![
                    slot(0, SlotKind::Passphrase { salt, cost }, &wrapper),
                    slot(1, SlotKind::Recovery, &keys::recovery_wrapper(&recovery)),
                ];
                (slots, Some(recovery::to_text(&recovery)))
            }
        };
        let object = Bytes::from(keys::data_key_object(fs, &master, FIRST_KEY, &data_key));
        if !put_once(&*store, &key_key(FIRST_KEY), &object).await? {
            let found = "somebody else is making a file system there".to_owned();
            return Err(VaultError::NotEmpty { place: store.describe(), found });
        }
        for (generation, name) in (1..).zip(SUPERBLOCKS) {
            let bytes = superblock::to_bytes(generation, fs, &parameters, &slots, &master);
            store.put(name, bytes.into()).await?;
        }
        let key = FrameKey { number: FIRST_KEY, cipher: parameters.cipher, secret: data_key };
        let data_keys = BTreeMap::from([(FIRST_KEY, key)]);
        let vault = Vault { store, fs, parameters, chunk_id_key: keys::chunk_id_key(&master), data_keys };
        Ok(Created { vault, recovery_key })
    }
}

fn check(parameters: &Parameters, passphrase: Option<&String>, cost: KdfCost) -> Result<(), VaultError> {
    let refuse = |what: &str| Err(VaultError::BadParameter(what.to_owned()));
    match (parameters.cipher, passphrase) {
        (Cipher::Plain, Some(_)) => return refuse("a file system without encryption takes no passphrase"),
        (Cipher::XChaCha20Poly1305, None) => return refuse("an encrypted file system needs a passphrase"),
        (_, Some(passphrase)) if passphrase.is_empty() => return refuse("the passphrase is empty"),
        _ => {}
    }
    if !cost.is_bearable() {
        return refuse("the key derivation's cost is out of bounds");
    }
    parameters_are_sound(parameters)
}

/// The bounds that mkfs keeps, and that a superblock must keep.
pub(super) fn parameters_are_sound(parameters: &Parameters) -> Result<(), VaultError> {
    let refuse = |what: &str| Err(VaultError::BadParameter(what.to_owned()));
    if matches!(parameters.compression, Compression::Zstd(level) if !(1..=19).contains(&level)) {
        return refuse("zstd's level is 1 to 19");
    }
    if parameters.label.len() > LABEL_MAX {
        return refuse("the label is longer than 255 bytes");
    }
    if !PACK_SIZES.contains(&parameters.pack_size) {
        return refuse("a pack's size is 64 KiB to 1 GiB");
    }
    let ChunkSizes { min, avg, max } = parameters.chunk_sizes;
    let bounded = MIN_SIZES.contains(&min) && AVG_SIZES.contains(&avg) && MAX_SIZES.contains(&max);
    if !bounded || min > avg || avg > max || [min, avg, max].iter().any(|size| size % 2 != 0) {
        return refuse("chunk sizes must be even, in order, and average 4 KiB to 4 MiB");
    }
    Ok(())
}

/// Refuses or removes what is there.
async fn clear(store: &dyn Store, force: bool) -> Result<(), VaultError> {
    let first = store.list("", None, 1).await?;
    let Some(object) = first.objects.first() else { return Ok(()) };
    if !force {
        let mut found = format!("it holds objects, {} for one", object.key);
        for name in SUPERBLOCKS {
            if store.head(name).await?.is_some() {
                found = "it holds a file system".to_owned();
            }
        }
        return Err(VaultError::NotEmpty { place: store.describe(), found });
    }
    store.delete(&SUPERBLOCKS.map(str::to_owned)).await?;
    let mut first_before = None;
    loop {
        let page = store.list("", None, PAGE).await?;
        let keys: Vec<String> = page.objects.into_iter().map(|o| o.key).collect();
        let first = keys.first().cloned();
        if first.is_none() {
            return Ok(());
        }
        if first == first_before {
            let (key, reason) = (first.unwrap_or_default(), "it is still listed".to_owned());
            return Err(StoreError::Temporary { operation: "delete", key, reason }.into());
        }
        store.delete(&keys).await?;
        first_before = first;
    }
}
