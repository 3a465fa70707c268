//! The writer's turn: an epoch is raised by putting `lease/<epoch>` where nothing was (decision 6).
//!
//! A lost answer is not a lost turn: when the object that is there has our own bytes, the put was ours.
//! Old leases are deleted, so "nothing was there" alone proves nothing to a writer that slept between its
//! listing and its put while others went past it: the turn is ours only when a second listing, after the
//! put, shows no higher one. Whoever comes later sees ours (the few newest are never deleted).
//! Renewal and refusal of a second writer come with the release that stores in a shared place.

use super::names::{DELETE_BATCH, LEASES, lease_key, list_all, number_in};
use super::{Vault, VaultError};
use crate::seal::{Compression, Kind};
use crate::store::{PutOutcome, Store, StoreError};
use crate::types::{Epoch, FieldReader, Nanos, WriterId};
use bytes::Bytes;

/// Lease objects that are kept below the newest: a few, for a person who looks.
const KEPT: usize = 4;
/// Others who raise at the same time make us try again; more than this is not chance.
const TRIES: u32 = 100;
/// Calls that fail for now are repeated this often.
const REPEATS: u32 = 8;
const LEASE_VERSION: u32 = 1;
const HOST_MAX: usize = 255;
/// Nothing longer than any lease is read.
const LEASE_MAX: usize = 1 << 10;

/// Who took a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The turn.
    pub epoch: Epoch,
    /// Whose it is.
    pub writer: WriterId,
    /// When it was taken, by the writer's clock.
    pub since: Nanos,
    /// The writer's host, for people.
    pub host: String,
}

/// Puts an object that must not be there yet, and says whether it is now ours. The bytes must be random
/// enough that nobody else's are the same.
pub(super) async fn put_once(store: &dyn Store, key: &str, body: &Bytes) -> Result<bool, VaultError> {
    let mut attempt = 0;
    loop {
        match store.put_if_absent(key, body.clone()).await {
            Ok(PutOutcome::Created) => return Ok(true),
            Ok(PutOutcome::Exists) => {
                return match store.get(key, None).await {
                    Ok(theirs) => Ok(theirs == *body),
                    // Others went on and deleted it.
                    Err(StoreError::NotFound { .. }) => Ok(false),
                    Err(e) => Err(e.into()),
                };
            }
            Err(e) if e.is_temporary() && attempt < REPEATS => {
                tokio::time::sleep(crate::store::retry::pause(attempt)).await;
                attempt += 1;
            }
            Err(e) => return Err(e.into()),
        }
    }
}

fn parse(epoch: Epoch, plain: &[u8]) -> Option<Lease> {
    let mut r = FieldReader(plain);
    if r.u32()? != LEASE_VERSION {
        return None;
    }
    let (writer, since) = (WriterId(r.u64()?), Nanos(r.i64()?));
    let len = r.u16()?;
    let host = String::from_utf8(r.take(len.into())?.to_vec()).ok()?;
    r.0.is_empty().then_some(Lease { epoch, writer, since, host })
}

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
        for _ in 0..TRIES {
            let known = self.leases(None).await?;
            let newest = known.last().map_or(0, |(epoch, _)| epoch.0);
            let epoch = Epoch(newest.checked_add(1).ok_or_else(|| self.crowded())?);
            // With --plain nothing in a frame is random: writer and time tell two apart.
            let body = self.lease_object(epoch, writer);
            if !put_once(&*self.store, &lease_key(epoch), &body).await? {
                continue;
            }
            if self.leases(Some(epoch)).await?.is_empty() {
                self.remove_old(known).await;
                return Ok(epoch);
            }
            tracing::warn!(epoch = epoch.0, "others raised the epoch beyond this one meanwhile");
        }
        Err(self.crowded())
    }

    async fn remove_old(&self, known: Vec<(Epoch, String)>) {
        let surplus = known.len().saturating_sub(KEPT).min(DELETE_BATCH);
        let keys: Vec<String> = known.into_iter().take(surplus).map(|(_, key)| key).collect();
        if keys.is_empty() {
            return;
        }
        if let Err(error) = self.store.delete(&keys).await {
            tracing::debug!(%error, "old leases stay for now");
        }
    }

    fn crowded(&self) -> VaultError {
        VaultError::Crowded { place: self.store.describe() }
    }

    /// The highest epoch ever raised, if any: `None` means that nothing was ever written.
    pub async fn newest_epoch(&self) -> Result<Option<Epoch>, VaultError> {
        Ok(self.leases(None).await?.last().map(|(epoch, _)| *epoch))
    }

    /// Who took the newest turn, if anybody ever did.
    pub async fn newest_lease(&self) -> Result<Option<Lease>, VaultError> {
        let Some((epoch, key)) = self.leases(None).await?.pop() else { return Ok(None) };
        let frame = self.store.get(&key, Some(0..LEASE_MAX as u64)).await?;
        let plain = self
            .unseal(Kind::Lease, key.as_bytes(), &frame, LEASE_MAX)
            .map_err(|reason| VaultError::Sealed { what: key.clone(), reason })?;
        match parse(epoch, &plain) {
            Some(lease) => Ok(Some(lease)),
            None => Err(VaultError::Damaged { what: format!("{key}: a field has no meaning") }),
        }
    }

    /// The leases that are there, ascending, above an epoch. Few: old ones are deleted.
    async fn leases(&self, above: Option<Epoch>) -> Result<Vec<(Epoch, String)>, VaultError> {
        let objects = list_all(&*self.store, LEASES, above.map(lease_key)).await?;
        let numbered = objects.into_iter().filter_map(|o| Some((Epoch(number_in(LEASES, &o.key)?), o.key)));
        Ok(numbered.collect())
    }
}
