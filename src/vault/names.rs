//! The objects' names: fixed-width, so that a listing comes in the order of epochs and sequences.

use super::{Vault, VaultError};
use crate::store::{ObjectInfo, Store, StoreError};
use crate::types::{Epoch, PackName, WriterId};

/// The superblock's two copies.
pub(super) const SUPERBLOCKS: [&str; 2] = ["superblock-a", "superblock-b"];
/// Data keys: `key/<number, 8 hex>`.
pub(super) const KEYS: &str = "key/";
/// The first data key's number; 0 is what wrapping keys are called in frames.
pub(super) const FIRST_KEY: u32 = 1;
/// Leases: `lease/<epoch, 8 hex>`.
pub(super) const LEASES: &str = "lease/";
/// One page of a listing.
pub(super) const PAGE: usize = 1000;
/// As many keys as S3 deletes at once.
pub(super) const DELETE_BATCH: usize = 1000;

pub(super) fn key_key(number: u32) -> String {
    format!("{KEYS}{number:08x}")
}

pub(super) fn lease_key(epoch: Epoch) -> String {
    format!("{LEASES}{:08x}", epoch.0)
}

/// The number in `<prefix><8 hex>`, if the key is one to the letter: a copy that somebody left beside an
/// object must not pass for it.
pub(super) fn number_in(prefix: &str, key: &str) -> Option<u32> {
    let number = u32::from_str_radix(key.strip_prefix(prefix)?, 16).ok()?;
    (format!("{prefix}{number:08x}") == key).then_some(number)
}

/// All objects under a prefix, from a key on. A page that promises more but does not go on is an error: a
/// listing that ends early in silence is how stores lost live objects.
pub(super) async fn list_all(
    store: &dyn Store,
    prefix: &str,
    after: Option<String>,
) -> Result<Vec<ObjectInfo>, StoreError> {
    let (mut found, mut after) = (Vec::new(), after);
    loop {
        let page = store.list(prefix, after.as_deref(), PAGE).await?;
        let last = page.objects.last().map(|o| o.key.clone());
        found.extend(page.objects);
        match last {
            _ if !page.more => return Ok(found),
            Some(last) if after.as_ref().is_none_or(|a| last > *a) => after = Some(last),
            _ => {
                let reason = "a page promises more but does not go on".to_owned();
                return Err(StoreError::Temporary { operation: "list", key: prefix.to_owned(), reason });
            }
        }
    }
}

/// `pack/<epoch, 8 hex>/<seq, 12 hex>-<writer, 16 hex>`: sorts by epoch, then sequence (below 2^48: at a
/// million packs a second that is nine years).
pub fn pack_key(pack: PackName) -> String {
    format!("pack/{:08x}/{:012x}-{:016x}", pack.epoch.0, pack.seq, pack.writer.0)
}

/// The pack that a key names, if it is a pack's key to the letter.
pub fn parse_pack_key(key: &str) -> Option<PackName> {
    let (epoch, rest) = key.strip_prefix("pack/")?.split_once('/')?;
    let (seq, writer) = rest.split_once('-')?;
    let name = PackName {
        epoch: Epoch(u32::from_str_radix(epoch, 16).ok()?),
        seq: u64::from_str_radix(seq, 16).ok()?,
        writer: WriterId(u64::from_str_radix(writer, 16).ok()?),
    };
    (pack_key(name) == key).then_some(name)
}

impl Vault {
    /// Packs of `epoch` with a sequence of at least `from`, by any writer, ascending, with their sizes.
    /// Bounded by what is there from that key on.
    pub async fn packs_from(&self, epoch: Epoch, from: u64) -> Result<Vec<(PackName, u64)>, VaultError> {
        let folder = format!("pack/{:08x}/", epoch.0);
        // No key ends with the sequence: those of all writers of `from` sort after this, all below it before.
        let after = format!("{folder}{from:012x}");
        let objects = list_all(&*self.store, &folder, Some(after)).await?;
        Ok(objects.iter().filter_map(|o| Some((parse_pack_key(&o.key)?, o.size))).collect())
    }
}
