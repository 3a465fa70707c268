//! pailctl: asks a mount to do something.

use crate::exit::Failure;
use crate::progress::Sending;
use crate::sizes;
use clap::Subcommand;
use pail::daemon::client::Client;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Send everything that is dirty to the store, and wait for it
    Flushcache {
        /// The mount point
        dir: PathBuf,
    },
    /// Make everything durable on the local disk (what syncfs(2) can't do on FUSE)
    Sync {
        /// The mount point
        dir: PathBuf,
    },
    /// Drop clean cached data
    Dropcache {
        /// The mount point
        dir: PathBuf,
    },
    /// Change the cache's limit
    Cachesize {
        /// The mount point
        dir: PathBuf,
        /// KiB, or with a suffix: 30G
        #[arg(value_parser = sizes::size)]
        size: u64,
    },
    /// Change what is logged
    Log {
        /// The mount point
        dir: PathBuf,
        /// error, warn, info, debug or trace
        level: String,
    },
}

pub fn run(args: &Args) -> Result<(), Failure> {
    match &args.what {
        What::Flushcache { dir } => {
            let mut sending = Sending::new();
            Client::of(dir)?.flush(&mut |bytes, files| sending.left(bytes, files))?;
        }
        What::Sync { dir } => Client::of(dir)?.sync()?,
        What::Dropcache { dir } => Client::of(dir)?.drop_cache()?,
        What::Cachesize { dir, size } => Client::of(dir)?.set_cache_size(*size)?,
        What::Log { dir, level } => Client::of(dir)?.set_log_level(level)?,
    }
    Ok(())
}
