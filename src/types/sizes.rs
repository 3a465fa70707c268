//! The sizes that files are cut in. Stored in the superblock, used by `chunk`.

/// Sizes for content-defined cutting (FastCDC).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkSizes {
    /// No chunk but a file's last is shorter.
    pub min: u32,
    /// What cuts aim at.
    pub avg: u32,
    /// No chunk is longer.
    pub max: u32,
}

impl ChunkSizes {
    /// 256 KiB / 1 MiB / 4 MiB.
    pub const DEFAULT: ChunkSizes = ChunkSizes { min: 256 << 10, avg: 1 << 20, max: 4 << 20 };

    /// Sizes around an average: a quarter of it and four times it. `None` unless the average is
    /// between 4 KiB and 4 MiB (a chunk must fit a pack and the memory of a small machine). Rounded down to
    /// a multiple of eight, because the cutter wants even sizes.
    pub fn around(avg: u32) -> Option<ChunkSizes> {
        let avg = avg & !7;
        (4 << 10..=4 << 20).contains(&avg).then(|| ChunkSizes { min: avg / 4, avg, max: avg * 4 })
    }
}
