//! Chunks in immutable pack objects: building one, reading ranges of many, the index at the end.
//!
//! A pack is a header, frames one after the other, the sealed index, and a trailer that tells where
//! the index starts (docs/format.md "Pack"). A pack describes itself: one that was stored but not
//! yet recorded can be adopted, and the chunk table could be rebuilt from packs alone.

use crate::types::{ChunkId, PackName};
use crate::vault::{Vault, VaultError};
use bytes::Bytes;
use std::ops::Range;

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

/// Gathers frames for one pack. The name is given at the end, so that an abandoned builder
/// uses up no sequence number.
#[derive(Debug, Default)]
pub struct PackBuilder {
    // helpers add fields
}

impl PackBuilder {
    /// An empty pack.
    pub fn new() -> PackBuilder {
        PackBuilder::default()
    }

    /// Adds a chunk's frame and says where it lies.
    pub fn push(&mut self, id: ChunkId, size: u32, frame: &[u8]) -> PackEntry {
        let _ = (id, size, frame);
        todo!()
    }

    /// What has been added, in order.
    pub fn entries(&self) -> &[PackEntry] {
        todo!()
    }

    /// Bytes so far, without index and trailer.
    pub fn len(&self) -> usize {
        todo!()
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        todo!()
    }

    /// The object's bytes.
    pub fn finish(self, vault: &Vault, name: PackName) -> Bytes {
        let _ = (vault, name);
        todo!()
    }
}

/// Reads a pack's index: one ranged get of the tail, a second one when the index is larger.
pub async fn read_index(
    vault: &Vault,
    name: PackName,
    object_size: u64,
) -> Result<Vec<PackEntry>, PackError> {
    let _ = (vault, name, object_size);
    todo!()
}

/// A chunk to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameAt {
    /// In which pack.
    pub pack: PackName,
    /// Where, and what.
    pub entry: PackEntry,
}

/// One request that brings several frames of a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// The pack.
    pub pack: PackName,
    /// The bytes to ask for.
    pub range: Range<u64>,
    /// The frames in them, ascending by offset.
    pub frames: Vec<PackEntry>,
}

/// Groups frames into requests: neighbours whose gap is at most `max_gap` share one, up to
/// `max_request` bytes (a single longer frame is a request of its own). Duplicates are asked once.
pub fn coalesce(frames: Vec<FrameAt>, max_gap: u64, max_request: u64) -> Vec<Fetch> {
    let _ = (frames, max_gap, max_request);
    todo!()
}

/// Fetches and opens. The outer error is the request's; an inner one is a damaged frame's.
pub async fn fetch(
    vault: &Vault,
    request: &Fetch,
) -> Result<Vec<(ChunkId, Result<Bytes, PackError>)>, PackError> {
    let _ = (vault, request);
    todo!()
}
