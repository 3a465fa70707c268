//! Group commit: whoever finds the writer free leads, runs everything that waits in one transaction,
//! commits, and hands each caller its answer.
//!
//! What holds:
//! - A job is answered after the COMMIT that made its changes, and after the caches know them.
//! - A job that fails or panics is rolled back alone (its savepoint). A COMMIT that fails, or a
//!   statement on which SQLite gives up the whole transaction (disk full), fails every job whose
//!   changes it took along; those that had not run yet run in a transaction of their own.
//! - What is in memory (counters, caches) is that of the last commit, plus what the running
//!   transaction did; a rollback restores it. Only the next inode number never goes back.
//! - Leadership is handed to the first waiting caller after each group, so none leads for ever.
//!
//! Lock order: queue (never held while anything is called), writer, cache shards, totals.

use super::counters::Counters;
use super::database::Meta;
use super::error::MetaError;
use super::inodes::reservation;
use super::job::Job;
use super::view::{Tx, View, Work};
use parking_lot::Mutex;
use rusqlite::Connection;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;

/// Jobs of one transaction at most: bounds what a failed COMMIT takes along and how long the first
/// waits for the last.
const MAX_GROUP: usize = 256;

/// Callers that wait. Bounded by the callers themselves: each waits for its answer.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<QueueState>,
}

#[derive(Default)]
struct QueueState {
    jobs: VecDeque<Box<dyn Job>>,
    /// Somebody leads, or has been told to.
    led: bool,
}

impl Queue {
    /// Adds a job; whether its caller is to lead.
    pub fn push(&self, job: Box<dyn Job>) -> bool {
        let mut state = self.state.lock();
        state.jobs.push_back(job);
        !std::mem::replace(&mut state.led, true)
    }

    /// How many wait.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        self.state.lock().jobs.len()
    }

    fn take_group(&self) -> VecDeque<Box<dyn Job>> {
        let mut state = self.state.lock();
        let count = state.jobs.len().min(MAX_GROUP);
        state.jobs.drain(..count).collect()
    }
}

/// Hands the lead on when it goes, also by a panic.
struct Lead<'a>(&'a Queue);

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        match state.jobs.front() {
            Some(next) => next.promote(),
            None => state.led = false,
        }
    }
}

/// The one connection that writes.
pub(super) struct Writer {
    pub conn: Connection,
    pub work: Work,
    /// The `state` row as it is committed.
    pub stored: Counters,
    /// Numbers below this are reserved and synced.
    pub durable_ino: u64,
    /// The next number when that was done.
    pub reserved_from: u64,
}

impl Meta {
    /// Runs one group. The caller's own job is in it: it was first in the queue, or the queue was empty.
    pub(super) fn lead(&self) {
        let lead = Lead(&self.queue);
        {
            let mut writer = self.writer.lock();
            let mut jobs = self.queue.take_group();
            while !jobs.is_empty() {
                self.run_transaction(&mut writer, &mut jobs);
            }
            self.reserve_ahead(&mut writer);
        }
        drop(lead);
        self.bound_wal();
    }

    /// Runs jobs off the front until all have run or SQLite gave up the transaction.
    fn run_transaction(&self, writer: &mut Writer, jobs: &mut VecDeque<Box<dyn Job>>) {
        if let Err(error) = writer.execute("BEGIN IMMEDIATE") {
            jobs.drain(..).for_each(|job| job.settle(Some(error.again())));
            return;
        }
        writer.work.failure = None;
        let changed = writer.conn.total_changes();
        let alone = jobs.len() == 1;
        let mut ran = Vec::with_capacity(jobs.len());
        let mut kept = 0;
        let mut end = Ok(());
        while let Some(mut job) = jobs.pop_front() {
            let result = writer.run_job(job.as_mut(), alone);
            ran.push(job);
            match result {
                Ok(keep) => kept += usize::from(keep),
                Err(error) => {
                    end = Err(error);
                    break;
                }
            }
        }
        let end = match end {
            Ok(()) if kept == 0 => {
                writer.roll_back();
                Ok(())
            }
            Ok(()) => self.commit(writer, changed),
            Err(error) => {
                writer.roll_back();
                Err(error)
            }
        };
        let lost = end.err();
        ran.into_iter().for_each(|job| job.settle(lost.as_ref().map(MetaError::again)));
    }

    /// Commits what the group's jobs did, and tells the caches and the totals.
    fn commit(&self, writer: &mut Writer, changed: u64) -> Result<(), MetaError> {
        if writer.work.counters != writer.stored {
            let counters = writer.work.counters;
            if let Err(error) = counters.store(&writer.conn) {
                writer.roll_back();
                return Err(error);
            }
        }
        let wrote = writer.conn.total_changes() != changed;
        let changes = std::mem::take(&mut writer.work.changes);
        self.caches.block(&changes);
        let done = writer.execute("COMMIT");
        if done.is_err() {
            writer.roll_back();
        } else {
            writer.stored = writer.work.counters;
            *self.totals.lock() = writer.stored.totals;
            if wrote {
                self.committed.fetch_add(1, Ordering::Release);
            }
        }
        self.caches.release(changes, done.is_ok());
        done
    }

    /// Reserves the next inode numbers and syncs, before any of them is given out.
    fn reserve_ahead(&self, writer: &mut Writer) {
        // Nothing was given out since the last time (or since the open): nothing is to be written.
        if writer.work.next_ino == writer.reserved_from {
            return;
        }
        let Some(reserved) = reservation(writer.work.next_ino, writer.durable_ino) else { return };
        let counters = Counters { ino_reserved: reserved, ..writer.stored };
        let done = counters.store(&writer.conn).and_then(|()| {
            writer.stored = counters;
            writer.work.counters = counters;
            self.committed.fetch_add(1, Ordering::Release);
            self.wal.sync_file()
        });
        match done {
            Ok(()) => {
                writer.durable_ino = reserved;
                writer.reserved_from = writer.work.next_ino;
            }
            // Numbers then come from blocks reserved in the transactions that use them.
            Err(error) => tracing::warn!(%error, "inode numbers could not be reserved ahead"),
        }
    }
}

impl Writer {
    pub fn execute(&self, sql: &str) -> Result<(), MetaError> {
        self.conn.prepare_cached(sql)?.execute([])?;
        Ok(())
    }

    /// Runs one job; whether its changes stay. An error: SQLite has given up the transaction.
    fn run_job(&mut self, job: &mut dyn Job, alone: bool) -> Result<bool, MetaError> {
        if !alone {
            self.execute("SAVEPOINT job")?;
        }
        let counters = self.work.counters;
        let changes = self.work.changes.len();
        let keep = job.run(&mut Tx { view: View { conn: &self.conn }, work: &mut self.work });
        if self.conn.is_autocommit() {
            return Err(self.work.failure.take().unwrap_or(MetaError::Full));
        }
        if keep {
            if !alone {
                self.execute("RELEASE job")?;
            }
            return Ok(true);
        }
        self.work.counters = counters;
        self.work.changes.truncate(changes);
        // A job that is alone has the whole transaction rolled back by the caller.
        if !alone {
            self.execute("ROLLBACK TO job")?;
            self.execute("RELEASE job")?;
        }
        Ok(false)
    }

    /// Back to the last commit, whatever SQLite did already.
    fn roll_back(&mut self) {
        self.work.counters = self.stored;
        self.work.changes.clear();
        if !self.conn.is_autocommit()
            && let Err(error) = self.execute("ROLLBACK")
        {
            tracing::error!(%error, "a metadata transaction could not be rolled back");
        }
    }
}
