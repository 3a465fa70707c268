//! Progress of what takes long: a bar at a terminal, now and then a line elsewhere.

use crate::sizes;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Elsewhere than at a terminal a line is written this often.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Bytes that get fewer.
pub struct Sending {
    bar: Option<ProgressBar>,
    total: u64,
    told: Instant,
}

impl Sending {
    pub fn new() -> Sending {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = "sending {bar:30} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left";
            let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(0).with_style(style)
        });
        Sending { bar, total: 0, told: Instant::now() }
    }

    /// So much is left.
    pub fn left(&mut self, bytes: u64, files: u64) {
        self.total = self.total.max(bytes);
        match &self.bar {
            Some(bar) => {
                bar.set_length(self.total);
                bar.set_position(self.total - bytes);
            }
            None if self.told.elapsed() >= LINE_EVERY => {
                self.told = Instant::now();
                eprintln!("{} in {files} files left to send", sizes::show(bytes));
            }
            None => {}
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
