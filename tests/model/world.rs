//! A file system that can be stopped, crashed and started again over one store and one directory.

use pail::cache::{BootId, Cache, StoredState};
use pail::flow::{Flow, FlowOptions};
use pail::fs::{Fs, FsOptions};
use pail::meta::{Identity, Meta};
use pail::seal::{Cipher, Compression};
use pail::store::Store;
use pail::store::fault::FaultStore;
use pail::store::memory::MemoryStore;
use pail::types::{ChunkSizes, Epoch, Ino, WriterId};
use pail::vault::{Parameters, Vault};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

pub const BOOT: BootId = BootId([7; 16]);
const WRITER: WriterId = WriterId(0x1234);
/// Small, so that eviction happens all the time.
const CACHE: u64 = 512 << 10;

pub struct World {
    pub store: Arc<FaultStore>,
    vault: Arc<Vault>,
    dir: tempfile::TempDir,
    epoch: u32,
    pub up: Option<Up>,
}

/// What runs between a start and a stop.
pub struct Up {
    pub fs: Arc<Fs>,
    pub flow: Arc<Flow>,
    pub cache: Arc<Cache>,
    pub meta: Arc<Meta>,
}

/// Runs an async call to its end on this thread.
fn block_on<T>(f: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("runtime").block_on(f)
}

/// Waits for an answer that comes through a callback.
pub fn answer<T: Send + 'static>(ask: impl FnOnce(Box<dyn FnOnce(T) + Send>)) -> T {
    let (tx, rx) = mpsc::channel();
    ask(Box::new(move |r| tx.send(r).expect("somebody waits")));
    rx.recv_timeout(Duration::from_secs(60)).expect("an answer within a minute")
}

impl World {
    pub fn new(seed: u64) -> World {
        let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new()), seed));
        let parameters = Parameters {
            label: "model".into(),
            cipher: Cipher::Plain,
            chunk_sizes: ChunkSizes::around(8 << 10).expect("in bounds"),
            pack_size: 64 << 10,
            compression: Compression::Zstd(1),
        };
        let shared: Arc<dyn Store> = store.clone();
        let vault = block_on(Vault::create(shared, parameters, None, false)).expect("mkfs").vault;
        let dir = tempfile::tempdir().expect("tempdir");
        let identity = Identity { fs: vault.fs_id(), writer: WRITER };
        std::fs::create_dir(dir.path().join("meta")).expect("meta dir");
        std::fs::create_dir(dir.path().join("cache")).expect("cache dir");
        Meta::create(&dir.path().join("meta"), identity, 0, 0).expect("create");
        let mut world = World { store, vault: Arc::new(vault), dir, epoch: 0, up: None };
        world.start();
        world
    }

    pub fn start(&mut self) {
        let meta =
            Arc::new(Meta::open(&self.dir.path().join("meta"), self.vault.fs_id()).expect("open meta"));
        self.epoch += 1;
        let epoch = Epoch(self.epoch);
        let stored = |ino: Ino| match meta.inode(ino).expect("inode") {
            Some(row) => StoredState::Flushed(row.flushed),
            None => StoredState::Gone,
        };
        let (cache, recovery) =
            Cache::open(&self.dir.path().join("cache"), CACHE, BOOT, &stored).expect("open cache");
        assert!(recovery.lost.is_empty(), "lost after a restart: {:?}", recovery.lost);
        let options = FlowOptions {
            compression: Compression::Zstd(1),
            connections: 4,
            upload_delay: Duration::from_millis(20),
            upload_limit: Duration::from_millis(100),
            write_timeout: Duration::from_secs(30),
            read_timeout: Duration::from_secs(30),
            writer: Some((epoch, WRITER)),
        };
        let flow = Flow::start(options, self.vault.clone(), meta.clone(), cache.clone(), &recovery.dirty)
            .expect("start flow");
        let fs_options = FsOptions { read_only: false, no_atime: false, capacity: 1 << 50 };
        let fs = Fs::new(meta.clone(), cache.clone(), flow.clone(), fs_options);
        self.up = Some(Up { fs, flow, cache, meta });
    }

    /// Stops and starts again: cleanly, or as after the daemon's death (nothing is closed).
    pub fn restart(&mut self, drain: bool, close: bool) {
        let up = self.up.take().expect("running");
        drop(up.fs);
        up.flow.stop(drain).expect("stop");
        if close {
            up.cache.close().expect("close");
            up.meta.checkpoint().expect("checkpoint");
        }
        drop((up.flow, up.cache, up.meta));
        self.start();
    }

    pub fn up(&self) -> &Up {
        self.up.as_ref().expect("running")
    }

    /// How many pack objects there are.
    pub fn packs(&self) -> usize {
        block_on(self.store.list("pack/", None, 1000)).expect("list").objects.len()
    }
}
