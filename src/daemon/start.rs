//! From a storage URL to a live mount. Everything that can be refused is checked before anything is
//! changed; the epoch is raised before the first put.

use super::control;
use super::directory::{CacheDir, register};
use super::life::{Daemon, Shared};
use crate::cache::{BootId, Cache, CacheError, StoredState};
use crate::flow::{Flow, FlowError, FlowOptions};
use crate::fs::{Fs, FsOptions};
use crate::fuse::{FuseError, MountOptions, Mounted, check_mount_point};
use crate::meta::{Identity, Meta, MetaError};
use crate::seal::Compression;
use crate::store::{StorageUrl, Store, StoreError, open_store, retry::RetryStore};
use crate::types::{Ino, Nanos};
use crate::vault::{Secret, Vault, VaultError};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// statfs shows this size; a bucket has none.
const CAPACITY: u64 = 1 << 50;
/// Tries of one request before its caller decides.
const TRIES: u32 = 4;

/// What a mount is told.
#[derive(Clone, Debug)]
pub struct MountSettings {
    /// What to mount.
    pub url: StorageUrl,
    /// Where.
    pub mount_point: PathBuf,
    /// Below which directory its own is.
    pub cachedir: PathBuf,
    /// The cache's limit in bytes.
    pub cache_size: u64,
    /// Instead of what mkfs decided.
    pub compression: Option<Compression>,
    /// Parallel requests to the store.
    pub connections: usize,
    /// After the last write.
    pub upload_delay: Duration,
    /// After the first.
    pub upload_limit: Duration,
    /// Never touch access times.
    pub no_atime: bool,
    /// The kernel's side.
    pub fuse: MountOptions,
}

