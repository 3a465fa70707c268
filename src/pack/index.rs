//! Reading what a pack says of itself.

use super::{END_MAGIC, HEADER, INDEX_ENTRY, PackEntry, PackError, TRAILER, VERSION};
use crate::types::{ChunkId, FieldReader, PackName};
use crate::vault::{FRAME_OVERHEAD, Vault};
use bytes::Bytes;
use std::ops::Range;

/// The first guess at how long index and trailer are: the index of a pack of 1 MiB chunks is below 1 KiB,
/// that of a pack of thumbnails about 40.
const TAIL: u64 = 64 << 10;

/// Reads a pack's index: one ranged get of the tail, a second one when the index is larger.
pub async fn read_index(
    vault: &Vault,
    name: PackName,
    object_size: u64,
) -> Result<Vec<PackEntry>, PackError> {
    if object_size < (HEADER + TRAILER) as u64 {
        return Err(PackError::damaged(name, "too short to be a pack"));
    }
    let from = object_size.saturating_sub(TAIL);
    let tail = get_whole(vault, name, from..object_size).await?;
    let (body, trailer) =
        tail.split_last_chunk::<TRAILER>().ok_or_else(|| PackError::damaged(name, "cut short"))?;
    let index = index_range(trailer, object_size).map_err(|reason| PackError::damaged(name, reason))?;
    let opened = if index.start >= from {
        let frame = body.get((index.start - from) as usize..);
        vault.open_pack_index(name, frame.ok_or_else(|| PackError::damaged(name, "cut short"))?)
    } else {
        vault.open_pack_index(name, &get_whole(vault, name, index.clone()).await?)
    };
    let plain = opened.map_err(|e| PackError::of_frame(name, e))?;
    entries(&plain, index.start).ok_or_else(|| PackError::damaged(name, "its index contradicts it"))
}

/// Exactly this range, or damage.
async fn get_whole(vault: &Vault, name: PackName, range: Range<u64>) -> Result<Bytes, PackError> {
    let body = vault.get_pack(name, range.clone()).await?;
    if body.len() as u64 != range.end - range.start {
        return Err(PackError::damaged(name, "it is shorter than it was"));
    }
    Ok(body)
}

/// Where the trailer says that the index lies. Nobody vouches for a trailer, so nothing is asked for that a
/// pack of this size can't have: an entry for each frame, and no frame is shorter than its overhead.
fn index_range(trailer: &[u8; TRAILER], object_size: u64) -> Result<Range<u64>, &'static str> {
    let mut fields = FieldReader(trailer);
    let (Some(offset), Some(len), Some(version), Some(reserved), Some(magic)) =
        (fields.u32(), fields.u32(), fields.u32(), fields.u32(), fields.array::<8>())
    else {
        return Err("it has no trailer");
    };
    if magic != *END_MAGIC {
        return Err("it does not end as a pack does");
    }
    if version != VERSION || reserved != 0 {
        return Err("it is of an unknown version");
    }
    let (start, end) = (u64::from(offset), u64::from(offset) + u64::from(len));
    if start < HEADER as u64 || end != object_size - TRAILER as u64 {
        return Err("its trailer does not fit its length");
    }
    let most_frames = (start - HEADER as u64) / FRAME_OVERHEAD as u64;
    if u64::from(len) > FRAME_OVERHEAD as u64 + most_frames * INDEX_ENTRY as u64 {
        return Err("its index is longer than its frames allow");
    }
    Ok(start..end)
}

/// Frames must lie one after the other between header and index, and be of a length that their chunks allow.
fn entries(plain: &[u8], index_start: u64) -> Option<Vec<PackEntry>> {
    let mut found = Vec::with_capacity(plain.len() / INDEX_ENTRY);
    let mut fields = FieldReader(plain);
    let mut at = HEADER as u64;
    while !fields.0.is_empty() {
        let id = ChunkId(fields.array()?);
        let entry = PackEntry { id, offset: fields.u32()?, frame_len: fields.u32()?, size: fields.u32()? };
        let payload = entry.frame_len.checked_sub(FRAME_OVERHEAD as u32)?;
        if u64::from(entry.offset) < at || payload > entry.size {
            return None;
        }
        at = u64::from(entry.offset) + u64::from(entry.frame_len);
        found.push(entry);
    }
    (at <= index_start).then_some(found)
}
