//! The fuser adapter: requests in, replies out, and the errno table. Nothing is decided here that
//! `fs` could decide. Only this room speaks fuser.

use crate::fs::Fs;
use std::path::Path;
use std::sync::Arc;

/// How to mount.
#[derive(Clone, Debug)]
pub struct MountOptions {
    /// The source that `mount` and `df` show; commas are escaped here.
    pub source: String,
    /// Let others than the mounting user in.
    pub allow_other: bool,
    /// Let root in besides the mounting user.
    pub allow_root: bool,
    /// `ro`.
    pub read_only: bool,
    /// Session threads.
    pub threads: usize,
    /// `nosuid`, `nodev`, `noexec`, `noatime`, ... as given with `-o`, passed on.
    pub flags: Vec<String>,
}

/// Errors of mounting.
#[derive(Debug, thiserror::Error)]
pub enum FuseError {
    /// /dev/fuse is missing or can't be opened.
    #[error("can't use /dev/fuse: {0}")]
    NoDevice(std::io::Error),
    /// The mount point is missing or no directory.
    #[error("mount point {path}: {reason}")]
    MountPoint {
        /// As given.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// mount(2) failed.
    #[error("can't mount on {path}: {source}")]
    Mount {
        /// The mount point.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// A live mount: its session threads run until it is unmounted from within or without.
pub struct Mounted {}

impl Mounted {
    /// Mounts; returns when the kernel has answered INIT, so that the mount is usable.
    pub fn start(fs: Arc<Fs>, at: &Path, options: &MountOptions) -> Result<Mounted, FuseError> {
        let _ = (fs, at, options);
        todo!()
    }

    /// Blocks until the session ended (umount(8), our own unmount, or an abort of the connection).
    pub fn wait(&self) {
        todo!()
    }

    /// Unmounts; `Ok(false)` when it is busy (nothing changed).
    pub fn unmount(&self) -> Result<bool, FuseError> {
        todo!()
    }

    /// Detaches lazily: the name is free, what is open goes on until its last close, then `wait` returns.
    pub fn detach(&self) -> Result<(), FuseError> {
        todo!()
    }

    /// The mount's device number as /proc/self/mountinfo shows it, `major:minor`.
    pub fn device(&self) -> String {
        todo!()
    }
}
