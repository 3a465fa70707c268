//! The objects' names: fixed-width, so that a listing comes in the order of epochs and sequences.

use super::{Vault, VaultError};
use crate::types::{Epoch, PackName, WriterId};

/// The superblock's two copies.
pub(super) const SUPERBLOCKS: [&str; 2] = ["superblock-a", "superblock-b"];
/// Data keys: `key/<number, 8 hex>`.
pub(super) const KEYS: &str = "key/";
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

/// `pack/<epoch, 8 hex>/<seq, 12 hex>-<writer, 16 hex>`.
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
        // `-` sorts after nothing and before every digit's successor: all writers of `from` come after it.
        let mut after = format!("{folder}{from:012x}");
        let mut packs = Vec::new();
        loop {
            let page = self.store.list(&folder, Some(&after), PAGE).await?;
            packs.extend(page.objects.iter().filter_map(|o| Some((parse_pack_key(&o.key)?, o.size))));
            match page.objects.last() {
                Some(last) if page.more => after.clone_from(&last.key),
                _ => return Ok(packs),
            }
        }
    }
}
