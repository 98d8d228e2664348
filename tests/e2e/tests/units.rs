//! Units in processes of their own: the same result, a crash costs one unit, and what is left is told.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use deft_e2e::{
    Deft, Flaky, Output, Project, RETRIEVER_BM25, RETRIEVER_DENSE, assert_same_results,
    examples_dir, program_dir, wait_for_end, wait_until,
};

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
            assert_same_results(other, &left[0], "otherwise divided");
        }
    }
}

#[test]
fn a_worker_that_crashes_costs_one_unit_which_is_tried_again() {
    let project = Flaky::new("crash_in: 2, times: 2");
    project.call("index").args(&["--workers", "2"]).succeed();
    assert_eq!(project.begun(), BTreeMap::from([(0, 1), (1, 1), (2, 3), (3, 1)]));
    assert!(!project.path("runs/small/failed").exists(), "what was done at last is not failed");
}

#[test]
fn a_unit_that_crashes_too_often_is_reported_with_its_log_and_the_others_are_done() {
    let project = Flaky::new("crash_in: 1, times: 99");
    let output = project.call("index").args(&["--workers", "2", "--retries", "1"]).run();
    assert_eq!(output.code, 1, "{}", output.stderr);
    for part in ["the worker process crashed", "SIGABRT", "unit: 1", "-worker-", "about to crash"] {
        assert!(output.stderr.contains(part), "no «{part}» in:\n{}", output.stderr);
    }
    assert_eq!(project.begun(), BTreeMap::from([(0, 1), (1, 2), (2, 1), (3, 1)]));

    let status = project.status_json();
    let phase = &status["phases"][0];
    assert_eq!((&phase["units"], &phase["done"]), (&4.into(), &3.into()));
    assert_eq!(
        (&phase["failed"][0]["unit"], &phase["failed"][0]["attempts"]),
        (&1.into(), &2.into())
    );
}

#[test]
fn what_a_plugin_prints_gets_into_the_log_of_a_worker_and_not_among_its_answers() {
    let project = Flaky::new("");
    project.call("index").args(&["--workers", "1"]).succeed();
    assert_eq!(project.begun(), (0..4).map(|unit| (unit, 1)).collect());
    let logs = project.logs();
    for when in ["made", "loaded"] {
        assert!(logs.contains(&format!("flaky prints when it is {when}\n")), "{logs}");
    }
}

#[test]
fn workers_log_as_much_as_their_host() {
    for (option, info, debug) in [("-q", false, false), ("-v", true, true)] {
        let project = Flaky::new("");
        project.call("index").args(&["--workers", "1", option]).succeed();
        let logs = project.logs();
        assert_eq!(logs.contains(" info: pool: 1000 examples"), info, "{logs}");
        assert_eq!(logs.contains(" debug: asked for unit 0"), debug, "{logs}");
    }
}

/// Changes something while a run works whose worker crashes then: the next worker would open another
/// stage of this name.
fn a_change_is_refused(stage: &str, change: impl Fn(&Flaky)) {
    let project = Flaky::new("crash_in: 1, times: 1, slow_ms: 500");
    let run = project.call("index").args(&["--workers", "1"]).spawn_piped();
    project.wait_for_units(1);
    change(&project);
    let output: Output = run.wait_with_output().unwrap().into();
    let stderr = &output.stderr;
    assert_eq!(output.code, 1, "{stderr}");
    let own = project.stages(stage).remove(0);
    let own = own.file_name().unwrap().to_string_lossy();
    for part in [
        "error: the manifest or a source has changed since the run started (",
        &format!("expected: {own}, found: {stage}"),
        "hint: undo the change, or run again",
    ] {
        assert!(stderr.contains(part), "no «{part}» in:\n{stderr}");
    }
    assert_eq!(stderr.matches("error: ").count(), 1, "one message:\n{stderr}");
    assert_eq!((project.stages("pool-").len(), project.stages("flaky-").len()), (1, 1));
}

#[test]
fn a_worker_that_starts_after_a_change_is_refused_before_it_makes_anything() {
    a_change_is_refused("pool-", |project| {
        let text = fs::read_to_string(project.path("pool.jsonl")).unwrap();
        project.write("pool.jsonl", &text.replacen("film", "book", 1));
    });
    a_change_is_refused("flaky-", |project| {
        let text = fs::read_to_string(project.path("manifest.yaml")).unwrap();
        project.write("manifest.yaml", &text.replace("times: 1", "times: 1, tag: other"));
    });
}

#[test]
fn workers_start_again_though_another_program_lies_where_theirs_did() {
    let project = Flaky::new("crash_in: 1, times: 1, slow_ms: 500");
    let program = project.path("deft");
    // A process of its own writes the file: one of this process could not be run at once.
    let copied = Command::new("cp").arg(program_dir().join("deft")).arg(&program).status();
    assert!(copied.unwrap().success());
    let plugins = "plugins=[p3, t5, exact, dense, bm25, flaky]";
    let run = Deft::of(&program, &["index", "--workers", "1", "--set", plugins])
        .arg(project.path("manifest.yaml"))
        .arg("--plugin-dir")
        .arg(program_dir())
        .arg("--plugin-dir")
        .arg(examples_dir())
        .spawn_piped();
    project.wait_for_units(1);
    fs::remove_file(&program).unwrap();
    project.write("deft", "another program");
    let output: Output = run.wait_with_output().unwrap().into();
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_eq!(project.begun(), BTreeMap::from([(0, 1), (1, 2), (2, 1), (3, 1)]));
}

