use std::sync::atomic::{AtomicU32, Ordering};

use deft_core::NoServices;

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

/// Runs ten units with some executors; gives the result and how often each was tried.
fn run(
    executors: usize,
    execute: impl Fn(usize, u32) -> Result<Outcome> + Sync,
) -> (Result<()>, BTreeMap<usize, u32>, usize) {
    let dir = tempfile::tempdir().unwrap();
    let failures = Failures::of_run(dir.path());
    let attempts = Mutex::new(BTreeMap::new());
    let ctx = Context::new(&NoServices, 0, 1);
    let queue = Queue::new(("encode", "t5-0"), (0..10).collect(), 2, &failures, &|_| false, ctx);
    let boxed = |_| Box::new(By(&execute, &attempts)) as Box<dyn Executor + '_>;
    let done = queue.run((0..executors).map(boxed).collect());
    let noted = failures.of_stage("t5-0").len();
    (done, attempts.into_inner().unwrap(), noted)
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
    assert_eq!(noted, FAILED_AT_MOST);
    assert!(attempts.values().sum::<u32>() <= 30);
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
