//! A store that fails on purpose, by script or by seed: for tests of every room above.

use super::{ListPage, ObjectInfo, PutOutcome, Store, StoreError};
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Kinds of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// put and put_if_absent.
    Put,
    /// get.
    Get,
    /// head.
    Head,
    /// list.
    List,
    /// delete.
    Delete,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A temporary error; nothing happened.
    BeforeApply,
    /// It happened, but the answer is a temporary error.
    AfterApply,
    /// A get's body loses its last byte.
    Truncate,
    /// One bit of a get's body is turned.
    FlipBit,
}

#[derive(Debug, Default)]
struct Script {
    /// Operations to let pass first, then how many fail, and how.
    next: HashMap<Op, (usize, usize, Fault)>,
    rates: HashMap<Op, (f64, Fault)>,
    outage: bool,
    dice: u64,
}

impl Script {
    fn roll(&mut self) -> u64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.dice;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z ^ (z >> 27)
    }

    fn fault(&mut self, op: Op) -> Option<Fault> {
        if self.outage {
            return Some(Fault::BeforeApply);
        }
        match self.next.get_mut(&op) {
            Some((pass, ..)) if *pass > 0 => {
                *pass -= 1;
                return None;
            }
            Some((_, left, fault)) if *left > 0 => {
                *left -= 1;
                return Some(*fault);
            }
            _ => {}
        }
        let chance = (self.roll() >> 11) as f64 / (1u64 << 53) as f64;
        self.rates.get(&op).filter(|(rate, _)| chance < *rate).map(|(_, fault)| *fault)
    }
}

/// Passes everything on to another store, except what the script says.
#[derive(Debug)]
pub struct FaultStore {
    inner: Arc<dyn Store>,
    script: Mutex<Script>,
}

impl FaultStore {
    /// Faultless until told otherwise.
    pub fn new(inner: Arc<dyn Store>, seed: u64) -> FaultStore {
        FaultStore { inner, script: Mutex::new(Script { dice: seed, ..Script::default() }) }
    }

    /// The next `times` operations of this kind fail.
    pub fn fail_next(&self, op: Op, times: usize, fault: Fault) {
        self.script.lock().next.insert(op, (0, times, fault));
    }

    /// All operations of this kind fail once `pass` of them have been let through.
    pub fn fail_after(&self, op: Op, pass: usize, fault: Fault) {
        self.script.lock().next.insert(op, (pass, usize::MAX, fault));
    }

    /// A fraction of the operations of this kind fails.
    pub fn set_rate(&self, op: Op, rate: f64, fault: Fault) {
        self.script.lock().rates.insert(op, (rate, fault));
    }

    /// Everything fails, until told otherwise.
    pub fn outage(&self, on: bool) {
        self.script.lock().outage = on;
    }

    /// Faultless again.
    pub fn clear(&self) {
        let mut script = self.script.lock();
        *script = Script { dice: script.dice, ..Script::default() };
    }

    async fn around<T>(
        &self,
        op: Op,
        key: &str,
        apply: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<(T, Option<Fault>), StoreError> {
        let fault = self.script.lock().fault(op);
        let failed = || StoreError::Temporary {
            operation: "an operation",
            key: key.to_owned(),
            reason: "made to fail by the test".to_owned(),
        };
        match fault {
            Some(Fault::BeforeApply) => Err(failed()),
            Some(Fault::AfterApply) => apply.await.and_then(|_| Err(failed())),
            other => Ok((apply.await?, other)),
        }
    }
}

fn spoil(body: Bytes, fault: Option<Fault>) -> Bytes {
    match fault {
        Some(Fault::Truncate) => body.slice(..body.len().saturating_sub(1)),
        Some(Fault::FlipBit) if !body.is_empty() => {
            let mut bytes = body.to_vec();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1; // proof: not empty, and half of a length is below it
            bytes.into()
        }
        _ => body,
    }
}

#[async_trait]
impl Store for FaultStore {
    async fn put(&self, key: &str, body: Bytes) -> Result<(), StoreError> {
        self.around(Op::Put, key, self.inner.put(key, body)).await.map(|(r, _)| r)
    }

    async fn put_if_absent(&self, key: &str, body: Bytes) -> Result<PutOutcome, StoreError> {
        self.around(Op::Put, key, self.inner.put_if_absent(key, body)).await.map(|(r, _)| r)
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Bytes, StoreError> {
        let (body, fault) = self.around(Op::Get, key, self.inner.get(key, range)).await?;
        Ok(spoil(body, fault))
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>, StoreError> {
        self.around(Op::Head, key, self.inner.head(key)).await.map(|(r, _)| r)
    }

    async fn list(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        limit: usize,
    ) -> Result<ListPage, StoreError> {
        self.around(Op::List, prefix, self.inner.list(prefix, start_after, limit)).await.map(|(r, _)| r)
    }

    async fn delete(&self, keys: &[String]) -> Result<(), StoreError> {
        let first = keys.first().cloned().unwrap_or_default();
        self.around(Op::Delete, &first, self.inner.delete(keys)).await.map(|(r, _)| r)
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}
