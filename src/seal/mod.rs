//! The frame: bytes in, bytes out, no I/O. Compress unless it does not pay, then seal with the
//! associated data of where the frame belongs (design.md, decision 7; docs/format.md "Frame").
//!
//! What holds: a frame opens only under the file system, kind, key number and identity that it
//! was sealed for; anything else, also a single changed bit or a cut tail, is [`SealError`].

use crate::types::FsId;
use zeroize::Zeroizing;

/// What a frame holds. The numbers are stored (in the associated data).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// File content; identity = chunk id.
    Chunk = 1,
    /// The index at a pack's end; identity = the pack's object key.
    PackIndex = 2,
    /// A wrapped key; identity = the key object's key or the superblock slot's label.
    Key = 3,
    /// A lease; identity = its object key.
    Lease = 4,
    /// A metadata base or delta (a later issue); identity = its key and its parent.
    Metadata = 5,
}

/// How hard to compress before sealing. Content that a cheap probe finds incompressible is kept plain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Never.
    None,
    /// zstd at this level (1 to 19).
    Zstd(i32),
}

/// How a file system protects its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Cipher {
    /// `mkfs --plain`: not secret, but still authenticated (keyed BLAKE3) against damage.
    Plain = 0,
    /// XChaCha20-Poly1305.
    XChaCha20Poly1305 = 1,
}

/// One key for frames, with the number that frames name it by.
pub struct FrameKey {
    /// Stored in each frame's header.
    pub number: u32,
    /// How this key seals.
    pub cipher: Cipher,
    /// Zeroed when dropped.
    pub secret: Zeroizing<[u8; 32]>,
}

/// Where a frame belongs.
#[derive(Clone, Copy, Debug)]
pub struct Binding<'a> {
    /// The file system.
    pub fs: FsId,
    /// What the frame holds.
    pub kind: Kind,
    /// What it is: see [`Kind`].
    pub identity: &'a [u8],
}

/// Why a frame does not open. None of these says more than that the bytes are not to be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SealError {
    /// Too short, or an unknown version or algorithm.
    #[error("not a frame of a known form: {0}")]
    Malformed(&'static str),
    /// The header names a key that we don't have.
    #[error("sealed with key {0}, which this file system does not have")]
    UnknownKey(u32),
    /// Authentication failed: damage, or a frame that belongs elsewhere.
    #[error("authentication failed: damaged, or belongs elsewhere")]
    Forged,
    /// It opened, but what is inside is not what the header says.
    #[error("content does not decompress to its stated length")]
    Inflate,
}

/// Bytes that a frame is longer than its (compressed) content.
pub const OVERHEAD: usize = 64;

/// Seals `plain`.
pub fn seal(key: &FrameKey, binding: &Binding<'_>, plain: &[u8], compression: Compression) -> Vec<u8> {
    let _ = (key, binding, plain, compression);
    todo!()
}

/// The number of the key that `frame` says it was sealed with.
pub fn key_number(frame: &[u8]) -> Result<u32, SealError> {
    let _ = frame;
    todo!()
}

/// Opens a frame; refuses content longer than `max_plain` before allocating for it.
pub fn open(
    key: &FrameKey,
    binding: &Binding<'_>,
    frame: &[u8],
    max_plain: usize,
) -> Result<Vec<u8>, SealError> {
    let _ = (key, binding, frame, max_plain);
    todo!()
}
