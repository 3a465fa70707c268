//! Keys: a random master key, what is derived from it, and the slots that wrap it.
//!
//! A passphrase goes through Argon2id with the slot's own salt and cost; a recovery key is 256 random bits
//! and needs no stretching. Either opens a frame with the master key in it. Data keys lie in objects of
//! their own, wrapped under a key derived from the master key.

use super::VaultError;
use super::names::key_key;
use crate::seal::{self, Binding, Cipher, Compression, FrameKey, Kind};
use crate::types::FsId;
use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;

/// 256 secret bits, zeroed when dropped.
pub(super) type Key = Zeroizing<[u8; 32]>;

/// What a passphrase costs to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KdfCost {
    /// Memory, KiB.
    pub memory: u32,
    /// Passes.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl KdfCost {
    /// 64 MiB, three passes: a fraction of a second on a small machine.
    pub const DEFAULT: KdfCost = KdfCost { memory: 64 << 10, passes: 3, lanes: 1 };
    /// For tests.
    pub const TEST: KdfCost = KdfCost { memory: 64, passes: 1, lanes: 1 };
    /// What a superblock may ask of a small machine at most: 1 GiB and 64 passes. More is damage or malice,
    /// and is refused before the first byte is allocated.
    const MEMORY_MAX: u32 = 1 << 20;
    const PASSES_MAX: u32 = 64;
    const LANES_MAX: u32 = 16;

    /// Whether Argon2id takes it and a small machine bears it.
    pub(super) fn is_bearable(&self) -> bool {
        (1..=KdfCost::LANES_MAX).contains(&self.lanes)
            && (1..=KdfCost::PASSES_MAX).contains(&self.passes)
            && (8 * self.lanes..=KdfCost::MEMORY_MAX).contains(&self.memory)
    }
}

// The contexts of BLAKE3's key derivation. They are part of the format.
const CHUNK_ID: &str = "pail v1 chunk id";
const SUPERBLOCK_MAC: &str = "pail v1 superblock mac";
const WRAPPING: &str = "pail v1 data key wrapping";
const RECOVERY: &str = "pail v1 recovery key";

fn derive(context: &str, secret: &[u8]) -> Key {
    Zeroizing::new(blake3::derive_key(context, secret))
}

pub(super) fn random_key() -> Result<Key, VaultError> {
    let mut key = Zeroizing::new([0; 32]);
    fill(&mut key[..])?;
    Ok(key)
}

pub(super) fn fill(bytes: &mut [u8]) -> Result<(), VaultError> {
    getrandom::fill(bytes)
        .map_err(|e| VaultError::BadParameter(format!("no random numbers from the system: {e}")))
}

pub(super) fn chunk_id_key(master: &Key) -> Key {
    derive(CHUNK_ID, &master[..])
}

pub(super) fn superblock_mac(master: &Key, bytes: &[u8]) -> [u8; 32] {
    *blake3::keyed_hash(&derive(SUPERBLOCK_MAC, &master[..]), bytes).as_bytes()
}

/// The key that a recovery key stands for.
pub(super) fn recovery_wrapper(recovery: &[u8; 32]) -> Key {
    derive(RECOVERY, recovery)
}

/// The key that a passphrase stands for, under a slot's salt and cost.
pub(super) fn passphrase_wrapper(
    passphrase: &str,
    salt: &[u8; 16],
    cost: KdfCost,
) -> Result<Key, VaultError> {
    let refused = |e: &dyn std::fmt::Display| VaultError::BadParameter(format!("key derivation: {e}"));
    if !cost.is_bearable() {
        return Err(refused(&"its cost is out of bounds"));
    }
    let params = Params::new(cost.memory, cost.passes, cost.lanes, Some(32)).map_err(|e| refused(&e))?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, &mut key[..])
        .map_err(|e| refused(&e))?;
    Ok(key)
}

fn wrapper(secret: &Key) -> FrameKey {
    FrameKey { number: 0, cipher: Cipher::XChaCha20Poly1305, secret: secret.clone() }
}

/// Wraps a key: a frame of kind `Key`, bound to what it is.
pub(super) fn wrap(fs: FsId, with: &Key, identity: &str, key: &Key) -> Vec<u8> {
    let binding = Binding { fs, kind: Kind::Key, identity: identity.as_bytes() };
    seal::seal(&wrapper(with), &binding, &key[..], Compression::None)
}

/// Unwraps a key; `None`: not with this one.
pub(super) fn unwrap(fs: FsId, with: &Key, identity: &str, frame: &[u8]) -> Option<Key> {
    let binding = Binding { fs, kind: Kind::Key, identity: identity.as_bytes() };
    let plain = Zeroizing::new(seal::open(&wrapper(with), &binding, frame, 32).ok()?);
    Some(Zeroizing::new(plain.as_slice().try_into().ok()?))
}

const KEY_MAGIC: &[u8; 8] = b"PAILKEY1";

/// A data key's object: magic, then the key wrapped under the master key's wrapping key.
pub(super) fn data_key_object(fs: FsId, master: &Key, number: u32, key: &Key) -> Vec<u8> {
    let mut object = KEY_MAGIC.to_vec();
    object.extend(wrap(fs, &derive(WRAPPING, &master[..]), &key_key(number), key));
    object
}

/// Opens a data key's object.
pub(super) fn open_data_key(fs: FsId, master: &Key, number: u32, object: &[u8]) -> Result<Key, VaultError> {
    let name = key_key(number);
    let frame = object.strip_prefix(KEY_MAGIC);
    frame
        .and_then(|frame| unwrap(fs, &derive(WRAPPING, &master[..]), &name, frame))
        .ok_or_else(|| VaultError::Damaged { what: format!("{name} (a data key): it does not open") })
}
