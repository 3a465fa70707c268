//! Packs that were stored and not recorded, because the daemon died in between: they are recorded now, so
//! that the flush that is repeated finds its chunks (design.md, decision 6). What nobody names then is dead
//! and removed like any other.

use super::FlowError;
use super::engine::Flow;
use super::packs::new_chunk;
use crate::meta::NewChunk;
use crate::pack;
use crate::types::PackName;
use std::collections::HashSet;

impl Flow {
    /// Adopts packs that the last epoch stored and did not record: a listing from the lowest sequence that
    /// was reserved and not recorded.
    pub(super) fn adopt_packs(&self) -> Result<usize, FlowError> {
        let Some((epoch, from)) = self.meta.read(|v| v.pack_mark().map_err(FlowError::from))? else {
            return Ok(0);
        };
        let stored = self.wait_for(self.vault.packs_from(epoch, from))?;
        let recorded = self.meta.read(|v| v.packs_since(epoch, from).map_err(FlowError::from))?;
        let recorded: HashSet<PackName> = recorded.into_iter().collect();
        let mut adopted = 0;
        for (name, size) in stored.into_iter().filter(|(name, _)| !recorded.contains(name)) {
            match self.wait_for(pack::read_index(&self.vault, name, size)) {
                Ok(entries) => {
                    let chunks: Vec<NewChunk> = entries.iter().map(new_chunk).collect();
                    self.meta.write(move |tx| tx.insert_pack(name, size, &chunks, from))?;
                    adopted += 1;
                }
                Err(error) => {
                    tracing::warn!(?name, %error, "a pack that was not recorded can't be read; it is left")
                }
            }
        }
        if adopted > 0 {
            tracing::info!(adopted, "packs that were stored and not recorded are adopted");
            while self.meta.index_step()? {}
        }
        Ok(adopted)
    }
}
