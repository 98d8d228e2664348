//! Killed anywhere and started again equals never killed.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::path::Path;
use std::time::{Duration, Instant};

use deft_e2e::{Project, RETRIEVER_DENSE, TRAINER};

/// A stage, and how its beginning shows on disk.
type Moment = (&'static str, fn(&Project) -> bool);

/// Whether a stage has begun to leave something.
fn has_files(project: &Project, stage: &str) -> bool {
    let files = project.stages(stage).first().and_then(|dir| std::fs::read_dir(dir).ok());
    files.is_some_and(|mut files| files.next().is_some())
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
    let results = killed.results();
    assert_eq!(
        results.keys().collect::<Vec<_>>(),
        expected.keys().collect::<Vec<_>>(),
        "a file is missing, or a temporary was left"
    );
    for (name, content) in &results {
        assert!(content == &expected[name], "{name} differs after kills");
    }
}

#[test]
fn runs_killed_at_random_moments_end_like_runs_never_killed() {
    deft_e2e::kill_runs(7, 12, |_| {}).unwrap();
}

#[test]
fn ctrl_c_stops_at_a_safe_point_with_exit_code_130_and_the_run_goes_on_later() {
    let project = project();
    let mut child = project.deft("run").spawn();
    while !has_files(&project, "t5-") {
        assert!(child.try_wait().unwrap().is_none(), "the run ended before Ctrl-C");
        std::thread::sleep(Duration::from_micros(200));
    }
    let pid = child.id().to_string();
    let interrupted = std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap();
    assert!(interrupted.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    project.deft("run").succeed();
    assert!(project.results().keys().all(|name| !name.contains(".tmp-")));
}
