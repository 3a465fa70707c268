//! Reading what a pack says of itself.

use super::{END_MAGIC, HEADER, INDEX_ENTRY, PackEntry, PackError, TRAILER};
use crate::types::{ChunkId, FieldReader, PackName};
use crate::vault::{Vault, pack_key};

/// The first guess at how long index and trailer are: the index of a pack of 1 MiB chunks is below 1 KiB,
/// that of a pack of thumbnails about 40.
const TAIL: u64 = 64 << 10;

/// Reads a pack's index: one ranged get of the tail, a second one when the index is larger.
pub async fn read_index(
    vault: &Vault,
    name: PackName,
    object_size: u64,
) -> Result<Vec<PackEntry>, PackError> {
    let damaged = |reason: &str| PackError::Damaged { key: pack_key(name), reason: reason.to_owned() };
    if object_size < (HEADER + TRAILER) as u64 {
        return Err(damaged("too short to be a pack"));
    }
    let from = object_size.saturating_sub(TAIL);
    let tail = vault.get_pack(name, from..object_size).await?;
    let (body, trailer) = tail.split_last_chunk::<TRAILER>().ok_or_else(|| damaged("cut short"))?;
    let mut fields = FieldReader(trailer);
    let (Some(offset), Some(len), Some(magic)) = (fields.u32(), fields.u32(), fields.array::<8>()) else {
        return Err(damaged("no trailer"));
    };
    let (start, end) = (u64::from(offset), u64::from(offset) + u64::from(len));
    if magic != *END_MAGIC || start < HEADER as u64 || end != object_size - TRAILER as u64 {
        return Err(damaged("its trailer does not fit its length"));
    }
    let plain = if start >= from {
        let frame = body.get((start - from) as usize..).ok_or_else(|| damaged("cut short"))?;
        vault.open_pack_index(name, frame)?
    } else {
        vault.open_pack_index(name, &vault.get_pack(name, start..end).await?)?
    };
    entries(&plain, start).ok_or_else(|| damaged("its index contradicts it"))
}

/// Frames must lie one after the other between header and index.
fn entries(plain: &[u8], index_start: u64) -> Option<Vec<PackEntry>> {
    let mut found = Vec::with_capacity(plain.len() / INDEX_ENTRY);
    let mut fields = FieldReader(plain);
    let mut at = HEADER as u64;
    while !fields.0.is_empty() {
        let id = ChunkId(fields.array()?);
        let entry = PackEntry { id, offset: fields.u32()?, frame_len: fields.u32()?, size: fields.u32()? };
        if u64::from(entry.offset) < at {
            return None;
        }
        at = u64::from(entry.offset) + u64::from(entry.frame_len);
        found.push(entry);
    }
    (at <= index_start).then_some(found)
}
