//! The writer's turn: an epoch is raised by putting `lease/<epoch>` where nothing was (decision 6).
//!
//! A lost answer is not a lost turn: when the object that is there has our own bytes, the put was ours.
//! Renewal and refusal of a second writer come with the release that stores in a shared place.

use super::names::{DELETE_BATCH, LEASES, PAGE, lease_key};
use super::{Vault, VaultError};
use crate::seal::{Compression, Kind};
use crate::store::PutOutcome;
use crate::types::{Epoch, Nanos, WriterId};
use bytes::Bytes;

/// Lease objects that are kept below the newest: a few, for a person who looks.
const KEPT: usize = 4;
/// Others who raise at the same time make us try again; more than this is not chance.
const TRIES: u32 = 100;
/// Calls that fail for now are repeated this often.
const REPEATS: u32 = 8;
const LEASE_VERSION: u32 = 1;
const HOST_MAX: usize = 255;

fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().chars().take(HOST_MAX / 4).collect()
}

impl Vault {
    /// Who holds the turn since when, sealed.
    fn lease_object(&self, epoch: Epoch, writer: WriterId) -> Bytes {
        let host = host();
        let mut plain = LEASE_VERSION.to_le_bytes().to_vec();
        plain.extend_from_slice(&writer.0.to_le_bytes());
        plain.extend_from_slice(&Nanos::now().0.to_le_bytes());
        plain.extend_from_slice(&(host.len() as u16).to_le_bytes());
        plain.extend_from_slice(host.as_bytes());
        self.seal(Kind::Lease, lease_key(epoch).as_bytes(), &plain, Compression::None).into()
    }

    /// Raises the epoch durably and makes `writer` its holder; old lease objects far below the new one
    /// are deleted afterwards, so that the listing stays short.
    pub async fn raise_epoch(&self, writer: WriterId) -> Result<Epoch, VaultError> {
        let old = self.leases().await?;
        let mut epoch = old.last().map_or(Epoch(0), |(epoch, _)| *epoch);
        for _ in 0..TRIES {
            epoch = Epoch(epoch.0.checked_add(1).ok_or_else(|| self.crowded())?);
            if self.take(epoch, writer).await? {
                let surplus = old.len().saturating_sub(KEPT);
                let keys: Vec<String> =
                    old.into_iter().take(surplus.min(DELETE_BATCH)).map(|(_, key)| key).collect();
                if let Err(error) = self.store.delete(&keys).await {
                    tracing::debug!(%error, "old leases stay for now");
                }
                return Ok(epoch);
            }
        }
        Err(self.crowded())
    }

    fn crowded(&self) -> VaultError {
        VaultError::Crowded { place: self.store.describe() }
    }

    /// Whether this epoch is now ours.
    async fn take(&self, epoch: Epoch, writer: WriterId) -> Result<bool, VaultError> {
        let (key, body) = (lease_key(epoch), self.lease_object(epoch, writer));
        let mut attempt = 0;
        loop {
            match self.store.put_if_absent(&key, body.clone()).await {
                Ok(PutOutcome::Created) => return Ok(true),
                // Its nonce is random: nobody else's object has these bytes.
                Ok(PutOutcome::Exists) => return Ok(self.store.get(&key, None).await? == body),
                Err(e) if e.is_temporary() && attempt < REPEATS => {
                    tokio::time::sleep(crate::store::retry::pause(attempt)).await;
                    attempt += 1;
                }
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// The highest epoch ever raised, if any: `None` means that nothing was ever written.
    pub async fn newest_epoch(&self) -> Result<Option<Epoch>, VaultError> {
        Ok(self.leases().await?.last().map(|(epoch, _)| *epoch))
    }

    async fn leases(&self) -> Result<Vec<(Epoch, String)>, VaultError> {
        let (mut found, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = self.store.list(LEASES, after.as_deref(), PAGE).await?;
            after = page.objects.last().map(|o| o.key.clone());
            found.extend(page.objects.into_iter().filter_map(|o| {
                let number = u32::from_str_radix(o.key.strip_prefix(LEASES)?, 16).ok()?;
                Some((Epoch(number), o.key))
            }));
            if !page.more {
                return Ok(found);
            }
        }
    }
}
