//! The superblock, the keys, the objects' names, sealed put and get, the writer's epoch.
//!
//! What holds:
//! - The superblock exists twice (`superblock-a`, `superblock-b`), written one after the other
//!   with a rising generation; open() takes the newest that is whole and signed under the master key.
//! - A data key is stored (`key/<n>`) before its first use, wrapped by the master key.
//! - An epoch is ours only after put-if-absent of `lease/<epoch>` said so and no higher one is listed
//!   then; no pack is put before.
//! - A listing that does not come to its end is an error, never a short answer.

use crate::seal::{self, Binding, Cipher, Compression, FrameKey, Kind, SealError};
use crate::store::{Store, StoreError};
use crate::types::{ChunkId, ChunkSizes, FsId, PackName};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use zeroize::Zeroizing;

mod create;
mod keys;
mod lease;
mod names;
mod open;
mod recovery;
mod superblock;
#[cfg(test)]
mod tests;

pub use create::Created;
pub use keys::KdfCost;
pub use lease::Lease;
pub use names::{pack_key, parse_pack_key};

/// Bytes that a frame is longer than its (compressed) content.
pub const FRAME_OVERHEAD: usize = seal::OVERHEAD;

/// The one version of the bucket's format that this code reads and writes.
pub const FORMAT_VERSION: u32 = 1;

/// What mkfs decides for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// For people.
    pub label: String,
    /// Sealed or only authenticated.
    pub cipher: Cipher,
    /// Where files are cut.
    pub chunk_sizes: ChunkSizes,
    /// What a pack object aims at, bytes.
    pub pack_size: u32,
    /// The default of mounts that don't say otherwise.
    pub compression: Compression,
}

/// What opens a file system.
pub enum Secret {
    /// Typed by a person, or from the authfile.
    Passphrase(Zeroizing<String>),
    /// What mkfs printed once.
    RecoveryKey(Zeroizing<String>),
}

/// Errors of this room.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No superblock at all.
    #[error("there is no Pail file system at {place}")]
    NoFileSystem {
        /// The storage URL.
        place: String,
    },
    /// Something is there already.
    #[error("{place} is not empty: {found}")]
    NotEmpty {
        /// The storage URL.
        place: String,
        /// A file system, or foreign objects.
        found: String,
    },
    /// The secret opens no key slot.
    #[error("wrong passphrase or recovery key for the file system at {place}")]
    WrongSecret {
        /// The storage URL.
        place: String,
    },
    /// The file system is encrypted and no secret was given.
    #[error("the file system at {place} is encrypted and needs its passphrase")]
    SecretNeeded {
        /// The storage URL.
        place: String,
    },
    /// A secret was given, but there is no encryption: perhaps not the file system that was meant.
    #[error(
        "the file system at {place} is not encrypted, but a passphrase or recovery key was given for it: \
         if it should be, someone has replaced it"
    )]
    NotEncrypted {
        /// The storage URL.
        place: String,
    },
    /// Written by a newer Pail.
    #[error("the file system at {place} has format {found}; this program knows up to {known}")]
    TooNew {
        /// The storage URL.
        place: String,
        /// The format's number.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// Both copies of the superblock, or a key object, are damaged.
    #[error("damaged: {what}")]
    Damaged {
        /// The object, and what is wrong with it.
        what: String,
    },
    /// A frame that does not open.
    #[error("{what}: {reason}")]
    Sealed {
        /// Which.
        what: String,
        /// Why.
        reason: SealError,
    },
    /// Nobody could be made out to hold an epoch: others took each one that was tried.
    #[error("other mounts take every turn at {place}")]
    Crowded {
        /// The storage URL.
        place: String,
    },
    /// A parameter out of its bounds.
    #[error("{0}")]
    BadParameter(String),
}

/// An opened file system's keys and names over its store. Cheap to share by `Arc`.
pub struct Vault {
    store: Arc<dyn Store>,
    fs: FsId,
    parameters: Parameters,
    chunk_id_key: Zeroizing<[u8; 32]>,
    /// By number; the newest seals.
    data_keys: BTreeMap<u32, FrameKey>,
}

impl Vault {
    /// The store below.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Who this is.
    pub fn fs_id(&self) -> FsId {
        self.fs
    }

    /// What mkfs decided.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The key that chunks are named under (derived from the master key; never rotates).
    pub fn chunk_id_key(&self) -> Zeroizing<[u8; 32]> {
        self.chunk_id_key.clone()
    }

    fn seal(&self, kind: Kind, identity: &[u8], plain: &[u8], compression: Compression) -> Vec<u8> {
        let newest = self.data_keys.last_key_value();
        // proof: `open` and `create` refuse a file system without a data key
        let (_, key) = newest.expect("at least one data key");
        seal::seal(key, &Binding { fs: self.fs, kind, identity }, plain, compression)
    }

    fn unseal(
        &self,
        kind: Kind,
        identity: &[u8],
        frame: &[u8],
        max_plain: usize,
    ) -> Result<Vec<u8>, SealError> {
        let number = seal::key_number(frame)?;
        let key = self.data_keys.get(&number).ok_or(SealError::UnknownKey(number))?;
        seal::open(key, &Binding { fs: self.fs, kind, identity }, frame, max_plain)
    }

    /// Seals a chunk with the newest data key.
    pub fn seal_chunk(&self, id: &ChunkId, plain: &[u8], compression: Compression) -> Vec<u8> {
        self.seal(Kind::Chunk, &id.0, plain, compression)
    }

    /// Opens a chunk's frame and checks that the content has `size` bytes.
    pub fn open_chunk(&self, id: &ChunkId, frame: &[u8], size: u32) -> Result<Vec<u8>, VaultError> {
        let failed = |reason| VaultError::Sealed { what: format!("chunk {id}"), reason };
        let plain = self.unseal(Kind::Chunk, &id.0, frame, size as usize).map_err(failed)?;
        if plain.len() != size as usize {
            return Err(failed(SealError::Inflate));
        }
        Ok(plain)
    }

    /// Seals a pack's index (identity = the pack's object key).
    pub fn seal_pack_index(&self, pack: PackName, plain: &[u8]) -> Vec<u8> {
        self.seal(Kind::PackIndex, pack_key(pack).as_bytes(), plain, Compression::None)
    }

    /// Opens a pack's index.
    pub fn open_pack_index(&self, pack: PackName, frame: &[u8]) -> Result<Vec<u8>, VaultError> {
        let key = pack_key(pack);
        let opened = self.unseal(Kind::PackIndex, key.as_bytes(), frame, frame.len());
        opened.map_err(|reason| VaultError::Sealed { what: format!("the index of {key}"), reason })
    }

    /// Puts a pack's bytes.
    pub async fn put_pack(&self, pack: PackName, body: Bytes) -> Result<(), VaultError> {
        Ok(self.store.put(&pack_key(pack), body).await?)
    }

    /// Reads a range of a pack.
    pub async fn get_pack(&self, pack: PackName, range: Range<u64>) -> Result<Bytes, VaultError> {
        Ok(self.store.get(&pack_key(pack), Some(range)).await?)
    }

    /// Deletes packs.
    pub async fn delete_packs(&self, packs: &[PackName]) -> Result<(), VaultError> {
        let keys: Vec<String> = packs.iter().map(|pack| pack_key(*pack)).collect();
        for batch in keys.chunks(names::DELETE_BATCH) {
            self.store.delete(batch).await?;
        }
        Ok(())
    }
}
