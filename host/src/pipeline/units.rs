//! The units of a phase, done by executors: threads of this process, or processes of their own.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use deft_core::{Context, Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use super::failures::{Failure, Failures};
use crate::store::lock::{Holder, TRY_AGAIN, holder_name};

/// What came of trying a unit.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// It is done.
    Done,
    /// Another process is doing it.
    Busy(Option<Holder>),
}

/// Does one unit at a time.
pub(super) trait Executor: Send {
    /// Tries to do a unit.
    ///
    /// # Errors
    ///
    /// What the unit failed with.
    fn execute(&mut self, unit: usize) -> Result<Outcome>;
}

/// After so many units that failed for good, a phase is given up: more would fail likewise.
const FAILED_AT_MOST: usize = 3;

/// The units of one phase that are to be done, and what has become of them.
pub(super) struct Queue<'a> {
    phase: &'a str,
    /// Name of the stage that they belong to.
    stage: &'a str,
    /// How often a unit that failed is tried again.
    retries: u32,
    failures: &'a Failures,
    is_done: &'a (dyn Fn(usize) -> bool + Sync),
    ctx: Context<'a>,
    total: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    pending: VecDeque<usize>,
    running: usize,
    attempts: BTreeMap<usize, u32>,
    failed: BTreeMap<usize, Error>,
    /// Units found busy since one was done: once that is all of them, it is time to wait.
    busy: usize,
    told_busy: bool,
    stop: Option<Error>,
}

impl<'a> Queue<'a> {
    pub(super) fn new(
        (phase, stage): (&'a str, &'a str),
        units: Vec<usize>,
        retries: u32,
        failures: &'a Failures,
        is_done: &'a (dyn Fn(usize) -> bool + Sync),
        ctx: Context<'a>,
    ) -> Self {
        Self {
            phase,
            stage,
            retries,
            failures,
            is_done,
            ctx,
            total: units.len(),
            state: Mutex::new(State { pending: units.into(), ..State::default() }),
        }
    }

    /// Does every unit, with all executors at once.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Cancelled`]; the error of a unit that cannot be done by trying again; else,
    /// after all other units, that of the first unit that failed too often.
    pub(super) fn run(self, executors: Vec<Box<dyn Executor + '_>>) -> Result<()> {
        std::thread::scope(|scope| {
            let mut executors = executors.into_iter();
            let own = executors.next();
            for executor in executors {
                let queue = &self;
                scope.spawn(move || queue.work(executor));
            }
            if let Some(own) = own {
                self.work(own);
            }
        });
        self.finish()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, mut executor: Box<dyn Executor + '_>) {
        loop {
            if let Err(cancelled) = self.ctx.check() {
                self.state().stop.get_or_insert(cancelled);
            }
            let mut state = self.state();
            if state.stop.is_some() || (state.pending.is_empty() && state.running == 0) {
                return;
            }
            // What is running elsewhere may fail, and come back.
            let wait = state.pending.is_empty() || state.busy >= state.pending.len();
            let unit = if wait {
                state.busy = 0;
                None
            } else {
                state.pending.pop_front()
            };
            state.running += usize::from(unit.is_some());
            drop(state);
            let Some(unit) = unit else {
                std::thread::sleep(TRY_AGAIN);
                continue;
            };
            let outcome = if (self.is_done)(unit) {
                Ok(Outcome::Done)
            } else {
                // A panic here must not leave the others waiting for this unit.
                catch_unwind(AssertUnwindSafe(|| executor.execute(unit))).unwrap_or_else(|_| {
                    Err(Error::new(ErrorKind::Unexpected, "doing the unit panicked"))
                })
            };
            self.settle(unit, outcome);
        }
    }

    fn settle(&self, unit: usize, outcome: Result<Outcome>) {
        let mut state = self.state();
        state.running -= 1;
        match outcome {
            Ok(Outcome::Done) => {
                state.busy = 0;
                let left = state.pending.len() + state.running + state.failed.len();
                drop(state);
                self.failures.clear(self.stage, unit);
                self.ctx.progress(self.total - left, self.total, "units");
            }
            Ok(Outcome::Busy(holder)) => {
                state.pending.push_back(unit);
                state.busy += 1;
                if !std::mem::replace(&mut state.told_busy, true) {
                    let who = holder_name(holder.as_ref());
                    log::info!("{}: {who} does unit {unit}; sharing the work", self.phase);
                }
            }
            Err(error) if error.kind() == ErrorKind::Cancelled => {
                state.stop.get_or_insert(error);
            }
            Err(error) => self.fail(&mut state, unit, error),
        }
    }

    fn fail(&self, state: &mut State, unit: usize, error: Error) {
        let attempts = state.attempts.entry(unit).or_default();
        *attempts += 1;
        let attempts = *attempts;
        let error = error.with_context("phase", self.phase).with_context("unit", unit);
        if may_pass(&error) && attempts <= self.retries {
            log::warn!("{error}; tried again ({attempts} of {})", self.retries);
            state.pending.push_back(unit);
            return;
        }
        let failure =
            Failure { stage: self.stage.to_owned(), unit, attempts, error: error.clone() };
        if let Err(error) = self.failures.note(&failure) {
            log::warn!("{error}");
        }
        if may_pass(&error) {
            state.failed.insert(unit, error);
        } else {
            state.stop.get_or_insert(error);
        }
        if state.failed.len() >= FAILED_AT_MOST {
            state.stop = state.failed.first_key_value().map(|(_, error)| error.clone());
        }
    }

    fn finish(self) -> Result<()> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let failed: Vec<String> = state.failed.keys().map(ToString::to_string).collect();
        let first = state.failed.into_values().next();
        match state.stop.or(first) {
            Some(error) if failed.len() > 1 => {
                Err(error.with_context("failed units", failed.join(", ")))
            }
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// Whether what failed may succeed when it is tried again: a crash, a full disk, a lost mount. What
/// is wrong with options, data or a model stays wrong.
fn may_pass(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Io | ErrorKind::Panicked | ErrorKind::Unexpected)
}

#[cfg(test)]
#[path = "units_tests.rs"]
mod tests;
