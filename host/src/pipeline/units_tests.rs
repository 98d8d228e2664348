use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use deft_core::{NoServices, Services};

use super::*;

/// Does units by a function of unit and attempt.
struct By<'a, F>(&'a F, &'a Mutex<BTreeMap<usize, u32>>);

impl<F: Fn(usize, u32) -> Result<Outcome> + Sync> Executor for By<'_, F> {
    fn execute(&mut self, unit: usize) -> Result<Outcome> {
        let attempt = {
            let mut attempts = self.1.lock().unwrap();
            let attempt = attempts.entry(unit).or_default();
            *attempt += 1;
            *attempt
        };
        (self.0)(unit, attempt)
    }
}

/// What ten units are done with.
struct Trial {
    executors: usize,
    retries: u32,
    delays: [Duration; 2],
}

impl Default for Trial {
    fn default() -> Self {
        Self { executors: 1, retries: 2, delays: [Duration::from_millis(1); 2] }
    }
}

impl Trial {
    /// Runs the units; gives the result, how often each was tried, and how many failures are noted.
    fn run(
        &self,
        services: &dyn Services,
        execute: impl Fn(usize, u32) -> Result<Outcome> + Sync,
    ) -> (Result<()>, BTreeMap<usize, u32>, usize) {
        let dir = tempfile::tempdir().unwrap();
        let failures = Failures::of_run(dir.path());
        let attempts = Mutex::new(BTreeMap::new());
        let ctx = Context::new(services, 0, 1);
        let (names, units) = (("encode", "t5-0"), (0..10).collect());
        let queue = Queue::new(names, units, self.retries, &failures, &|_| false, ctx);
        let queue = Queue { delays: self.delays, ..queue };
        let boxed = |_| Box::new(By(&execute, &attempts)) as Box<dyn Executor + '_>;
        let done = queue.run((0..self.executors).map(boxed).collect());
        let noted = failures.of_stage("t5-0").len();
        (done, attempts.into_inner().unwrap(), noted)
    }
}

/// Runs ten units with some executors; gives the result and how often each was tried.
fn run(
    executors: usize,
    execute: impl Fn(usize, u32) -> Result<Outcome> + Sync,
) -> (Result<()>, BTreeMap<usize, u32>, usize) {
    Trial { executors, ..Trial::default() }.run(&NoServices, execute)
}

#[test]
fn every_unit_is_done_once_by_any_number_of_executors() {
    for executors in [1, 3, 20] {
        let (done, attempts, _) = run(executors, |_, _| Ok(Outcome::Done));
        done.unwrap();
        assert_eq!(attempts, (0..10).map(|unit| (unit, 1)).collect());
    }
}

#[test]
fn a_crash_costs_one_unit_which_is_tried_again() {
    let (done, attempts, noted) = run(2, |unit, attempt| match (unit, attempt) {
        (4, 1..=2) => Err(Error::new(ErrorKind::Panicked, "crashed")),
        _ => Ok(Outcome::Done),
    });
    done.unwrap();
    assert_eq!((attempts[&4], attempts.values().sum::<u32>(), noted), (3, 12, 0));
}

#[test]
fn a_unit_that_fails_too_often_is_reported_after_all_others_are_done() {
    let (done, attempts, noted) = run(2, |unit, _| match unit {
        0 => Err(Error::new(ErrorKind::Unexpected, "crashed")),
        _ => Ok(Outcome::Done),
    });
    let error = done.unwrap_err();
    assert_eq!((error.context("phase"), error.context("unit")), (Some("encode"), Some("0")));
    assert_eq!((attempts[&0], attempts.len(), noted), (3, 10, 1));
}

#[test]
fn what_stays_wrong_is_not_tried_again_and_stops_the_phase() {
    let (done, attempts, _) = run(1, |_, _| Err(Error::new(ErrorKind::Data, "a bad row")));
    assert_eq!(done.unwrap_err().message(), "a bad row");
    assert_eq!(attempts.values().sum::<u32>(), 1);
}

