//! One caller's share of a group commit: its closure, its outcome, and where it waits.
//!
//! What holds: each job is answered exactly once (a job that is dropped unanswered answers with an
//! error), on its own caller's thread; a closure's panic goes on there and nowhere else.

use super::error::MetaError;
use super::view::Tx;
use parking_lot::{Condvar, Mutex};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

/// A job as its group's leader sees it.
pub(super) trait Job: Send {
    /// Runs the closure; whether its changes are to stay.
    fn run(&mut self, tx: &mut Tx<'_>) -> bool;
    /// The group has ended: committed, or `lost` for this reason. Wakes the caller.
    fn settle(self: Box<Self>, lost: Option<MetaError>);
    /// Tells the waiting caller to lead the next group.
    fn promote(&self);
}

/// Where a caller waits.
pub(super) struct Slot<T, E> {
    turn: Mutex<Turn<T, E>>,
    woken: Condvar,
}

enum Turn<T, E> {
    Waiting,
    Lead,
    Done(Outcome<T, E>),
}

enum Outcome<T, E> {
    Answer(Result<T, E>),
    Panic(Box<dyn Any + Send>),
}

impl<T, E> Slot<T, E> {
    pub fn new() -> Arc<Slot<T, E>> {
        Arc::new(Slot { turn: Mutex::new(Turn::Waiting), woken: Condvar::new() })
    }

    /// Waits until the job is answered (`Some`) or its caller is to lead (`None`).
    pub fn wait(&self) -> Option<Result<T, E>> {
        let mut turn = self.turn.lock();
        loop {
            match std::mem::replace(&mut *turn, Turn::Waiting) {
                Turn::Waiting => self.woken.wait(&mut turn),
                Turn::Lead => return None,
                Turn::Done(Outcome::Answer(answer)) => return Some(answer),
                Turn::Done(Outcome::Panic(panic)) => {
                    drop(turn);
                    resume_unwind(panic)
                }
            }
        }
    }

    fn set(&self, turn: Turn<T, E>) {
        *self.turn.lock() = turn;
        self.woken.notify_one();
    }
}

/// A job of known types.
pub(super) struct JobOf<T, E: From<MetaError>, F> {
    closure: Option<F>,
    outcome: Option<Outcome<T, E>>,
    slot: Arc<Slot<T, E>>,
    answered: bool,
}

impl<T, E: From<MetaError>, F> JobOf<T, E, F> {
    pub fn new(closure: F, slot: Arc<Slot<T, E>>) -> JobOf<T, E, F> {
        JobOf { closure: Some(closure), outcome: None, slot, answered: false }
    }

    fn answer(&mut self, lost: Option<MetaError>) {
        let outcome = match (self.outcome.take(), lost) {
            // The closure's own error says more than that the group failed.
            (Some(Outcome::Answer(Ok(_))) | None, Some(lost)) => Outcome::Answer(Err(lost.into())),
            (Some(outcome), _) => outcome,
            (None, None) => Outcome::Answer(Err(MetaError::invalid("the transaction was not run").into())),
        };
        self.answered = true;
        self.slot.set(Turn::Done(outcome));
    }
}

impl<T, E, F> Job for JobOf<T, E, F>
where
    T: Send,
    E: From<MetaError> + Send,
    F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        let Some(closure) = self.closure.take() else { return false };
        // The savepoint is rolled back after a panic, so no broken state is seen by the next job.
        let outcome = match catch_unwind(AssertUnwindSafe(|| closure(tx))) {
            Ok(answer) => Outcome::Answer(answer),
            Err(panic) => Outcome::Panic(panic),
        };
        let keep = matches!(outcome, Outcome::Answer(Ok(_)));
        self.outcome = Some(outcome);
        keep
    }

    fn settle(mut self: Box<Self>, lost: Option<MetaError>) {
        self.answer(lost);
    }

    fn promote(&self) {
        self.slot.set(Turn::Lead);
    }
}

impl<T, E: From<MetaError>, F> Drop for JobOf<T, E, F> {
    fn drop(&mut self) {
        if !self.answered {
            self.outcome = None;
            self.answer(Some(MetaError::invalid("the leader of the transaction's group died")));
        }
    }
}
