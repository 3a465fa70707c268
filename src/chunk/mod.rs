//! Where to cut a file, and what a piece is called. Pure.

use crate::types::{ChunkId, ChunkSizes};
use fastcdc::v2020::FastCDC;
use zeroize::Zeroizing;

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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const SIZES: ChunkSizes = ChunkSizes { min: 1 << 10, avg: 4 << 10, max: 16 << 10 };

    fn noise(seed: u64, len: usize) -> Vec<u8> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u8
        };
        (0..len).map(|_| next()).collect()
    }

    fn cuts(data: &[u8]) -> Vec<usize> {
        let (mut at, mut cuts) = (0, Vec::new());
        while at < data.len() {
            at += first_cut(&data[at..], &SIZES);
            cuts.push(at);
        }
        cuts
    }

    #[test]
    fn sizes_are_kept() {
        for data in [noise(1, 300_000), vec![0; 300_000]] {
            let mut at = 0;
            let all = cuts(&data);
            for (i, end) in all.iter().enumerate() {
                let len = end - at;
                assert!(len <= SIZES.max as usize);
                assert!(len >= SIZES.min as usize || i + 1 == all.len());
                at = *end;
            }
            assert_eq!(at, data.len());
        }
    }

    /// A reader that sees only a window of the largest chunk's size cuts as one that sees everything.
    #[test]
    fn a_cut_depends_on_no_more_than_the_largest_chunk() {
        let data = noise(2, 400_000);
        let mut at = 0;
        while at < data.len() {
            let window = &data[at..data.len().min(at + SIZES.max as usize)];
            assert_eq!(first_cut(window, &SIZES), first_cut(&data[at..], &SIZES));
            at += first_cut(window, &SIZES);
        }
    }

    #[test]
    fn an_insertion_changes_only_its_neighbourhood() {
        let data = noise(3, 400_000);
        let mut changed = data.clone();
        changed.splice(200_000..200_000, *b"inserted");
        let namer = ChunkNamer::new(Zeroizing::new([1; 32]));
        let names = |data: &[u8]| {
            let mut at = 0;
            cuts(data)
                .into_iter()
                .map(|end| namer.name(&data[std::mem::replace(&mut at, end)..end]))
                .collect::<Vec<_>>()
        };
        let before: HashSet<ChunkId> = names(&data).into_iter().collect();
        let fresh = names(&changed).iter().filter(|id| !before.contains(id)).count();
        assert!(fresh <= 4, "{fresh} of {} chunks are new", before.len());
    }
}
