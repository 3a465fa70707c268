//! statfs(2): what is used is what lies in the store; what is free is what is left of the capacity.

use super::names::NAME_MAX;
use super::{Fs, FsError, StatFs};

const BLOCK: u32 = 4096;
/// Inode numbers are 63 bits; this is what `df -i` shows as their supply.
const FILES: u64 = 1 << 40;

impl Fs {
    /// statfs(2).
    pub fn statfs(&self) -> Result<StatFs, FsError> {
        let totals = self.meta.totals()?;
        let used = totals.pack_bytes.saturating_add(self.cache.stats().dirty_bytes);
        let blocks = self.options.capacity / u64::from(BLOCK);
        Ok(StatFs {
            block_size: BLOCK,
            blocks,
            free: blocks.saturating_sub(used.div_ceil(u64::from(BLOCK))),
            files: FILES,
            files_free: FILES.saturating_sub(totals.inodes),
            name_max: NAME_MAX as u32,
        })
    }
}
