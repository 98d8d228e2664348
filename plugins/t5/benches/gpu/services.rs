//! A host that takes the time.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use deft_core::{NoServices, Result, Services};
use log::Level;

/// Notes when steps were done, and asks to stop after the last that is wanted.
#[derive(Debug)]
pub(crate) struct Clock {
    last: usize,
    steps: Mutex<Vec<Instant>>,
}

impl Clock {
    /// One that stops what it is lent to after so many steps.
    pub(crate) fn stopping_after(last: usize) -> Self {
        Self { last, steps: Mutex::new(Vec::new()) }
    }

    /// One that lets everything come to its end.
    pub(crate) fn endless() -> Self {
        Self::stopping_after(usize::MAX)
    }

    /// Seconds from each step's end to that of the next.
    pub(crate) fn seconds(&self) -> Vec<f64> {
        let steps = self.steps();
        steps.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect()
    }

    /// When a step was done, counted from 1.
    pub(crate) fn end_of(&self, step: usize) -> Option<Instant> {
        self.steps().get(step.checked_sub(1)?).copied()
    }

    fn steps(&self) -> MutexGuard<'_, Vec<Instant>> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Services for Clock {
    fn log(&self, level: Level, _target: &str, message: &str) {
        if level <= Level::Info {
            eprintln!("{message}");
        }
    }

    fn progress(&self, _done: u64, _total: u64, unit: &str) {
        if unit == "steps" {
            self.steps().push(Instant::now());
        }
    }

    fn is_cancelled(&self) -> bool {
        self.steps().len() >= self.last
    }

    fn resolve(&self, name: &str) -> Result<PathBuf> {
        NoServices.resolve(name)
    }

    fn call(&self, name: &str, json: &str) -> Result<String> {
        NoServices.call(name, json)
    }
}
