//! Chunks in immutable pack objects: building one, reading ranges of many, the index at the end.
//!
//! A pack is a header, frames one after the other, the sealed index, and a trailer that tells where
//! the index starts (docs/format.md "Pack"). A pack describes itself: one that was stored but not
//! yet recorded can be adopted, and the chunk table could be rebuilt from packs alone.

use crate::types::ChunkId;
use crate::vault::VaultError;

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
/// Index offset u32, index length u32, magic.
const TRAILER: usize = 16;
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
    /// Store or key trouble.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The object is not a pack, is cut short, or its index contradicts it.
    #[error("pack {key} is damaged: {reason}")]
    Damaged {
        /// The object's key.
        key: String,
        /// What is wrong.
        reason: String,
    },
}
