//! The life of a mount: what it finds in its cache directory, recovery, background work, the control
//! socket, and every way that it ends.
//!
//! What holds:
//! - One daemon has a cache directory at a time (a lock that dies with it); one cache directory belongs to one file system.
//! - Nothing is changed before everything that can be refused has been checked.
//! - A mount ends with everything in the store, or says how much is left in the cache for the next one.

pub mod authfile;
pub mod client;
mod control;
mod directory;
mod life;
mod start;
mod status;

pub use directory::{CacheDir, default_cache_dir};
pub use life::{Daemon, Ended};
pub use start::{MountSettings, StartError};
pub use status::Status;
