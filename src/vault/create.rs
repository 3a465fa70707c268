//! mkfs.
//!
//! Order: the data key's object, then the two superblocks. What was interrupted before the first
//! superblock is no file system (open says so); its left-over key object makes the prefix non-empty, so that
//! only `--force` goes over it, and with it whatever else may lie there.

use super::keys::{self, KdfCost};
use super::names::{PAGE, SUPERBLOCKS, key_key};
use super::superblock::{self, Slot, SlotKind, slot_identity};
use super::{Parameters, Vault, VaultError, recovery};
use crate::seal::{Cipher, Compression, FrameKey};
use crate::store::Store;
use crate::types::FsId;
use std::collections::BTreeMap;
use std::sync::Arc;
use zeroize::Zeroizing;

const FIRST_KEY: u32 = 1;
const LABEL_MAX: usize = 255;
/// A pack must hold a largest chunk, and its offsets are 32 bits.
const PACK_SIZES: std::ops::RangeInclusive<u32> = 64 << 10..=1 << 30;

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
        check(&parameters, passphrase.as_deref())?;
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
        let object = keys::data_key_object(fs, &master, FIRST_KEY, &data_key);
        store.put(&key_key(FIRST_KEY), object.into()).await?;
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

fn check(parameters: &Parameters, passphrase: Option<&String>) -> Result<(), VaultError> {
    let refuse = |what: &str| Err(VaultError::BadParameter(what.to_owned()));
    let sizes = parameters.chunk_sizes;
    match (parameters.cipher, passphrase) {
        (Cipher::Plain, Some(_)) => return refuse("a file system without encryption takes no passphrase"),
        (Cipher::XChaCha20Poly1305, None) => return refuse("an encrypted file system needs a passphrase"),
        (_, Some(passphrase)) if passphrase.is_empty() => return refuse("the passphrase is empty"),
        _ => {}
    }
    match parameters.compression {
        Compression::Zstd(level) if !(1..=19).contains(&level) => return refuse("zstd's level is 1 to 19"),
        _ if parameters.label.len() > LABEL_MAX => return refuse("the label is longer than 255 bytes"),
        _ if !PACK_SIZES.contains(&parameters.pack_size) => {
            return refuse("a pack's size is 64 KiB to 1 GiB");
        }
        _ if !(sizes.min <= sizes.avg && sizes.avg <= sizes.max) => {
            return refuse("chunk sizes out of order");
        }
        _ => Ok(()),
    }
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
    loop {
        let page = store.list("", None, PAGE).await?;
        let keys: Vec<String> = page.objects.into_iter().map(|o| o.key).collect();
        if keys.is_empty() {
            return Ok(());
        }
        store.delete(&keys).await?;
    }
}
