//! The units of a phase, done by executors: threads of this process, or processes of their own.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use deft_core::{Context, Error, ErrorKind, Phase, Result};
use serde::{Deserialize, Serialize};

use super::failures::{Failure, Failures};
use crate::console::human_time;
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

/// After so many units in a row that failed for good, a phase is given up: more would fail likewise.
const FAILED_IN_A_ROW: usize = 3;

/// Before a unit that failed is tried again, the first time and every other: a disk or a mount needs
/// a while to come back.
const DELAYS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];

/// For tests of the whole program alone: milliseconds in place of [`DELAYS`].
const TEST_DELAY: &str = "DEFT_TEST_RETRY_DELAY_MS";

fn delays() -> [Duration; 2] {
    let test = std::env::var(TEST_DELAY).ok().and_then(|text| text.parse().ok());
    test.map_or(DELAYS, |milliseconds| [Duration::from_millis(milliseconds); 2])
}

/// Threads for one unit of a phase, of those that a process has.
pub(super) fn threads_of_unit(phase: &Phase, threads: usize) -> usize {
    if phase.threads == 0 { threads } else { phase.threads.min(threads) }
}

/// The units of one phase that are to be done, and what has become of them.
pub(super) struct Queue<'a> {
    phase: &'a str,
    /// Name of the stage that they belong to.
    stage: &'a str,
    /// How often a unit that failed is tried again.
    retries: u32,
    delays: [Duration; 2],
    failures: &'a Failures,
    is_done: &'a (dyn Fn(usize) -> bool + Sync),
    ctx: Context<'a>,
    total: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    pending: VecDeque<usize>,
    /// Units that failed, and from when on they are tried again.
    later: Vec<(Instant, usize)>,
    running: usize,
    attempts: BTreeMap<usize, u32>,
    failed: BTreeMap<usize, Error>,
    /// Units that failed for good since one was done.
    in_a_row: usize,
    /// Units found busy since one was done: once that is all of them, it is time to wait.
    busy: usize,
    told_busy: bool,
    stop: Option<Error>,
}

/// What an executor does next.
enum Next {
    Unit(usize),
    Wait(Duration),
    End,
}

impl State {
    /// A unit whose time has come comes first: when all fail, that is soon known.
    fn next(&mut self) -> Next {
        let is_over = self.pending.is_empty() && self.later.is_empty() && self.running == 0;
        if self.stop.is_some() || is_over {
            return Next::End;
        }
        let now = Instant::now();
        let due = self.later.iter().position(|(from, _)| *from <= now);
        // What is running elsewhere may fail, and come back.
        let all_busy = self.busy >= self.pending.len();
        let unit = match due {
            Some(place) => Some(self.later.remove(place).1),
            None if all_busy => None,
            None => self.pending.pop_front(),
        };
        if let Some(unit) = unit {
            self.running += 1;
            return Next::Unit(unit);
        }
        self.busy = 0;
        let soonest = self.later.iter().map(|(from, _)| from.duration_since(now)).min();
        Next::Wait(soonest.map_or(TRY_AGAIN, |wait| wait.min(TRY_AGAIN)))
    }

    /// Units that are not done.
    fn left(&self) -> usize {
        self.pending.len() + self.later.len() + self.running + self.failed.len()
    }
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
            delays: delays(),
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
    /// [`ErrorKind::Cancelled`]; the error of a unit that cannot be done by trying again; else that
    /// of the first unit that failed too often, after all others or after several such in a row.
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
        self.failures.tidy();
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
            let next = self.state().next();
            match next {
                Next::End => return,
                Next::Wait(time) => std::thread::sleep(time),
                Next::Unit(unit) => {
                    let outcome = self.attempt(unit, &mut *executor);
                    self.settle(unit, outcome);
                }
            }
        }
    }

    fn attempt(&self, unit: usize, executor: &mut dyn Executor) -> Result<Outcome> {
        if (self.is_done)(unit) {
            return Ok(Outcome::Done);
        }
        // A panic here must not leave the others waiting for this unit.
        catch_unwind(AssertUnwindSafe(|| executor.execute(unit)))
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::Unexpected, "doing the unit panicked")))
    }

    fn settle(&self, unit: usize, outcome: Result<Outcome>) {
        let mut state = self.state();
        state.running -= 1;
        match outcome {
            Ok(Outcome::Done) => {
                state.busy = 0;
                state.in_a_row = 0;
                let left = state.left();
                drop(state);
                self.failures.clear(self.stage, unit);
                self.ctx.progress(self.total - left, self.total, "units");
            }
            Ok(Outcome::Busy(holder)) => {
                state.pending.push_back(unit);
                state.busy += 1;
                if !std::mem::replace(&mut state.told_busy, true) {
                    let who = holder_name(holder.as_ref());
                    let so = if self.total > 1 { "sharing the work" } else { "waiting for it" };
                    log::info!("{}: {who} does unit {unit}; {so}", self.phase);
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
            let delay = self.delays[usize::from(attempts > 1)];
            let (soon, retries) = (human_time(delay.as_secs_f64()), self.retries);
            log::warn!("{error}; tried again in {soon} ({attempts} of {retries})");
            state.later.push((Instant::now() + delay, unit));
            return;
        }
        let failure =
            Failure { stage: self.stage.to_owned(), unit, attempts, error: error.clone() };
        if let Err(error) = self.failures.note(&failure) {
            log::warn!("{error}");
        }
        if may_pass(&error) {
            state.failed.insert(unit, error);
            state.in_a_row += 1;
        } else {
            state.stop.get_or_insert(error);
        }
        if state.in_a_row >= FAILED_IN_A_ROW
            && let Some(first) = state.failed.values().next().cloned()
        {
            state.stop.get_or_insert(first);
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
