//! The figures of a mount, as `pailstat` shows them and the control socket carries them.

use crate::cache::Cache;
use crate::flow::Flow;
use crate::meta::{Meta, MetaError};
use serde::{Deserialize, Serialize};

/// Figures; bytes unless the name says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // the names are the documentation
pub struct Status {
    pub url: String,
    pub label: String,
    pub directory_entries: u64,
    pub inodes: u64,
    pub data_objects: u64,
    pub stored_bytes: u64,
    pub total_data: u64,
    pub after_dedup: u64,
    pub after_compression: u64,
    pub database: u64,
    pub cache_limit: u64,
    pub cache_bytes: u64,
    pub cache_entries: u64,
    pub dirty_bytes: u64,
    pub dirty_entries: u64,
    pub queued_removals: u64,
    pub uploaded_bytes: u64,
    pub uploaded_objects: u64,
    pub damaged_chunks: u64,
}

/// Gathers them.
pub(super) fn gather(
    url: &str,
    label: &str,
    meta: &Meta,
    cache: &Cache,
    flow: &Flow,
) -> Result<Status, MetaError> {
    let (totals, stats, progress) = (meta.totals()?, cache.stats(), flow.progress());
    Ok(Status {
        url: url.to_owned(),
        label: label.to_owned(),
        directory_entries: totals.entries,
        inodes: totals.inodes,
        data_objects: totals.packs,
        stored_bytes: totals.pack_bytes,
        total_data: totals.file_bytes,
        after_dedup: totals.live_plain_bytes,
        after_compression: totals.live_frame_bytes,
        database: meta.database_bytes(),
        cache_limit: stats.limit,
        cache_bytes: stats.bytes,
        cache_entries: stats.entries,
        dirty_bytes: stats.dirty_bytes,
        dirty_entries: stats.dirty_entries,
        queued_removals: progress.queued_removals,
        uploaded_bytes: progress.uploaded_bytes,
        uploaded_objects: progress.uploaded_packs,
        damaged_chunks: progress.damaged_chunks,
    })
}
