//! The engine: its runtime, its two threads (flusher, reaper), and how they start and stop.
//!
//! Lock order: an entry's gate before the metadata writer; the leaves here (schedule, pins, chunks under
//! way, counters) are held for moments and never while anything else is called.

use super::flusher;
use super::gather::UnderWay;
use super::pins::Pins;
use super::reap;
use super::schedule::Schedule;
use super::{Done, FlowError, FlowOptions, Progress};
use crate::cache::Cache;
use crate::chunk::ChunkNamer;
use crate::meta::Meta;
use crate::types::Ino;
use crate::vault::Vault;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use tokio::sync::Semaphore;

/// The runtime's own threads; they only wait for the store.
const WORKERS: usize = 2;
/// Threads for what blocks on the disk.
const BLOCKING: usize = 64;
/// Windows that are fetched ahead at a time.
const AHEAD: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub uploaded_bytes: AtomicU64,
    pub uploaded_packs: AtomicU64,
    pub damaged_chunks: AtomicU64,
}

/// Whether the store works, told once for each change.
#[derive(Debug, Default)]
pub(super) struct Outage {
    on: AtomicBool,
}

impl Outage {
    pub fn failed(&self, error: &dyn std::fmt::Display) {
        if !self.on.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "the store does not work; it is tried again until it does");
        }
    }

    pub fn worked(&self) {
        if self.on.swap(false, Ordering::Relaxed) {
            tracing::info!("the store works again");
        }
    }
}

/// The engine. Share it by `Arc`.
pub struct Flow {
    pub(super) options: FlowOptions,
    pub(super) vault: Arc<Vault>,
    pub(super) meta: Arc<Meta>,
    pub(super) cache: Arc<Cache>,
    pub(super) namer: ChunkNamer,
    pub(super) pins: Pins,
    pub(super) schedule: Schedule,
    pub(super) under_way: UnderWay,
    pub(super) requests: Semaphore,
    pub(super) ahead: Arc<Semaphore>,
    pub(super) counters: Counters,
    pub(super) outage: Outage,
    pub(super) reaper: reap::Inbox,
    /// Stopping at once: retries give up, what is dirty stays in the cache.
    hurry: AtomicBool,
    handle: tokio::runtime::Handle,
    /// Taken by `stop`.
    running: Mutex<Option<Running>>,
}

struct Running {
    runtime: tokio::runtime::Runtime,
    flusher: Option<JoinHandle<()>>,
    reaper: Option<JoinHandle<()>>,
}

