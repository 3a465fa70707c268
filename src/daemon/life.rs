//! A mount's life from its start to its end.
//!
//! The ends: umount(8), which is noticed when the session ends; `umount.pail` and a signal, which send
//! everything first and unmount then; a second signal, which leaves the rest in the cache. All of them go
//! through `Daemon::run`, which sends what came last, closes the cache and the database in this order, and
//! says what is left.

use super::directory::{CacheDir, unregister};
use super::start::StartError;
use super::status::{self, Status};
use crate::cache::Cache;
use crate::flow::Flow;
use crate::fs::Fs;
use crate::fuse::Mounted;
use crate::meta::{Meta, MetaError};
use parking_lot::{Condvar, Mutex};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// The de-duplication index is brought up in steps, and a quiet database is checkpointed, this often.
const UPKEEP: Duration = Duration::from_secs(30);
/// Who waits for the end on the control socket is told within this time, or not at all.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How a mount ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Files whose newest data is only in the cache.
    pub left_files: u64,
    /// Bytes of it.
    pub left_bytes: u64,
}

/// What the threads of a mount share.
pub(super) struct Shared {
    pub url: String,
    label: String,
    meta: Arc<Meta>,
    pub cache: Arc<Cache>,
    pub flow: Arc<Flow>,
    pub fs: Arc<Fs>,
    pub mounted: Arc<Mounted>,
    pub set_level: Box<dyn Fn(&str) -> bool + Send + Sync>,
    /// Sending what is left; no longer mounted, or about to be.
    pub draining: AtomicBool,
    fast: AtomicBool,
    ended: Mutex<Option<Ended>>,
    changed: Condvar,
    /// Connections that still want to tell the end.
    listeners: Mutex<usize>,
}

impl Shared {
    #[allow(clippy::too_many_arguments)] // the parts of a mount, put together at one place
    pub fn new(
        url: String,
        label: String,
        meta: Arc<Meta>,
        cache: Arc<Cache>,
        flow: Arc<Flow>,
        fs: Arc<Fs>,
        mounted: Arc<Mounted>,
        set_level: Box<dyn Fn(&str) -> bool + Send + Sync>,
    ) -> Shared {
        Shared {
            url,
            label,
            meta,
            cache,
            flow,
            fs,
            mounted,
            set_level,
            draining: AtomicBool::new(false),
            fast: AtomicBool::new(false),
            ended: Mutex::new(None),
            changed: Condvar::new(),
            listeners: Mutex::new(0),
        }
    }

    pub fn status(&self) -> Result<Status, MetaError> {
        status::gather(&self.url, &self.label, &self.meta, &self.cache, &self.flow)
    }

    /// Sends everything that is dirty now; waits for it.
    pub fn flush(&self) -> Result<(), String> {
        let (sender, receiver) = mpsc::channel();
        self.flow.flush(None, Box::new(move |done| drop(sender.send(done.map_err(|e| e.to_string())))));
        receiver.recv().unwrap_or_else(|_| Err("the mount is ending".to_owned()))
    }

    /// Makes everything durable on the local disk; waits for it.
    pub fn sync(&self) -> Result<(), String> {
        let (sender, receiver) = mpsc::channel();
        self.fs.sync_all(Box::new(move |done| drop(sender.send(done.map_err(|e| e.to_string())))));
        receiver.recv().unwrap_or_else(|_| Err("the mount is ending".to_owned()))
    }

    /// Leaves what is dirty in the cache for the next mount.
    pub fn stop_fast(&self) {
        self.fast.store(true, Ordering::Relaxed);
        self.flow.hurry();
        if let Err(error) = self.mounted.detach() {
            tracing::error!(%error, "could not be unmounted");
        }
    }

    pub fn begin_listening(&self) {
        *self.listeners.lock() += 1;
    }

    pub fn end_listening(&self) {
        *self.listeners.lock() -= 1;
        self.changed.notify_all();
    }

    /// Waits for the end.
    pub fn wait_end(&self) -> Ended {
        let mut ended = self.ended.lock();
        loop {
            match *ended {
                Some(end) => return end,
                None => self.changed.wait(&mut ended),
            }
        }
    }
}

