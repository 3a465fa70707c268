//! Dead packs: condemned in metadata, metadata synced, object deleted, row forgotten.
//!
//! Runs on the flusher's thread, between batches: no flush can name what goes. Retention has its place in
//! `may_go`: as long as there are no points, nothing but a running flush holds a pack back.

use super::FlowError;
use super::engine::Flow;
use crate::meta::{PackNo, PackRow};
use crate::types::{Nanos, PackName};

/// Packs in one round.
const ROUND: usize = 1000;

/// Whether no retained point names the pack (design.md, decision 10). Before points exist: always.
fn may_go(_pack: &PackRow) -> bool {
    true
}

impl Flow {
    pub(super) fn collect_dead(&self) {
        // An error ends the round with nothing forgotten; the next batch tries again.
        if let Err(error) = self.collect_rounds() {
            tracing::warn!(%error, "dead packs stay for now");
        }
    }

    fn collect_rounds(&self) -> Result<(), FlowError> {
        let none_protected = PackNo(i64::MAX as u64);
        loop {
            let now = Nanos::now();
            self.meta.write(move |tx| tx.condemn_dead_packs(none_protected, now, ROUND))?;
            let condemned = self.meta.read(|v| v.condemned_packs(ROUND).map_err(FlowError::from))?;
            let going: Vec<PackRow> = condemned.into_iter().filter(may_go).collect();
            if going.is_empty() {
                return Ok(());
            }
            // What made them dead, and the mark itself, must not be taken back by a power cut.
            self.meta.sync()?;
            let names: Vec<PackName> = going.iter().map(|p| p.name).collect();
            self.wait_for(self.vault.delete_packs(&names))?;
            let numbers: Vec<PackNo> = going.iter().map(|p| p.no).collect();
            self.meta.write(move |tx| tx.forget_packs(&numbers))?;
        }
    }
}
