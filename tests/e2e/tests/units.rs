//! Units in processes of their own: the same result, a crash costs one unit, and what is left is told.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use deft_e2e::{Output, Project, RETRIEVER_BM25, RETRIEVER_DENSE, examples_dir};
use serde_json::Value;

#[test]
fn one_and_three_workers_leave_the_same_bytes_as_none() {
    for retriever in [RETRIEVER_DENSE, RETRIEVER_BM25] {
        let left = ["0", "1", "3"].map(|workers| {
            let project = Project::new();
            project.manifest(&[retriever]);
            project.deft("run").arg("--workers").arg(workers).succeed();
            project.stable_results()
        });
        for other in &left[1..] {
            assert_eq!(left[0].keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
            for (name, content) in other {
                assert!(content == &left[0][name], "{name} differs");
            }
        }
    }
}

/// A project whose retriever is the fixture `flaky`, with some of its options.
fn flaky(options: &str) -> Project {
    let project = Project::new();
    let notes = project.path("notes.txt");
    project.manifest(&[&format!(
        "retriever: {{ use: flaky, notes: {}, {options} }}\n",
        notes.display()
    )]);
    project
}

fn call(project: &Project, command: &str) -> deft_e2e::Deft {
    let plugins = "plugins=[p3, t5, exact, dense, bm25, flaky]";
    project.deft(command).arg("--plugin-dir").arg(examples_dir()).arg("--set").arg(plugins)
}

/// How often each unit was begun.
fn begun(project: &Project) -> BTreeMap<usize, usize> {
    let notes = std::fs::read_to_string(project.path("notes.txt")).unwrap();
    let mut begun = BTreeMap::new();
    for unit in notes.lines() {
        *begun.entry(unit.parse().unwrap()).or_default() += 1;
    }
    begun
}

#[test]
fn a_worker_that_crashes_costs_one_unit_which_is_tried_again() {
    let project = flaky("crash_in: 2, times: 2");
    call(&project, "index").arg("--workers").arg("2").succeed();
    assert_eq!(begun(&project), BTreeMap::from([(0, 1), (1, 1), (2, 3), (3, 1)]));
    assert!(!project.path("runs/small/failed").exists(), "what was done at last is not failed");
}

#[test]
fn a_unit_that_crashes_too_often_is_reported_with_its_log_and_the_others_are_done() {
    let project = flaky("crash_in: 1, times: 99");
    let output = call(&project, "index").arg("--workers").arg("2").arg("--retries").arg("1").run();
    assert_eq!(output.code, 1, "{}", output.stderr);
    for part in ["the worker process crashed", "SIGABRT", "unit: 1", "-worker-", "about to crash"] {
        assert!(output.stderr.contains(part), "no «{part}» in:\n{}", output.stderr);
    }
    assert_eq!(begun(&project), BTreeMap::from([(0, 1), (1, 2), (2, 1), (3, 1)]));

    let status = status(&project);
    let phase = &status["phases"][0];
    assert_eq!((&phase["units"], &phase["done"]), (&4.into(), &3.into()));
    assert_eq!(
        (&phase["failed"][0]["unit"], &phase["failed"][0]["attempts"]),
        (&1.into(), &2.into())
    );
}

fn status(project: &Project) -> Value {
    serde_json::from_str(&project.deft("status").arg("--json").succeed().stdout).unwrap()
}

#[test]
fn status_tells_what_runs_and_what_is_left_while_a_run_works() {
    let project = flaky("slow_ms: 700");
    let text = project.deft("status").succeed().stdout;
    assert!(text.contains("nothing has been run here"), "{text}");
    let mut run = call(&project, "run").arg("--workers").arg("2").spawn();
    let deadline = Instant::now() + Duration::from_secs(30);
    let seen = loop {
        let status = status(&project);
        let phase = &status["phases"][0];
        if phase["done"] == 2 && phase["running"].as_array().unwrap().len() == 2 {
            break status;
        }
        assert!(run.try_wait().unwrap().is_none() && Instant::now() < deadline, "{status}");
    };
    assert_eq!(seen["pool_rows"], 1000);
    assert_eq!(seen["working"]["doing"], "retrieve");
    assert!(seen["phases"][0]["running"][0][1]["pid"].as_u64().is_some());
    assert!(run.wait().unwrap().success());
    let text = project.deft("status").succeed().stdout;
    assert!(text.contains("flaky note: 4 of 4 units\n"), "{text}");
    assert!(text.contains("hits: 1 of 1") && text.contains("nobody works"), "{text}");
}

#[test]
fn two_runs_on_one_store_share_the_units_and_both_end_well() {
    let project = flaky("slow_ms: 200");
    let start = |run: &str| call(&project, "run").arg("--run").arg(project.path(run)).spawn_piped();
    let runs = [start("runs/one"), start("runs/two")];
    for run in runs {
        let output: Output = run.wait_with_output().unwrap().into();
        assert_eq!(output.code, 0, "{}", output.stderr);
    }
    assert_eq!(begun(&project), (0..4).map(|unit| (unit, 1)).collect(), "no unit was done twice");
    let hits = |run: &str| std::fs::read(project.path(run).join("tasks/mood/retrieved/hits.jsonl"));
    assert_eq!(hits("runs/one").unwrap(), hits("runs/two").unwrap());
    assert!(
        project.results().keys().all(|name| !name.contains("/.")),
        "no lock or temporary is left"
    );
}

#[test]
fn a_second_run_in_the_same_folder_waits_and_says_for_whom() {
    let project = flaky("slow_ms: 300");
    let first = call(&project, "run").spawn_piped();
    let pid = first.id();
    while !project.path("runs/small/.lock-run").exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let second = call(&project, "run").succeed();
    assert!(second.stderr.contains(&format!("waiting: process {pid} on ")), "{}", second.stderr);
    let first: Output = first.wait_with_output().unwrap().into();
    assert_eq!(first.code, 0, "{}", first.stderr);
    assert_eq!(begun(&project).values().sum::<usize>(), 4);
}

#[test]
fn workers_of_a_killed_run_stop_and_leave_whole_units_only() {
    let project = flaky("slow_ms: 3000");
    let mut run = call(&project, "run").arg("--workers").arg("2").spawn();
    while begun_so_far(&project) < 2 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let held = project.results().keys().filter(|name| name.contains("/.lock-part")).count();
    assert_eq!(held, 2, "both workers are at work");
    run.kill().unwrap();
    run.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(3);
    let at_work = || project.results().keys().any(|name| name.contains(".tmp-"));
    while at_work() {
        assert!(Instant::now() < deadline, "an orphan works on");
        std::thread::sleep(Duration::from_millis(20));
    }
    call(&project, "run").arg("--set").arg("retriever.slow_ms=0").succeed();
    assert!(project.results().keys().all(|name| !name.contains("/.")));
}

fn begun_so_far(project: &Project) -> usize {
    std::fs::read_to_string(project.path("notes.txt")).unwrap_or_default().lines().count()
}
