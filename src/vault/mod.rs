//! The superblock, the keys, the objects' names, sealed put and get, the writer's epoch.
//!
//! What holds:
//! - The superblock exists twice (`superblock-a`, `superblock-b`), written one after the other
//!   with a rising generation; open() takes the newest that is whole.
//! - A data key is stored (`key/<n>`) before its first use, wrapped by the master key.
//! - An epoch is ours only after put-if-absent of `lease/<epoch>` said so; no pack is put before.

use crate::seal::{Cipher, Compression};
use crate::store::{Store, StoreError};
use crate::types::{ChunkId, ChunkSizes, Epoch, FsId, PackName, WriterId};
use bytes::Bytes;
use std::sync::Arc;
use zeroize::Zeroizing;

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
    #[error("wrong passphrase for the file system at {place}")]
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
    /// A parameter out of its bounds.
    #[error("{0}")]
    BadParameter(String),
}

/// An opened file system's keys and names over its store. Cheap to share by `Arc`.
pub struct Vault {
    store: Arc<dyn Store>,
    fs: FsId,
    parameters: Parameters,
    // helpers add the keys here
}

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
        let _ = (store, parameters, passphrase, force);
        todo!()
    }

    /// Opens what mkfs made. Argon2id runs on the calling thread.
    pub async fn open(store: Arc<dyn Store>, secret: Option<Secret>) -> Result<Vault, VaultError> {
        let _ = (store, secret);
        todo!()
    }

    /// Whether there is a file system, and whether it needs a secret. Cheap: two gets.
    pub async fn needs_secret(store: &Arc<dyn Store>) -> Result<bool, VaultError> {
        let _ = store;
        todo!()
    }

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
        todo!()
    }

    /// Seals a chunk with the newest data key.
    pub fn seal_chunk(&self, id: &ChunkId, plain: &[u8], compression: Compression) -> Vec<u8> {
        let _ = (id, plain, compression);
        todo!()
    }

    /// Opens a chunk's frame and checks that the content has `size` bytes.
    pub fn open_chunk(&self, id: &ChunkId, frame: &[u8], size: u32) -> Result<Vec<u8>, VaultError> {
        let _ = (id, frame, size);
        todo!()
    }

    /// Seals a pack's index (identity = the pack's object key).
    pub fn seal_pack_index(&self, pack: PackName, plain: &[u8]) -> Vec<u8> {
        let _ = (pack, plain);
        todo!()
    }

    /// Opens a pack's index.
    pub fn open_pack_index(&self, pack: PackName, frame: &[u8]) -> Result<Vec<u8>, VaultError> {
        let _ = (pack, frame);
        todo!()
    }

    /// Raises the epoch durably and makes `writer` its holder. Lists only `lease/` after the
    /// highest known; old lease objects below the new one are deleted afterwards.
    pub async fn raise_epoch(&self, writer: WriterId) -> Result<Epoch, VaultError> {
        let _ = writer;
        todo!()
    }

    /// The highest epoch ever raised, if any: `None` means that nothing was ever written.
    pub async fn newest_epoch(&self) -> Result<Option<Epoch>, VaultError> {
        todo!()
    }

    /// Puts a pack's bytes.
    pub async fn put_pack(&self, pack: PackName, body: Bytes) -> Result<(), VaultError> {
        let _ = (pack, body);
        todo!()
    }

    /// Reads a range of a pack.
    pub async fn get_pack(&self, pack: PackName, range: std::ops::Range<u64>) -> Result<Bytes, VaultError> {
        let _ = (pack, range);
        todo!()
    }

    /// Packs of `epoch` with a sequence of at least `from`, by any writer, ascending, with their sizes.
    /// Bounded by what is there from that key on.
    pub async fn packs_from(&self, epoch: Epoch, from: u64) -> Result<Vec<(PackName, u64)>, VaultError> {
        let _ = (epoch, from);
        todo!()
    }

    /// Deletes packs.
    pub async fn delete_packs(&self, packs: &[PackName]) -> Result<(), VaultError> {
        let _ = packs;
        todo!()
    }
}

/// `pack/<epoch, 8 hex>/<seq, 12 hex>-<writer, 16 hex>`: sorts by epoch, then sequence.
pub fn pack_key(pack: PackName) -> String {
    format!("pack/{:08x}/{:012x}-{:016x}", pack.epoch.0, pack.seq, pack.writer.0)
}
