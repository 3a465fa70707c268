//! A pack in the making.

use super::{END_MAGIC, HEADER, INDEX_ENTRY, MAGIC, PackEntry, VERSION};
use crate::types::{ChunkId, PackName};
use crate::vault::Vault;
use bytes::Bytes;

/// Gathers frames for one pack. The name is given at the end, so that an abandoned builder
/// uses up no sequence number.
#[derive(Debug)]
pub struct PackBuilder {
    body: Vec<u8>,
    entries: Vec<PackEntry>,
}

impl Default for PackBuilder {
    fn default() -> PackBuilder {
        let mut body = Vec::new();
        body.extend_from_slice(MAGIC);
        body.extend_from_slice(&VERSION.to_le_bytes());
        body.resize(HEADER, 0);
        PackBuilder { body, entries: Vec::new() }
    }
}

impl PackBuilder {
    /// An empty pack.
    pub fn new() -> PackBuilder {
        PackBuilder::default()
    }

    /// Adds a chunk's frame and says where it lies. Offsets have 32 bits: the caller finishes a pack that has
    /// reached the pack size (at most 1 GiB), and no frame is longer than 16 MiB and its overhead.
    pub fn push(&mut self, id: ChunkId, size: u32, frame: &[u8]) -> PackEntry {
        let entry = PackEntry { id, offset: self.body.len() as u32, frame_len: frame.len() as u32, size };
        self.body.extend_from_slice(frame);
        self.entries.push(entry);
        entry
    }

    /// What has been added, in order.
    pub fn entries(&self) -> &[PackEntry] {
        &self.entries
    }

    /// Bytes so far, without index and trailer.
    pub fn len(&self) -> usize {
        self.body.len()
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    #[cfg(test)]
    pub(super) fn body(self) -> Vec<u8> {
        self.body
    }

    /// The object's bytes.
    pub fn finish(self, vault: &Vault, name: PackName) -> Bytes {
        let PackBuilder { mut body, entries } = self;
        let mut plain = Vec::with_capacity(entries.len() * INDEX_ENTRY);
        for entry in &entries {
            plain.extend_from_slice(&entry.id.0);
            for field in [entry.offset, entry.frame_len, entry.size] {
                plain.extend_from_slice(&field.to_le_bytes());
            }
        }
        let index = vault.seal_pack_index(name, &plain);
        let offset = body.len() as u32;
        body.extend_from_slice(&index);
        body.extend_from_slice(&offset.to_le_bytes());
        body.extend_from_slice(&(index.len() as u32).to_le_bytes());
        body.extend_from_slice(&VERSION.to_le_bytes());
        body.extend_from_slice(&[0; 4]);
        body.extend_from_slice(END_MAGIC);
        body.into()
    }
}