impl Flow {
    /// Starts the runtime and the background work. `dirty`: what recovery found to be sent. A writer
    /// adopts packs that were stored and not recorded, and begins its epoch, before anything is put.
    pub fn start(
        options: FlowOptions,
        vault: Arc<Vault>,
        meta: Arc<Meta>,
        cache: Arc<Cache>,
        dirty: &[Ino],
    ) -> Result<Arc<Flow>, FlowError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .max_blocking_threads(BLOCKING)
            .thread_name("pail-io")
            .enable_time()
            .build()
            .map_err(FlowError::Start)?;
        let flow = Arc::new(Flow {
            namer: ChunkNamer::new(vault.chunk_id_key()),
            requests: Semaphore::new(options.connections.max(1)),
            ahead: Arc::new(Semaphore::new(AHEAD)),
            schedule: Schedule::new(options.upload_delay, options.upload_limit),
            handle: runtime.handle().clone(),
            running: Mutex::new(None),
            hurry: AtomicBool::new(false),
            pins: Pins::default(),
            under_way: UnderWay::default(),
            counters: Counters::default(),
            outage: Outage::default(),
            reaper: reap::Inbox::default(),
            options,
            vault,
            meta,
            cache,
        });
        let (mut flusher, mut reaper) = (None, None);
        if let Some((epoch, _)) = flow.options.writer {
            flow.adopt_packs()?;
            flow.meta.write(move |tx| tx.begin_epoch(epoch))?;
            dirty.iter().for_each(|ino| flow.schedule.touched(*ino));
            flusher = Some(spawn("pail-flush", &flow, flusher::run)?);
            reaper = Some(spawn("pail-reap", &flow, reap::run)?);
        }
        *flow.running.lock() = Some(Running { runtime, flusher, reaper });
        Ok(flow)
    }

    /// Whether this mount writes.
    pub(super) fn is_writer(&self) -> bool {
        self.options.writer.is_some()
    }

    pub(super) fn is_hurried(&self) -> bool {
        self.hurry.load(Ordering::Relaxed)
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.handle.spawn(task));
    }

    /// Waits for a task from a thread of our own (never from the runtime's).
    pub(super) fn wait_for<T>(&self, task: impl Future<Output = T>) -> T {
        self.handle.block_on(task)
    }

    /// Runs `work` on a thread that may block on the disk.
    pub fn background(&self, work: Box<dyn FnOnce() + Send + 'static>) {
        drop(self.handle.spawn_blocking(work));
    }

    /// An inode has new content: (re)schedules its flush by the upload delay.
    pub fn touched(&self, ino: Ino) {
        self.schedule.touched(ino);
    }

    /// Calls back when all that was dirty at the call (of one inode, or of all) is stored and committed.
    pub fn flush(self: &Arc<Self>, which: Option<Ino>, done: Done<()>) {
        if !self.is_writer() {
            return done(Ok(()));
        }
        let all = match which {
            Some(ino) => vec![ino],
            None => self.cache.dirty(),
        };
        self.schedule.wait_for(all, done);
    }

    /// Calls back when `bytes` may be written to the cache: at once when there is room, else after a
    /// flush made some; `NoRoom` after `write_timeout`.
    pub fn room(self: &Arc<Self>, bytes: u64, done: Done<()>) {
        if !self.is_writer() {
            return done(Err(FlowError::Stopped));
        }
        if self.cache.make_room(bytes) {
            return done(Ok(()));
        }
        let limit = self.options.write_timeout;
        let number = self.schedule.wait_for_room(bytes, done);
        let flow = Arc::clone(self);
        self.spawn(async move {
            tokio::time::sleep(limit).await;
            if let Some(done) = flow.schedule.give_up_room(number) {
                done(Err(FlowError::NoRoom(limit)));
            }
        });
    }

    /// The kernel knows the inode (one reference more): it is not reaped.
    pub fn pin(&self, ino: Ino) {
        self.pins.add(ino);
    }

    /// The kernel forgot `count` references (0: only look). An orphan whose last one went is reaped in the
    /// background: its extents are dropped in bounded steps, then its row, then its cache file.
    pub fn unpin(&self, ino: Ino, count: u64) {
        if self.pins.take(ino, count) && self.is_writer() {
            // From memory, for nearly every inode; a failure leaves it to the next mount.
            let nameless = self.meta.inode(ino).is_ok_and(|row| row.is_some_and(|r| r.nlink == 0));
            if nameless {
                self.reaper.send(ino);
            }
        }
    }

    /// How far write-back is.
    pub fn progress(&self) -> Progress {
        let stats = self.cache.stats();
        Progress {
            dirty_files: stats.dirty_entries,
            dirty_bytes: stats.dirty_bytes,
            uploaded_bytes: self.counters.uploaded_bytes.load(Ordering::Relaxed),
            uploaded_packs: self.counters.uploaded_packs.load(Ordering::Relaxed),
            queued_removals: self.meta.totals().map_or(0, |t| t.condemned_packs),
            damaged_chunks: self.counters.damaged_chunks.load(Ordering::Relaxed),
        }
    }

    /// Makes retries give up: a `stop` that waits for the store ends soon, leaving the rest in the cache.
    pub fn hurry(&self) {
        self.hurry.store(true, Ordering::Relaxed);
        self.schedule.wake();
    }

    /// Ends: with `drain`, what has no name is removed, all dirty data is stored and dead packs are removed
    /// first. Then no task of ours runs any more. Dirty data that could not be stored stays in the cache.
    pub fn stop(&self, drain: bool) -> Result<(), FlowError> {
        let Some(running) = self.running.lock().take() else { return Ok(()) };
        if !drain {
            self.hurry();
        } else {
            self.pins.clear();
        }
        self.reaper.stop(drain);
        join(running.reaper);
        self.schedule.stop(drain);
        join(running.flusher);
        self.hurry();
        running.runtime.shutdown_background();
        Ok(())
    }
}

/// The thread keeps the engine alive: only `stop` ends it.
fn spawn(name: &str, flow: &Arc<Flow>, run: fn(&Arc<Flow>)) -> Result<JoinHandle<()>, FlowError> {
    let flow = Arc::clone(flow);
    std::thread::Builder::new().name(name.to_owned()).spawn(move || run(&flow)).map_err(FlowError::Start)
}

fn join(thread: Option<JoinHandle<()>>) {
    let Some(thread) = thread else { return };
    if thread.join().is_err() {
        tracing::error!("a background thread panicked; what it had not finished stays for the next mount");
    }
}