#[test]
fn a_unit_gets_the_same_threads_in_this_process_in_a_worker_and_alone() {
    for (wanted, expected) in [(0, 4), (1, 1), (2, 2), (9, 4)] {
        for how in ["index", "index --workers 1", "unit --phase note --unit 0"] {
            let project = Flaky::new(&format!("threads: {wanted}"));
            let mut words = how.split(' ');
            let command = words.next().unwrap();
            let rest: Vec<&str> = words.collect();
            project.call(command).args(&rest).args(&["--threads", "4"]).succeed();
            let threads = project.threads();
            assert!(threads.iter().all(|&got| got == expected), "{how}, {wanted}: {threads:?}");
        }
    }
}

#[test]
fn a_unit_that_fails_ends_with_1_and_is_told_until_it_is_done() {
    let project = Flaky::new("fail_in: 1, times: 1");
    let failed = project.unit(1).run();
    assert_eq!(failed.code, 1, "{}", failed.stderr);
    for part in ["error: told to fail (", "component: retriever flaky", "unit: 1"] {
        assert!(failed.stderr.contains(part), "no «{part}» in:\n{}", failed.stderr);
    }
    let status = project.status();
    for part in ["flaky note: 0 of 4 units, 1 failed", "unit 1 failed (1 attempt): told to fail"] {
        assert!(status.contains(part), "no «{part}» in:\n{status}");
    }
    project.unit(1).succeed();
    let status = project.status();
    assert!(status.contains("flaky note: 1 of 4 units\n"), "{status}");
    assert!(!project.path("runs/small/failed").exists());
}

#[test]
fn of_two_processes_on_one_unit_one_does_it_and_the_other_waits() {
    let project = Flaky::new("slow_ms: 1500");
    let first = project.unit(0).spawn_piped();
    project.wait_for_units(1);
    let second = project.unit(0).succeed();
    let says = format!("note: process {} on ", first.id());
    assert!(second.stderr.contains(&says), "{}", second.stderr);
    assert!(second.stderr.contains(" does unit 0; waiting for it\n"), "{}", second.stderr);
    let first: Output = first.wait_with_output().unwrap().into();
    assert_eq!(first.code, 0, "{}", first.stderr);
    assert_eq!(project.begun(), BTreeMap::from([(0, 1)]));
    assert!(project.results().keys().all(|name| !name.contains("/.")));
}

#[test]
fn two_runs_on_one_store_share_the_units_and_both_end_well() {
    let project = Flaky::new("slow_ms: 200");
    let start = |run: &str| project.call("run").arg("--run").arg(project.path(run)).spawn_piped();
    let runs = [start("runs/one"), start("runs/two")];
    for run in runs {
        let output: Output = run.wait_with_output().unwrap().into();
        assert_eq!(output.code, 0, "{}", output.stderr);
    }
    let once = (0..4).map(|unit| (unit, 1)).collect();
    assert_eq!(project.begun(), once, "no unit was done twice");
    let hits = |run: &str| fs::read(project.path(run).join("tasks/mood/retrieved/hits.jsonl"));
    assert_eq!(hits("runs/one").unwrap(), hits("runs/two").unwrap());
    assert!(
        project.results().keys().all(|name| !name.contains("/.")),
        "no lock or temporary is left"
    );
}

#[test]
fn a_second_run_in_the_same_folder_waits_and_says_for_whom() {
    let project = Flaky::new("slow_ms: 300");
    let first = project.call("run").spawn_piped();
    let pid = first.id();
    wait_until("the run begins", || project.path("runs/small/.lock-run").exists());
    let second = project.call("run").succeed();
    assert!(second.stderr.contains(&format!("waiting: process {pid} on ")), "{}", second.stderr);
    let first: Output = first.wait_with_output().unwrap().into();
    assert_eq!(first.code, 0, "{}", first.stderr);
    assert_eq!(project.begun().values().sum::<usize>(), 4);
}

#[test]
fn workers_of_a_killed_run_end_and_leave_whole_units_only() {
    let project = Flaky::new("slow_ms: 3000");
    let mut run = project.call("run").args(&["--workers", "2"]).in_own_group().spawn();
    project.wait_for_units(2);
    let held = project.results().keys().filter(|name| name.contains("/.lock-part")).count();
    assert_eq!(held, 2, "both workers are at work");
    run.kill().unwrap();
    run.wait().unwrap();
    wait_for_end(run.id(), Duration::from_secs(3));
    assert!(project.results().keys().all(|name| !is_temporary(name)), "half a unit is left");
    project.call("run").args(&["--set", "retriever.slow_ms=0"]).succeed();
    assert!(project.results().keys().all(|name| !name.contains("/.")));
}

fn is_temporary(name: &str) -> bool {
    Path::new(name).components().any(|part| part.as_os_str().to_string_lossy().starts_with(".tmp-"))
}
