//! pailstat: a mount's figures, S3QL's lines first.

use crate::exit::Failure;
use crate::sizes;
use pail::daemon::Status;
use pail::daemon::client::Client;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// Bytes instead of MiB and the like
    #[arg(long)]
    pub raw: bool,
    /// The mount point
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let status = Client::of(&args.dir)?.status()?;
    lines(&status, args.raw).iter().for_each(|line| println!("{line}"));
    Ok(())
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// The lines, a label and a figure each.
pub fn lines(s: &Status, raw: bool) -> Vec<String> {
    let size = |bytes: u64| if raw { format!("{bytes} bytes") } else { sizes::show(bytes) };
    let line = |label: &str, figure: String| format!("{:<26}{figure}", format!("{label}:"));
    let of_total = percent(s.after_compression, s.total_data);
    let of_dedup = percent(s.after_compression, s.after_dedup);
    let dedup = format!("{} ({:.2}% of total)", size(s.after_dedup), percent(s.after_dedup, s.total_data));
    let compressed =
        format!("{} ({of_total:.2}% of total, {of_dedup:.2}% of de-duplicated)", size(s.after_compression));
    vec![
        line("Directory entries", s.directory_entries.to_string()),
        line("Inodes", s.inodes.to_string()),
        line("Data objects", s.data_objects.to_string()),
        line("Total data size", size(s.total_data)),
        line("After de-duplication", dedup),
        line("After compression", compressed),
        line("Database size", format!("{} (uncompressed)", size(s.database))),
        line("Cache size", format!("{}, {} entries", size(s.cache_bytes), s.cache_entries)),
        line("Cache size (dirty)", format!("{}, {} entries", size(s.dirty_bytes), s.dirty_entries)),
        line("Queued object removals", s.queued_removals.to_string()),
        line("Stored in data objects", size(s.stored_bytes)),
        line("Cache limit", size(s.cache_limit)),
        line("Sent since mount", format!("{} in {} objects", size(s.uploaded_bytes), s.uploaded_objects)),
        line("Damaged chunks met", s.damaged_chunks.to_string()),
    ]
}