/// A live mount.
pub struct Daemon {
    pub(super) shared: Arc<Shared>,
    pub(super) directory: CacheDir,
    pub(super) link: Option<PathBuf>,
}

impl Daemon {
    /// The file system, for who is in the same process.
    pub fn status(&self) -> Result<Status, MetaError> {
        self.shared.status()
    }

    /// Serves until the mount has ended, whichever way, and everything is in the store or left in the cache.
    pub fn run(self) -> Result<Ended, StartError> {
        let shared = &self.shared;
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(StartError::System)?;
        let handle = signals.handle();
        let told = Arc::clone(shared);
        let listener = std::thread::Builder::new().name("pail-signals".to_owned());
        listener.spawn(move || on_signals(&told, &mut signals)).map_err(StartError::System)?;
        let kept = Arc::clone(shared);
        let upkeep = std::thread::Builder::new().name("pail-upkeep".to_owned());
        upkeep.spawn(move || keep_up(&kept)).map_err(StartError::System)?;

        shared.mounted.wait();
        shared.draining.store(true, Ordering::Relaxed);
        let ended = self.finish();
        handle.close();
        ended
    }

    fn finish(&self) -> Result<Ended, StartError> {
        let shared = &self.shared;
        shared.flow.stop(!shared.fast.load(Ordering::Relaxed))?;
        // In this order: the cache's clean mark says that the metadata which names its data is synced.
        let closed = shared.meta.sync().map_err(StartError::from);
        let closed = closed.and_then(|()| shared.cache.close().map_err(StartError::from));
        let closed = closed.and_then(|()| shared.meta.checkpoint().map_err(StartError::from));
        let stats = shared.cache.stats();
        let ended = Ended { left_files: stats.dirty_entries, left_bytes: stats.dirty_bytes };
        if let Some(link) = &self.link {
            unregister(link, self.directory.path());
        }
        let _ = std::fs::remove_file(self.directory.socket());
        *shared.ended.lock() = Some(ended);
        shared.changed.notify_all();
        let mut listeners = shared.listeners.lock();
        while *listeners > 0 && !shared.changed.wait_for(&mut listeners, LAST_WORDS).timed_out() {}
        tracing::info!(left_files = ended.left_files, left_bytes = ended.left_bytes, "the mount has ended");
        closed.map(|()| ended)
    }
}

/// The first signal sends everything and unmounts; the second leaves the rest in the cache.
fn on_signals(shared: &Arc<Shared>, signals: &mut Signals) {
    for (count, signal) in (0..).zip(signals.forever()) {
        if count > 0 {
            tracing::warn!(signal, "a second signal: what is not sent stays in the cache for the next mount");
            shared.stop_fast();
            continue;
        }
        tracing::info!(signal, "sending what is left, then unmounting");
        shared.draining.store(true, Ordering::Relaxed);
        let shared = Arc::clone(shared);
        // On a thread of its own: the next signal is listened for.
        std::thread::spawn(move || {
            if let Err(error) = shared.flush() {
                tracing::warn!(error, "not everything could be sent");
            }
            match shared.mounted.unmount() {
                Ok(true) => {}
                Ok(false) => {
                    tracing::warn!(
                        "the mount is busy: it is detached, and ends when nobody uses it any more"
                    );
                    let _ = shared.mounted.detach();
                }
                Err(error) => tracing::error!(%error, "could not be unmounted"),
            }
        });
    }
}

fn keep_up(shared: &Arc<Shared>) {
    while shared.meta.index_step().unwrap_or(false) {}
    let mut ended = shared.ended.lock();
    while ended.is_none() {
        let timed_out = shared.changed.wait_for(&mut ended, UPKEEP).timed_out();
        if timed_out && ended.is_none() {
            parking_lot::MutexGuard::unlocked(&mut ended, || {
                if let Err(error) = shared.meta.checkpoint() {
                    tracing::warn!(%error, "the database could not be checkpointed");
                }
            });
        }
    }
}
