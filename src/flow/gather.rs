//! Bringing chunks from the store, each only once however many wait for it.
//!
//! Who finds a chunk not under way claims it; claimed neighbours of a pack share a request; everybody else
//! waits for the claim. A store that fails for now is asked again until the reader gives up.

use super::engine::Flow;
use crate::meta::{ChunkNo, ChunkRow};
use crate::pack::{self, Fetch, FrameAt, PackEntry, PackError};
use crate::store::{StoreError, retry};
use crate::vault::VaultError;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::watch;

/// Neighbouring frames with a gap up to this share a request.
const MAX_GAP: u64 = 128 << 10;
/// No request brings more.
const MAX_REQUEST: u64 = 8 << 20;

/// Why a chunk did not come, for everybody who waited.
#[derive(Clone, Debug)]
pub(super) struct Missing {
    /// The object is not there: metadata may have moved on since it was read.
    pub gone: bool,
    pub reason: String,
}

type Outcome = Option<Result<Bytes, Missing>>;

/// Chunks that are under way.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    chunks: Mutex<HashMap<ChunkNo, watch::Receiver<Outcome>>>,
}

fn frame(row: &ChunkRow) -> FrameAt {
    let entry = PackEntry { id: row.id, offset: row.offset, frame_len: row.frame_len, size: row.size };
    FrameAt { pack: row.pack_name, entry }
}

fn is_temporary(error: &PackError) -> bool {
    matches!(error, PackError::Vault(VaultError::Store(e)) if !matches!(e, StoreError::NotFound { .. }))
}

impl Flow {
    /// Brings chunks; each answer stands for itself.
    pub(super) async fn gather(
        self: &Arc<Self>,
        rows: &[ChunkRow],
    ) -> HashMap<ChunkNo, Result<Bytes, Missing>> {
        let mut waits = HashMap::new();
        let mut claims: HashMap<(crate::types::PackName, u32), (ChunkNo, watch::Sender<Outcome>)> =
            HashMap::new();
        let mut frames = Vec::new();
        {
            let mut under_way = self.under_way.chunks.lock();
            for row in rows {
                let receiver = under_way.entry(row.no).or_insert_with(|| {
                    let (sender, receiver) = watch::channel(None);
                    claims.insert((row.pack_name, row.offset), (row.no, sender));
                    frames.push(frame(row));
                    receiver
                });
                waits.insert(row.no, receiver.clone());
            }
        }
        for request in pack::coalesce(frames, MAX_GAP, MAX_REQUEST) {
            let senders: Vec<_> =
                request.frames.iter().filter_map(|f| claims.remove(&(request.pack, f.offset))).collect();
            let flow = Arc::clone(self);
            self.spawn(async move { flow.fetch_claimed(request, senders).await });
        }
        let mut answers = HashMap::with_capacity(waits.len());
        for (no, mut receiver) in waits {
            let came = receiver.wait_for(Option::is_some).await;
            let outcome = came.ok().and_then(|o| o.clone());
            let stopped = || Err(Missing { gone: false, reason: "the file system is stopping".to_owned() });
            answers.insert(no, outcome.unwrap_or_else(stopped));
        }
        answers
    }

    /// Fetches what was claimed, tells everybody, and takes the claims back.
    async fn fetch_claimed(&self, request: Fetch, senders: Vec<(ChunkNo, watch::Sender<Outcome>)>) {
        let fetched = self.fetch_patiently(&request).await;
        let mut answers: HashMap<_, Result<Bytes, Missing>> = match fetched {
            Ok(frames) => frames.into_iter().map(|(id, r)| (id, r.map_err(|e| self.damaged(&e)))).collect(),
            Err(e) => {
                let gone = matches!(&e, PackError::Vault(VaultError::Store(StoreError::NotFound { .. })));
                let missing = Missing { gone, reason: e.to_string() };
                request.frames.iter().map(|f| (f.id, Err(missing.clone()))).collect()
            }
        };
        let mut under_way = self.under_way.chunks.lock();
        for ((no, sender), frame) in senders.into_iter().zip(&request.frames) {
            under_way.remove(&no);
            sender.send_replace(answers.remove(&frame.id));
        }
    }

    fn damaged(&self, error: &PackError) -> Missing {
        self.counters.damaged_chunks.fetch_add(1, Ordering::Relaxed);
        Missing { gone: false, reason: error.to_string() }
    }

    /// Until it comes, is refused for good, or all who wait have given up (the read's time-out is theirs).
    async fn fetch_patiently(&self, request: &Fetch) -> Result<pack::Fetched, PackError> {
        let _permit = self.requests.acquire().await;
        let began = tokio::time::Instant::now();
        let mut attempt = 0;
        loop {
            match pack::fetch(&self.vault, request).await {
                Err(e)
                    if is_temporary(&e)
                        && began.elapsed() < self.options.read_timeout
                        && !self.is_hurried() =>
                {
                    self.outage.failed(&e);
                    tokio::time::sleep(retry::pause(attempt)).await;
                    attempt += 1;
                }
                done => {
                    if done.is_ok() {
                        self.outage.worked();
                    }
                    return done;
                }
            }
        }
    }
}
