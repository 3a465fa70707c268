//! Bringing chunks: neighbours of a pack share a request.

use super::{PackEntry, PackError};
use crate::types::{ChunkId, PackName};
use crate::vault::Vault;
use bytes::Bytes;
use std::ops::Range;

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
pub fn coalesce(mut frames: Vec<FrameAt>, max_gap: u64, max_request: u64) -> Vec<Fetch> {
    // By everything: also contradicting entries of one offset must not keep equal ones apart.
    frames.sort_unstable_by_key(|f| (f.pack, f.entry.offset, f.entry.frame_len, f.entry.id, f.entry.size));
    frames.dedup();
    let mut fetches: Vec<Fetch> = Vec::new();
    for FrameAt { pack, entry } in frames {
        let start = u64::from(entry.offset);
        let end = start + u64::from(entry.frame_len);
        match fetches.last_mut() {
            Some(last)
                if last.pack == pack
                    && start <= last.range.end.saturating_add(max_gap)
                    && end.max(last.range.end) - last.range.start <= max_request =>
            {
                last.range.end = last.range.end.max(end);
                last.frames.push(entry);
            }
            _ => fetches.push(Fetch { pack, range: start..end, frames: vec![entry] }),
        }
    }
    fetches
}

/// What came of each frame of a request.
pub type Fetched = Vec<(ChunkId, Result<Bytes, PackError>)>;

/// Fetches and opens. The outer error is the request's; an inner one is a damaged frame's, and does not
/// harm its neighbours. An answer that is too short is damage of the frames that it lacks.
pub async fn fetch(vault: &Vault, request: &Fetch) -> Result<Fetched, PackError> {
    let body = vault.get_pack(request.pack, request.range.clone()).await?;
    Ok(request.frames.iter().map(|entry| (entry.id, open(vault, request, entry, &body))).collect())
}

fn open(vault: &Vault, request: &Fetch, entry: &PackEntry, body: &Bytes) -> Result<Bytes, PackError> {
    let start = u64::from(entry.offset).checked_sub(request.range.start);
    let frame = start.and_then(|start| {
        let start = usize::try_from(start).ok()?;
        body.get(start..start.checked_add(entry.frame_len as usize)?)
    });
    let missing = || PackError::damaged(request.pack, format!("it ends before chunk {} does", entry.id));
    let plain = vault.open_chunk(&entry.id, frame.ok_or_else(missing)?, entry.size);
    plain.map(Bytes::from).map_err(|e| PackError::of_frame(request.pack, e))
}
