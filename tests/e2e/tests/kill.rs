//! Killed anywhere and started again equals never killed.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use deft_e2e::{Flaky, Output, Project, RETRIEVER_DENSE, TRAINER, assert_same_results, wait_until};

/// A stage, and how its beginning shows on disk.
type Moment = (&'static str, fn(&Project) -> bool);

/// Whether a stage has begun to leave something: more than the card that it begins with.
fn has_files(project: &Project, stage: &str) -> bool {
    let files = project.stages(stage).first().and_then(|dir| std::fs::read_dir(dir).ok());
    let is_card = |name: std::ffi::OsString| name.to_string_lossy().ends_with("card.json");
    files.is_some_and(|mut files| files.any(|file| !is_card(file.unwrap().file_name())))
}

fn has_temporary(dir: &Path) -> bool {
    let is_temporary = |name: std::ffi::OsString| name.to_string_lossy().starts_with(".tmp-");
    std::fs::read_dir(dir)
        .is_ok_and(|mut files| files.any(|file| is_temporary(file.unwrap().file_name())))
}

const MOMENTS: [Moment; 6] = [
    ("reading the pool", |project| has_files(project, "pool-")),
    ("encoding", |project| has_files(project, "t5-")),
    ("indexing", |project| has_files(project, "exact-")),
    ("searching", |project| project.path("runs/small/tasks/mood/retrieved").is_dir()),
    ("training", |project| has_temporary(&project.path("runs/small/tasks/mood/random/seed-1"))),
    ("evaluating", |project| project.path("runs/small/tasks/mood/random/seed-1/model").is_dir()),
];

/// Starts a run, kills it with SIGKILL once `begun`, and tells whether it was still running.
fn kill_when(project: &Project, begun: fn(&Project) -> bool) -> bool {
    let mut child = project.deft("run").spawn();
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if begun(project) {
            child.kill().unwrap();
            child.wait().unwrap();
            return true;
        }
        assert!(Instant::now() < deadline, "the stage never began");
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn project() -> Project {
    let project = Project::with_pool(2000);
    project.manifest(&[RETRIEVER_DENSE, TRAINER]);
    project
}

#[test]
fn a_run_killed_in_every_stage_and_continued_ends_like_one_never_killed() {
    let undisturbed = project();
    undisturbed.deft("run").succeed();
    let expected = undisturbed.results();

    let killed = project();
    for (stage, begun) in MOMENTS {
        assert!(kill_when(&killed, begun), "the run ended before it was killed while {stage}");
    }
    killed.deft("run").succeed();
    assert_same_results(&killed.results(), &expected, "after kills");
}

#[test]
fn runs_killed_at_random_moments_end_like_runs_never_killed_and_leave_no_process() {
    let kills = deft_e2e::kill_runs(7, 12, |_| {}).unwrap();
    println!("{kills}");
    assert!(kills.total() >= 12);
}

#[test]
fn ctrl_c_stops_at_a_safe_point_with_exit_code_130_and_the_run_goes_on_later() {
    let project = project();
    let mut child = project.deft("run").spawn();
    while !has_files(&project, "t5-") {
        assert!(child.try_wait().unwrap().is_none(), "the run ended before Ctrl-C");
        std::thread::sleep(Duration::from_micros(200));
    }
    send("-INT", child.id());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    project.deft("run").succeed();
    assert!(project.results().keys().all(|name| !name.contains(".tmp-")));
}

fn send(signal: &str, pid: u32) {
    let sent = Command::new("kill").args([signal, &pid.to_string()]).status();
    assert!(sent.unwrap().success());
}

/// What a run in this folder left, and the store.
fn left_by(project: &Project, run: &str) -> BTreeMap<String, Vec<u8>> {
    let mut results = project.stable_results();
    results.retain(|name, _| name.starts_with(&format!("{run}/")) || name.starts_with(".store/"));
    results
}

/// Starts a run in `runs/one` and stops it at a moment, then a second one in `folder`. Once that says
/// that it waits for the first or shares its work, the first is killed, and the second must end like
/// a run that is alone.
fn the_second_of_two_survives(
    project: impl Fn() -> Flaky,
    folder: &str,
    moment: impl Fn(&Flaky) -> bool,
    says: &str,
) {
    let undisturbed = project();
    let run_in = |project: &Flaky, folder: &str| {
        project.call("run").arg("--run").arg(project.path("runs").join(folder))
    };
    run_in(&undisturbed, folder).succeed();

    let project = project();
    let mut first = run_in(&project, "one").spawn();
    wait_until("the first run is there", || moment(&project));
    send("-STOP", first.id());
    let mut second = run_in(&project, folder).spawn_with_stderr();
    let mut stderr = BufReader::new(second.stderr.take().unwrap());
    let mut text = String::new();
    let wanted = format!("process {} on ", first.id());
    let is_said = |text: &str| text.lines().any(|it| it.contains(&wanted) && it.contains(says));
    while !is_said(&text) {
        assert!(stderr.read_line(&mut text).unwrap() > 0, "it does not say «{says}»:\n{text}");
    }
    first.kill().unwrap();
    first.wait().unwrap();
    std::io::Read::read_to_string(&mut stderr, &mut text).unwrap();
    let output: Output = second.wait_with_output().unwrap().into();
    assert_eq!(output.code, 0, "{text}");
    let (found, expected) = (left_by(&project, folder), left_by(&undisturbed, folder));
    assert_same_results(&found, &expected, "after a kill");
}

fn slow() -> Flaky {
    Flaky::new("slow_ms: 200")
}

#[test]
fn a_run_that_shares_units_with_one_that_is_killed_ends_as_if_alone() {
    let begun = |project: &Flaky| !project.begun().is_empty();
    the_second_of_two_survives(slow, "two", begun, "; sharing the work");
}

#[test]
fn a_run_that_waits_for_the_pool_of_one_that_is_killed_ends_as_if_alone() {
    let reads = |project: &Flaky| {
        let pool = project.stages("pool-");
        pool.first().is_some_and(|pool| pool.join(".lock-card.json").exists())
    };
    let project = || Flaky::with_units(60, "", "");
    the_second_of_two_survives(project, "two", reads, "reads the pool");
}

#[test]
fn a_run_that_waits_for_the_folder_of_one_that_is_killed_ends_as_if_alone() {
    let begun = |project: &Flaky| !project.begun().is_empty();
    the_second_of_two_survives(slow, "one", begun, "works in ");
}