/// Why there is no mount.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file system or its keys.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The database.
    #[error(transparent)]
    Meta(#[from] MetaError),
    /// The cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// Background work.
    #[error(transparent)]
    Flow(#[from] FlowError),
    /// The kernel's side.
    #[error(transparent)]
    Fuse(#[from] FuseError),
    /// The cache directory can't be used.
    #[error("cache directory {path}: {reason}")]
    CacheDir {
        /// Which.
        path: String,
        /// Why.
        reason: String,
    },
    /// It is another file system's.
    #[error("cache directory {path} belongs to another file system that was at this URL before")]
    ForeignCache {
        /// Which.
        path: String,
    },
    /// A daemon has it.
    #[error("{url} is mounted already by this machine (its cache directory {path} is in use)")]
    Mounted {
        /// What.
        url: String,
        /// Its cache directory.
        path: String,
    },
    /// Written before, but this cache directory has never seen it.
    #[error("there is no metadata of {url} in {path}, and the file system has been written to before")]
    NoMetadata {
        /// What.
        url: String,
        /// The cache directory.
        path: String,
    },
    /// Threads, signals, sockets.
    #[error("can't start: {0}")]
    System(std::io::Error),
}

/// Runs an async call to its end.
pub(super) fn block_on<T>(call: impl Future<Output = T>) -> Result<T, StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    Ok(runtime.map_err(StartError::System)?.block_on(call))
}

fn boot_id() -> BootId {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    let mut id = [0; 16];
    for (byte, pair) in id.iter_mut().zip(digits.chunks(2)) {
        *byte = pair.iter().fold(0, |n, d| n << 4 | *d as u8);
    }
    BootId(id)
}

/// Takes the cache directory; a daemon of ours that is only sending what is left is told to stop.
fn take_directory(settings: &MountSettings) -> Result<CacheDir, StartError> {
    let url = settings.url.to_string();
    let mut directory = CacheDir::at(&settings.cachedir, &url)?;
    if directory.try_lock()? {
        return Ok(directory);
    }
    if super::client::tell_draining_to_stop(&directory) {
        directory.wait_unlocked()?;
        if directory.try_lock()? {
            return Ok(directory);
        }
    }
    Err(StartError::Mounted { url, path: directory.path().display().to_string() })
}

/// Opens the database; makes it for a file system that was never written to.
fn open_meta(settings: &MountSettings, vault: &Vault, directory: &CacheDir) -> Result<Meta, StartError> {
    let identity = Identity { fs: vault.fs_id(), writer: directory.identify(vault.fs_id())? };
    let dir = directory.meta();
    if !Meta::exists(&dir) {
        if block_on(vault.newest_epoch())??.is_some() {
            let (url, path) = (settings.url.to_string(), directory.path().display().to_string());
            return Err(StartError::NoMetadata { url, path });
        }
        let failed = |e: std::io::Error| StartError::CacheDir {
            path: dir.display().to_string(),
            reason: e.to_string(),
        };
        std::fs::create_dir_all(&dir).map_err(failed)?;
        let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        Meta::create(&dir, identity, uid, gid)?;
    }
    Ok(Meta::open(&dir, vault.fs_id())?)
}

fn open_cache(
    settings: &MountSettings,
    meta: &Meta,
    directory: &CacheDir,
) -> Result<(Arc<Cache>, Vec<Ino>), StartError> {
    // What the last daemon committed may be in no more than the page cache: recovery drops what the rows call
    // stored, so the rows must not be lost after it.
    meta.checkpoint()?;
    let failed = std::cell::RefCell::new(None);
    let stored = |ino: Ino| match meta.inode(ino) {
        Ok(Some(row)) => StoredState::Flushed(row.flushed),
        Ok(None) => StoredState::Gone,
        // Nothing may be dropped on the word of a database that can't be read.
        Err(e) => {
            failed.borrow_mut().get_or_insert(e);
            StoredState::Flushed(0)
        }
    };
    let (cache, recovery) = Cache::open(&directory.cache(), settings.cache_size, boot_id(), &stored)?;
    if let Some(e) = failed.into_inner() {
        return Err(e.into());
    }
    settle_pending(meta, &cache)?;
    Ok((cache, recovery.dirty))
}

/// A file that the database calls pending and the cache knows nothing newer of: its newest data is lost, or
/// was never written. It keeps what is stored.
fn settle_pending(meta: &Meta, cache: &Cache) -> Result<(), StartError> {
    for (ino, since) in meta.read(|v| v.pending().map_err(StartError::from))? {
        if cache.overlay(ino).is_some() {
            continue;
        }
        let path = meta.read(|v| v.path_of(ino).map_err(StartError::from))?.unwrap_or_default();
        tracing::warn!(
            path = %String::from_utf8_lossy(&path),
            %ino,
            age_seconds = Nanos::now().0.saturating_sub(since.0) / 1_000_000_000,
            "newer content of this file was not synced before the last stop, or its cached data is gone; \
             it has what was stored last"
        );
        meta.write(move |tx| {
            tx.clear_pending(ino)?;
            tx.drop_shadow(ino)
        })?;
    }
    Ok(())
}

/// A shell's soft limit of 1,024 open files is too near to what the cache and the databases keep open.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current: _, maximum } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

impl Daemon {
    /// Mounts; when this returns the mount is usable.
    pub fn start(
        settings: MountSettings,
        secret: Option<Secret>,
        set_level: Box<dyn Fn(&str) -> bool + Send + Sync>,
    ) -> Result<Daemon, StartError> {
        raise_open_files();
        check_mount_point(&settings.mount_point)?;
        let store: Arc<dyn Store> = Arc::new(RetryStore::new(open_store(&settings.url, false)?, TRIES));
        let vault = Arc::new(block_on(Vault::open(store, secret))??);
        let directory = take_directory(&settings)?;
        let meta = Arc::new(open_meta(&settings, &vault, &directory)?);
        let writer = match settings.fuse.read_only {
            true => None,
            false => {
                let id = directory.identify(vault.fs_id())?;
                Some((block_on(vault.raise_epoch(id))??, id))
            }
        };
        let (cache, dirty) = open_cache(&settings, &meta, &directory)?;
        let options = FlowOptions {
            compression: settings.compression.unwrap_or(vault.parameters().compression),
            connections: settings.connections,
            upload_delay: settings.upload_delay,
            upload_limit: settings.upload_limit,
            write_timeout: Duration::from_secs(300),
            read_timeout: Duration::from_secs(300),
            writer,
        };
        let label = vault.parameters().label.clone();
        let flow = Flow::start(options, vault, Arc::clone(&meta), Arc::clone(&cache), &dirty)?;
        let fs_options =
            FsOptions { read_only: settings.fuse.read_only, no_atime: settings.no_atime, capacity: CAPACITY };
        let fs = Fs::new(Arc::clone(&meta), Arc::clone(&cache), Arc::clone(&flow), fs_options);
        let mounted = Mounted::start(Arc::clone(&fs), &settings.mount_point, &settings.fuse);
        let mounted = Arc::new(mounted.inspect_err(|_| drop(flow.stop(false)))?);
        let shared =
            Arc::new(Shared::new(settings.url.to_string(), label, meta, cache, flow, fs, mounted, set_level));
        let link = register(shared.mounted.device(), directory.path());
        let link =
            link.inspect_err(|error| tracing::warn!(%error, "pailctl and pailstat will not find this mount"));
        control::serve(&shared, &directory).map_err(StartError::System)?;
        Ok(Daemon { shared, directory, link: link.ok() })
    }
}
