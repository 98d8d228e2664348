//! Services of a measurement: silent, over at a deadline, and with an ear for progress.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use deft_core::{Context, ErrorKind, Result, Services};

use crate::interrupt;
use crate::machine;
use crate::services::HostServices;

/// How far some work was, and when.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Mark {
    seconds: f64,
    done: u64,
}

/// The pace of some work, by what it told of its progress.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pace {
    first: Mark,
    last: Mark,
    /// How much there is to do.
    pub(super) total: u64,
}

impl Pace {
    /// Seconds for all of it. What comes before the first step counts once, where that can be told.
    pub(super) fn seconds(&self) -> Option<f64> {
        let (first, last) = (self.first, self.last);
        if last.done == 0 || self.total == 0 {
            return None;
        }
        let total = self.total as f64;
        if last.done == first.done {
            return Some(first.seconds / first.done as f64 * total);
        }
        let each = (last.seconds - first.seconds) / (last.done - first.done) as f64;
        Some(first.seconds + each * (total - first.done as f64))
    }
}

/// A measurement at work.
pub(super) struct Watch<'a> {
    host: &'a HostServices,
    began: Instant,
    limit: Duration,
    pace: Mutex<Option<Pace>>,
}

impl<'a> Watch<'a> {
    /// Begins one that may take so long; the peak of memory is its own from here.
    pub(super) fn begin(host: &'a HostServices, limit: Duration) -> Self {
        machine::forget_peak();
        Self { host, began: Instant::now(), limit, pace: Mutex::default() }
    }

    pub(super) fn context(&self, seed: u64, threads: usize) -> Context<'_> {
        Context::new(self, seed, threads)
    }

    /// Seconds since it began.
    pub(super) fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    pub(super) fn pace(&self) -> Option<Pace> {
        *self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What came of the work, with why there is nothing. A stop that the user asks for is an error.
    pub(super) fn outcome<T>(&self, done: Result<T>) -> Result<std::result::Result<T, String>> {
        match done {
            Ok(done) => Ok(Ok(done)),
            Err(error) if error.kind() != ErrorKind::Cancelled => Ok(Err(error.to_string())),
            Err(error) if interrupt::is_cancelled() => Err(error),
            Err(_) => Ok(Err(format!("it took longer than {} s", self.limit.as_secs()))),
        }
    }
}

impl Services for Watch<'_> {
    fn log(&self, _level: log::Level, target: &str, message: &str) {
        // What a component says of a sample would be taken for news of the run.
        log::debug!("{target}: {message}");
    }

    fn progress(&self, done: u64, total: u64, _unit: &str) {
        let mark = Mark { seconds: self.seconds(), done };
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        *pace = match *pace {
            // Another piece of work has begun.
            Some(pace) if pace.total == total && done >= pace.last.done => {
                let first = if pace.first.done == 0 { mark } else { pace.first };
                Some(Pace { first, last: mark, total })
            }
            _ => Some(Pace { first: mark, last: mark, total }),
        };
    }

    fn is_cancelled(&self) -> bool {
        self.host.is_cancelled() || self.began.elapsed() >= self.limit
    }

    fn resolve(&self, name: &str) -> Result<PathBuf> {
        self.host.resolve(name)
    }

    fn call(&self, name: &str, json: &str) -> Result<String> {
        self.host.call(name, json)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn pace(first: (f64, u64), last: (f64, u64), total: u64) -> Option<f64> {
        let mark = |(seconds, done)| Mark { seconds, done };
        Pace { first: mark(first), last: mark(last), total }.seconds()
    }

    #[test]
    fn the_time_for_all_is_by_the_pace_after_the_first_step() {
        assert_eq!(pace((5.0, 1), (9.0, 3), 101), Some(205.0));
        assert_eq!(pace((5.0, 1), (5.0, 1), 10), Some(50.0));
        assert_eq!(pace((5.0, 0), (5.0, 0), 10), None);
        assert_eq!(pace((5.0, 1), (9.0, 3), 0), None, "without a total");
    }

    #[test]
    fn a_measurement_ends_at_its_limit_and_says_so() {
        let host = HostServices::new(Path::new("."), "plan", 1);
        let watch = Watch::begin(&host, Duration::ZERO);
        let stopped = watch.context(0, 1).check();
        let why = watch.outcome(stopped).unwrap().unwrap_err();
        assert_eq!(why, "it took longer than 0 s");
    }

    #[test]
    fn progress_is_kept_from_its_first_step() {
        let host = HostServices::new(Path::new("."), "plan", 1);
        let watch = Watch::begin(&host, Duration::from_mins(1));
        let ctx = watch.context(0, 1);
        for done in 0..4 {
            ctx.progress(done, 10, "steps");
        }
        let pace = watch.pace().unwrap();
        assert_eq!((pace.first.done, pace.last.done, pace.total), (1, 3, 10));
    }
}
