//! Chunks in immutable pack objects: building one, reading ranges of many, the index at the end.
//!
//! A pack is a header, frames one after the other, the sealed index, and a trailer that tells where
//! the index starts (docs/format.md "Pack"). A pack describes itself: one that was stored but not
//! yet recorded can be adopted, and the chunk table could be rebuilt from packs alone.
//!
//! What holds: every frame is authenticated by itself, so one that is damaged harms no neighbour, and
//! nothing unauthenticated (a trailer, a store's answer) decides about more memory than the object has.

use crate::types::{ChunkId, PackName};
use crate::vault::{VaultError, pack_key};

mod build;
mod fetch;
mod index;
#[cfg(test)]
mod tests;

pub use build::PackBuilder;
pub use fetch::{Fetch, Fetched, FrameAt, coalesce, fetch};
pub use index::read_index;

// docs/format.md "Pack": all integers little-endian.
const MAGIC: &[u8; 8] = b"PAILPACK";
const END_MAGIC: &[u8; 8] = b"PAILPEND";
const VERSION: u32 = 1;
/// Magic, version, four reserved bytes.
const HEADER: usize = 16;
/// Index offset u32, index length u32, version, four reserved bytes, magic. The version is here once more
/// because who reads the index sees only the object's tail.
const TRAILER: usize = 24;
/// Chunk id, offset, frame length, plain size.
const INDEX_ENTRY: usize = 32 + 3 * 4;

/// A chunk's place in a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackEntry {
    /// Which chunk.
    pub id: ChunkId,
    /// Where its frame starts in the object.
    pub offset: u32,
    /// How long the frame is.
    pub frame_len: u32,
    /// How long the plain chunk is.
    pub size: u32,
}

/// Errors of this room.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Store or key trouble. [`PackError::Damaged`] says what trying again will not help.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The object is not a pack, is cut short, its index contradicts it, or a frame does not open.
    #[error("pack {key} is damaged: {reason}")]
    Damaged {
        /// The object's key.
        key: String,
        /// What is wrong.
        reason: String,
    },
}

impl PackError {
    fn damaged(pack: PackName, reason: impl Into<String>) -> PackError {
        PackError::Damaged { key: pack_key(pack), reason: reason.into() }
    }

    /// A frame that does not open is damage of the pack; everything else is the vault's to tell.
    fn of_frame(pack: PackName, error: VaultError) -> PackError {
        match error {
            VaultError::Sealed { what, reason } => PackError::damaged(pack, format!("{what}: {reason}")),
            other => PackError::Vault(other),
        }
    }
}
