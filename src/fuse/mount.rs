//! mount(2), the session's threads, and the ways a mount ends.

use super::adapter::Adapter;
use super::mountinfo;
use crate::fs::Fs;
use fuser::{Config, Session, SessionACL};
use parking_lot::{Condvar, Mutex};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};
use std::ffi::CString;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// How to mount.
#[derive(Clone, Debug)]
pub struct MountOptions {
    /// The source that `mount` and `df` show.
    pub source: String,
    /// Let others than the mounting user in.
    pub allow_other: bool,
    /// Let root in besides the mounting user.
    pub allow_root: bool,
    /// `ro`.
    pub read_only: bool,
    /// Session threads.
    pub threads: usize,
    /// `nosuid`, `nodev`, `noexec`, `noatime`, ... as given with `-o`; others are not for the kernel.
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
    /// mount(2), umount(2) or the kernel's first request failed.
    #[error("can't mount on {path}: {source}")]
    Mount {
        /// The mount point.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
}

#[derive(Default)]
struct End {
    over: Mutex<bool>,
    changed: Condvar,
}

/// A live mount: its session threads run until it is unmounted from within or without.
pub struct Mounted {
    at: PathBuf,
    device: String,
    end: Arc<End>,
}

/// Whether a directory can be mounted on; a dead daemon's mount there is detached.
pub fn check_mount_point(at: &Path) -> Result<(), FuseError> {
    let refuse = |reason: String| Err(FuseError::MountPoint { path: at.display().to_string(), reason });
    match std::fs::metadata(at) {
        Ok(meta) if meta.is_dir() => Ok(()),
        Ok(_) => refuse("it is not a directory".to_owned()),
        Err(e) if Errno::from_io_error(&e) == Some(Errno::NOTCONN) => {
            tracing::warn!(path = %at.display(), "a mount whose daemon died is replaced");
            match rustix::mount::unmount(at, UnmountFlags::DETACH) {
                Ok(()) => check_mount_point(at),
                Err(e) => refuse(format!("a dead mount there can't be removed: {e}")),
            }
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => refuse("there is no such directory".to_owned()),
        Err(e) => refuse(e.to_string()),
    }
}

fn flags(options: &MountOptions) -> MountFlags {
    let has = |name: &str| options.flags.iter().any(|f| f == name);
    // As fusermount does for everybody: files on the mount give no rights, unless root asks for it.
    let mut flags = MountFlags::empty();
    for (name, flag) in [
        ("nosuid", MountFlags::NOSUID),
        ("nodev", MountFlags::NODEV),
        ("noexec", MountFlags::NOEXEC),
        ("noatime", MountFlags::NOATIME),
        ("nodiratime", MountFlags::NODIRATIME),
        ("sync", MountFlags::SYNCHRONOUS),
        ("dirsync", MountFlags::DIRSYNC),
    ] {
        if has(name) {
            flags |= flag;
        }
    }
    if options.read_only {
        flags |= MountFlags::RDONLY;
    }
    flags
}

impl Mounted {
    /// Mounts; returns when the kernel has answered INIT, so that the mount is usable.
    pub fn start(fs: Arc<Fs>, at: &Path, options: &MountOptions) -> Result<Mounted, FuseError> {
        check_mount_point(at)?;
        let at = mountinfo::resolve(at);
        let failed = |source: std::io::Error| FuseError::Mount { path: at.display().to_string(), source };
        let fuse = rustix::fs::open("/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .map_err(|e| FuseError::NoDevice(e.into()))?;
        let (uid, gid) = (rustix::process::getuid(), rustix::process::getgid());
        let mut data = format!(
            "fd={},rootmode=40000,user_id={},group_id={},default_permissions",
            fuse.as_raw_fd(),
            uid.as_raw(),
            gid.as_raw()
        );
        // Root is let in by the session itself; the kernel knows only "others".
        if options.allow_other || options.allow_root {
            data.push_str(",allow_other");
        }
        let data = CString::new(data).map_err(|e| failed(e.into()))?;
        let mounted =
            rustix::mount::mount(options.source.as_str(), &at, "fuse.pail", flags(options), data.as_c_str());
        mounted.map_err(|e| failed(e.into()))?;

        let started = Self::serve(fs, fuse, options).map_err(failed);
        let end = started.inspect_err(|_| {
            let _ = rustix::mount::unmount(&at, UnmountFlags::DETACH);
        })?;
        let device = mountinfo::find(&at).ok().flatten().map(|m| m.device).unwrap_or_default();
        // Sequential readers: the kernel's default window is 128 KiB. A wish, no more.
        let _ = std::fs::write(format!("/sys/class/bdi/{device}/read_ahead_kb"), "4096");
        Ok(Mounted { at, device, end })
    }

    fn serve(fs: Arc<Fs>, fuse: std::os::fd::OwnedFd, options: &MountOptions) -> std::io::Result<Arc<End>> {
        let acl = if options.allow_root && !options.allow_other {
            SessionACL::RootAndOwner
        } else {
            SessionACL::All
        };
        let mut config = Config::default();
        config.acl = acl;
        config.n_threads = Some(options.threads.max(1));
        config.clone_fd = true;
        let notifier = Arc::new(OnceLock::new());
        let adapter = Adapter { fs, notifier: Arc::clone(&notifier) };
        let session = Session::from_fd(adapter, fuse, acl, config)?;
        let _ = notifier.set(session.notifier());
        let end = Arc::new(End::default());
        let told = Arc::clone(&end);
        std::thread::Builder::new().name("pail-session".to_owned()).spawn(move || {
            // An aborted connection is an error to fuser; to us it is an end like any other.
            if let Err(error) = session.run() {
                tracing::warn!(%error, "the mount's connection to the kernel ended");
            }
            *told.over.lock() = true;
            told.changed.notify_all();
        })?;
        Ok(end)
    }

    /// Blocks until the session ended (umount(8), our own unmount, or an abort of the connection).
    pub fn wait(&self) {
        let mut over = self.end.over.lock();
        while !*over {
            self.end.changed.wait(&mut over);
        }
    }

    /// Whether the session has ended.
    pub fn is_over(&self) -> bool {
        *self.end.over.lock()
    }

    /// Whether what is mounted at our place is ours: a newer mount is none of our business.
    fn is_ours(&self) -> bool {
        mountinfo::find(&self.at).ok().flatten().is_some_and(|m| m.device == self.device)
    }

    fn unmount_with(&self, flags: UnmountFlags) -> Result<bool, FuseError> {
        if self.is_over() || !self.is_ours() {
            return Ok(true);
        }
        match rustix::mount::unmount(&self.at, flags) {
            Ok(()) | Err(Errno::INVAL) => Ok(true),
            Err(Errno::BUSY) => Ok(false),
            Err(e) => Err(FuseError::Mount { path: self.at.display().to_string(), source: e.into() }),
        }
    }

    /// Unmounts; `Ok(false)` when it is busy (nothing changed).
    pub fn unmount(&self) -> Result<bool, FuseError> {
        self.unmount_with(UnmountFlags::empty())
    }

    /// Detaches lazily: the name is free, what is open goes on until its last close, then `wait` returns.
    pub fn detach(&self) -> Result<(), FuseError> {
        self.unmount_with(UnmountFlags::DETACH).map(drop)
    }

    /// The mount's device number as /proc/self/mountinfo shows it, `major:minor`.
    pub fn device(&self) -> &str {
        &self.device
    }
}
