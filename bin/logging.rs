//! Where the log goes, and how much of it.

use crate::exit::{self, Failure};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Mutex;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

/// Changes the level of a running log; false: no such level.
pub type SetLevel = Box<dyn Fn(&str) -> bool + Send + Sync>;

fn level(name: &str) -> Option<LevelFilter> {
    // S3QL's name for it.
    let name = if name.eq_ignore_ascii_case("warning") { "warn" } else { name };
    name.to_lowercase().parse().ok()
}

/// Starts the log, on stderr or in a file.
pub fn start(file: Option<&Path>, debug: bool) -> Result<SetLevel, Failure> {
    let first = if debug { LevelFilter::DEBUG } else { LevelFilter::INFO };
    let (filter, handle) = reload::Layer::new(first);
    let fmt = tracing_subscriber::fmt::layer().with_target(debug);
    let layer = match file {
        None => fmt.with_writer(std::io::stderr).with_ansi(false).boxed(),
        Some(path) => {
            let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
            let file = opened
                .map_err(|e| Failure::new(exit::LOG_FILE, format!("log file {}: {e}", path.display())))?;
            fmt.with_writer(Mutex::new(file)).with_ansi(false).boxed()
        }
    };
    // A second log in one process: the first stays.
    let _ = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
    Ok(Box::new(move |name| level(name).is_some_and(|l| handle.modify(|f| *f = l).is_ok())))
}
