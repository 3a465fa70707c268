//! Where to cut a file, and what a piece is called. Pure.
//!
//! What holds: a cut depends on nothing beyond the longest chunk, so whoever cuts through a window of
//! that size cuts as one who sees the whole file; no chunk but the last is shorter than the minimum, none
//! is longer than the maximum.

use crate::types::{ChunkId, ChunkSizes};
use fastcdc::v2020::FastCDC;
use zeroize::Zeroizing;

#[cfg(test)]
mod tests;

/// Length of the first chunk of `data`. `data` is everything up to the end of the region to cut,
/// or at least `sizes.max` bytes of it; a result equal to `data.len()` is a cut only at the end.
///
/// Where exactly the cuts fall is a matter of how well content is found again, never of correctness: a
/// chunk is what an extent says it is, so a later release may cut elsewhere.
pub fn first_cut(data: &[u8], sizes: &ChunkSizes) -> usize {
    let window = &data[..data.len().min(sizes.max as usize)];
    if window.len() <= sizes.min as usize {
        return window.len();
    }
    let (min, avg, max) = (sizes.min as usize, sizes.avg as usize, sizes.max as usize);
    FastCDC::new(window, min, avg, max).cut(0, window.len()).1
}

/// Names chunks by their content, under a key that never rotates.
#[derive(Clone)]
pub struct ChunkNamer {
    key: Zeroizing<[u8; 32]>,
}

impl ChunkNamer {
    /// From the vault's chunk-id key.
    pub fn new(key: Zeroizing<[u8; 32]>) -> ChunkNamer {
        ChunkNamer { key }
    }

    /// The id of this content.
    pub fn name(&self, content: &[u8]) -> ChunkId {
        ChunkId(*blake3::keyed_hash(&self.key, content).as_bytes())
    }
}
