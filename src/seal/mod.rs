//! The frame: bytes in, bytes out, no I/O. Compress unless it does not pay, then seal with the
//! associated data of where the frame belongs (design.md, decision 7; docs/format.md "Frame").
//!
//! What holds: a frame opens only under the file system, kind, key number and identity that it
//! was sealed for; anything else, also a single changed bit or a cut tail, is [`SealError`].

use crate::types::FsId;
use zeroize::Zeroizing;

mod cipher;
mod compress;
#[cfg(test)]
mod tests;

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

/// Bytes that a frame is longer than its (compressed) content: header, nonce, tag.
pub const OVERHEAD: usize = HEADER + NONCE + TAG;

// docs/format.md "Frame": all integers little-endian.
const VERSION: u8 = 1;
const AT_VERSION: usize = 0;
const AT_CIPHER: usize = 1;
const AT_COMPRESSION: usize = 2;
const AT_RESERVED: usize = 3;
const AT_KEY_NUMBER: usize = 4;
const AT_PLAIN_LEN: usize = 8;
const AT_RESERVED_END: usize = 12;
const HEADER: usize = 16;
const NONCE: usize = 24;
const TAG: usize = 16;

const COMPRESSION_NONE: u8 = 0;
const COMPRESSION_ZSTD: u8 = 1;

type Header = [u8; HEADER];

fn header(key: &FrameKey, compression: u8, plain_len: u32) -> Header {
    let mut header = [0; HEADER];
    header[AT_VERSION] = VERSION;
    header[AT_CIPHER] = key.cipher as u8;
    header[AT_COMPRESSION] = compression;
    header[AT_KEY_NUMBER..AT_KEY_NUMBER + 4].copy_from_slice(&key.number.to_le_bytes());
    header[AT_PLAIN_LEN..AT_PLAIN_LEN + 4].copy_from_slice(&plain_len.to_le_bytes());
    header
}

/// Header, then where the frame belongs: what the tag vouches for besides the payload.
fn associated(header: &Header, binding: &Binding<'_>) -> Vec<u8> {
    let mut data = Vec::with_capacity(HEADER + 17 + binding.identity.len());
    data.extend_from_slice(header);
    data.extend_from_slice(&binding.fs.0);
    data.push(binding.kind as u8);
    data.extend_from_slice(binding.identity);
    data
}

/// Seals `plain` (less than 4 GiB of it: the length's field has 32 bits, and a longer one would not open).
pub fn seal(key: &FrameKey, binding: &Binding<'_>, plain: &[u8], compression: Compression) -> Vec<u8> {
    let packed = compress::pack(plain, compression);
    let (algorithm, payload) = match &packed {
        Some(packed) => (COMPRESSION_ZSTD, &packed[..]),
        None => (COMPRESSION_NONE, plain),
    };
    let header = header(key, algorithm, plain.len() as u32);
    let mut nonce = [0; NONCE];
    if key.cipher != Cipher::Plain {
        // proof: without the system's randomness nothing may be sealed: a repeated nonce gives the key away
        getrandom::fill(&mut nonce).expect("the system's random numbers");
    }
    let mut frame = Vec::with_capacity(payload.len() + OVERHEAD);
    frame.extend_from_slice(&header);
    frame.extend_from_slice(&nonce);
    frame.extend_from_slice(payload);
    let tag = cipher::protect(key, &nonce, &associated(&header, binding), &mut frame[HEADER + NONCE..]);
    frame.extend_from_slice(&tag);
    frame
}

/// Header, nonce, payload and tag.
type Parts<'a> = (&'a Header, &'a [u8; NONCE], &'a [u8], &'a [u8; TAG]);

/// Splits a frame, if it is of a form that we know.
fn parts(frame: &[u8]) -> Result<Parts<'_>, SealError> {
    let short = SealError::Malformed("too short");
    let (header, rest) = frame.split_first_chunk::<HEADER>().ok_or(short)?;
    let (nonce, rest) = rest.split_first_chunk::<NONCE>().ok_or(SealError::Malformed("too short"))?;
    let (payload, tag) = rest.split_last_chunk::<TAG>().ok_or(SealError::Malformed("too short"))?;
    if header[AT_VERSION] != VERSION {
        return Err(SealError::Malformed("unknown version of the frame"));
    }
    // Whoever gives these a meaning must not have it passed over by us.
    if header[AT_RESERVED] != 0 || header[AT_RESERVED_END..] != [0; HEADER - AT_RESERVED_END] {
        return Err(SealError::Malformed("reserved bytes are in use"));
    }
    Ok((header, nonce, payload, tag))
}

fn number_at(header: &Header, at: usize) -> u32 {
    u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

/// The number of the key that `frame` says it was sealed with.
pub fn key_number(frame: &[u8]) -> Result<u32, SealError> {
    let (header, ..) = parts(frame)?;
    Ok(number_at(header, AT_KEY_NUMBER))
}

/// Opens a frame; refuses content longer than `max_plain` before allocating for it.
pub fn open(
    key: &FrameKey,
    binding: &Binding<'_>,
    frame: &[u8],
    max_plain: usize,
) -> Result<Vec<u8>, SealError> {
    let (header, nonce, payload, tag) = parts(frame)?;
    if header[AT_CIPHER] != key.cipher as u8 {
        return Err(SealError::Malformed("another cipher than its key's"));
    }
    let plain_len = number_at(header, AT_PLAIN_LEN) as usize;
    if plain_len > max_plain || payload.len() > max_plain {
        return Err(SealError::Malformed("longer than it may be"));
    }
    let mut content = payload.to_vec();
    cipher::unprotect(key, nonce, &associated(header, binding), &mut content, tag)?;
    match header[AT_COMPRESSION] {
        COMPRESSION_NONE if content.len() == plain_len => Ok(content),
        COMPRESSION_ZSTD => compress::unpack(&content, plain_len),
        COMPRESSION_NONE => Err(SealError::Inflate),
        _ => Err(SealError::Malformed("unknown compression")),
    }
}