#[test]
fn a_phase_whose_units_all_fail_is_given_up() {
    let (done, attempts, noted) = run(1, |_, _| Err(Error::new(ErrorKind::Io, "disk full")));
    assert_eq!(done.unwrap_err().context("failed units"), Some("0, 1, 2"));
    assert_eq!(noted, FAILED_IN_A_ROW);
    assert!(attempts.values().sum::<u32>() <= 30);
}

#[test]
fn units_that_fail_now_and_then_do_not_end_a_phase() {
    let trial = Trial { retries: 0, ..Trial::default() };
    let (done, attempts, noted) = trial.run(&NoServices, |unit, _| match unit % 2 {
        0 => Err(Error::new(ErrorKind::Unexpected, "crashed")),
        _ => Ok(Outcome::Done),
    });
    assert_eq!(done.unwrap_err().context("failed units"), Some("0, 2, 4, 6, 8"));
    assert_eq!((attempts.len(), noted), (10, 5), "all others are done");
}

#[test]
fn a_unit_is_tried_again_after_a_while_in_which_others_are_done() {
    let delays = [Duration::from_millis(200), Duration::from_millis(300)];
    let begun = Mutex::new(Vec::new());
    let trial = Trial { delays, ..Trial::default() };
    let (done, ..) = trial.run(&NoServices, |unit, attempt| {
        begun.lock().unwrap().push((unit, Instant::now()));
        match (unit, attempt) {
            (0, 1..=2) => Err(Error::new(ErrorKind::Io, "no such device")),
            _ => Ok(Outcome::Done),
        }
    });
    done.unwrap();
    let begun = begun.into_inner().unwrap();
    let times: Vec<_> = begun.iter().filter(|(unit, _)| *unit == 0).map(|(_, at)| *at).collect();
    assert!(times[1] - times[0] >= delays[0] && times[2] - times[1] >= delays[1]);
    assert_eq!((begun[0].0, begun[1].0), (0, 1), "the next unit does not wait");
    assert_eq!(begun.last().map(|(unit, _)| *unit), Some(0));
}

/// Asks for a stop after a while.
struct StopsAt(Instant);

impl Services for StopsAt {
    fn log(&self, _level: log::Level, _target: &str, _message: &str) {}

    fn progress(&self, _done: u64, _total: u64, _unit: &str) {}

    fn is_cancelled(&self) -> bool {
        Instant::now() >= self.0
    }

    fn resolve(&self, name: &str) -> Result<PathBuf> {
        Ok(PathBuf::from(name))
    }

    fn call(&self, name: &str, _json: &str) -> Result<String> {
        Err(Error::unknown_call(name))
    }
}

#[test]
fn a_stop_does_not_wait_for_the_next_try() {
    let start = Instant::now();
    let services = StopsAt(start + Duration::from_millis(50));
    let trial = Trial { delays: [Duration::from_mins(5); 2], ..Trial::default() };
    let (done, ..) = trial.run(&services, |unit, _| match unit {
        0 => Err(Error::new(ErrorKind::Io, "no such device")),
        _ => Ok(Outcome::Done),
    });
    assert_eq!(done.unwrap_err().kind(), ErrorKind::Cancelled);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn a_unit_gets_the_threads_of_its_phase_and_no_more_than_there_are() {
    let mut phase = Phase {
        name: "encode".to_owned(),
        artefact: "t5".to_owned(),
        fingerprint: String::new(),
        units: 1,
        suffix: String::new(),
        threads: 0,
        cost: 1.0,
        ..Phase::default()
    };
    for (wanted, threads) in [(0, 4), (1, 1), (3, 3), (8, 4)] {
        phase.threads = wanted;
        assert_eq!(threads_of_unit(&phase, 4), threads);
    }
}

#[test]
fn units_that_others_do_are_waited_for() {
    let polls = AtomicU32::new(0);
    let (done, attempts, _) = run(2, |unit, attempt| {
        polls.fetch_add(1, Ordering::Relaxed);
        Ok(if unit % 2 == 0 || attempt > 2 { Outcome::Done } else { Outcome::Busy(None) })
    });
    done.unwrap();
    assert!(attempts[&1] == 3 && attempts[&0] == 1);
    assert!(polls.load(Ordering::Relaxed) <= 20);
}
