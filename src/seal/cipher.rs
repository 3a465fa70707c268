//! The two ways to protect a payload: XChaCha20-Poly1305, or a keyed BLAKE3 tag over what stays plain.

use super::{Cipher, FrameKey, NONCE, SealError, TAG};
use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};

/// Protects the payload in place and gives its tag.
pub(super) fn protect(
    key: &FrameKey,
    nonce: &[u8; NONCE],
    associated: &[u8],
    payload: &mut [u8],
) -> [u8; TAG] {
    match key.cipher {
        Cipher::Plain => plain_tag(key, nonce, associated, payload),
        Cipher::XChaCha20Poly1305 => {
            let cipher = XChaCha20Poly1305::new((&*key.secret).into());
            let sealed = cipher.encrypt_inout_detached(nonce.into(), associated, payload.into());
            // proof: it fails only for payloads beyond 256 GiB; ours are below 4 GiB
            sealed.expect("a payload of less than 4 GiB").into()
        }
    }
}

/// Checks the tag and, if it is right, makes the payload plain in place.
pub(super) fn unprotect(
    key: &FrameKey,
    nonce: &[u8; NONCE],
    associated: &[u8],
    payload: &mut [u8],
    tag: &[u8; TAG],
) -> Result<(), SealError> {
    match key.cipher {
        // Constant time is not needed: with --plain the key lies in the superblock for all to read.
        Cipher::Plain if plain_tag(key, nonce, associated, payload) == *tag => Ok(()),
        Cipher::Plain => Err(SealError::Forged),
        Cipher::XChaCha20Poly1305 => {
            let cipher = XChaCha20Poly1305::new((&*key.secret).into());
            let opened = cipher.decrypt_inout_detached(nonce.into(), associated, payload.into(), tag.into());
            opened.map_err(|_| SealError::Forged)
        }
    }
}

fn plain_tag(key: &FrameKey, nonce: &[u8; NONCE], associated: &[u8], payload: &[u8]) -> [u8; TAG] {
    let mut hasher = blake3::Hasher::new_keyed(&key.secret);
    hasher.update(&(associated.len() as u64).to_le_bytes());
    hasher.update(associated);
    hasher.update(nonce);
    hasher.update(payload);
    let mut tag = [0; TAG];
    tag.copy_from_slice(&hasher.finalize().as_bytes()[..TAG]);
    tag
}
