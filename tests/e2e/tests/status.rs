//! `deft status`: what runs, what is done, and how long it will take.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use deft_e2e::{Flaky, TRAINER};
use serde_json::Value;

/// Asks for the status until it is as wanted; the run must not end before.
fn wait_for(project: &Flaky, run: &mut Child, wanted: impl Fn(&str) -> bool) -> String {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let status = project.status();
        if wanted(&status) {
            return status;
        }
        assert!(run.try_wait().unwrap().is_none() && Instant::now() < deadline, "{status}");
    }
}

fn interrupt(mut run: Child) {
    let sent = Command::new("kill").args(["-INT", &run.id().to_string()]).status();
    assert!(sent.unwrap().success());
    assert_eq!(run.wait().unwrap().code(), Some(130));
}

#[test]
fn status_tells_what_runs_and_what_is_left_while_a_run_works() {
    let project = Flaky::new("slow_ms: 2000");
    let text = project.status();
    assert!(text.contains("nothing has been run here"), "{text}");
    let mut run = project.call("run").args(&["--workers", "2"]).spawn();
    let deadline = Instant::now() + Duration::from_secs(30);
    let seen = loop {
        let status = project.status_json();
        let phase = &status["phases"][0];
        if phase["done"] == 2 && phase["running"].as_array().unwrap().len() == 2 {
            break status;
        }
        assert!(run.try_wait().unwrap().is_none() && Instant::now() < deadline, "{status}");
    };
    assert_eq!((&seen["pool_rows"], &seen["pool_parts"]), (&1000.into(), &4.into()));
    assert_eq!(seen["working"]["doing"], "retrieve");
    assert!(seen["phases"][0]["running"][0][1]["pid"].as_u64().is_some());
    assert!(run.wait().unwrap().success());
    let text = project.status();
    assert!(text.contains("flaky note: 4 of 4 units\n"), "{text}");
    assert!(text.contains("hits: 1 of 1") && text.contains("nobody works"), "{text}");
}

#[test]
fn the_time_left_is_told_while_units_are_done_and_not_after_a_stop() {
    let project = Flaky::with_units(20, "slow_ms: 400", "");
    let start = || project.call("index").args(&["--threads", "1"]).spawn();
    let left = |text: &str| {
        let phase = text.lines().find(|line| line.contains("flaky note: "));
        phase.is_some_and(|phase| phase.contains(" 1 running, about ") && phase.ends_with(" left"))
    };
    let mut run = start();
    wait_for(&project, &mut run, left);
    interrupt(run);
    let text = project.status();
    assert!(!text.contains(" left"), "nobody works:\n{text}");
    // A pause in which twelve units could have been done; the rate is that of the units alone.
    std::thread::sleep(Duration::from_secs(5));
    let done = project.status_json()["phases"][0]["done"].as_u64().unwrap();
    let mut run = start();
    let phase = loop {
        let phase = project.status_json()["phases"][0].clone();
        if phase["done"].as_u64() >= Some(done + 2) {
            break phase;
        }
        assert!(run.try_wait().unwrap().is_none(), "{phase}");
    };
    let units = 20.0 - phase["done"].as_f64().unwrap();
    let each = phase["seconds_left"].as_f64().unwrap() / units;
    assert!((0.3..4.0).contains(&each), "{each} s for a unit of 0.4 s: {phase}");
    interrupt(run);
}

#[test]
fn what_a_run_is_at_is_told_with_its_rate_and_the_time_left() {
    let project = Flaky::with_units(4, "", TRAINER);
    let mut run = project.call("run").args(&["--set", "trainer.steps=100000"]).spawn();
    let text = wait_for(&project, &mut run, |text| {
        let now = text.lines().find(|line| line.starts_with("  now: train mood/"));
        now.is_some_and(|now| now.contains(" of 100000 steps (") && now.ends_with(" left"))
    });
    assert!(text.contains("works: train and evaluate\n"), "{text}");
    let working = project.status_json()["working"].clone();
    let reading = working["progress"].as_array().unwrap().iter().find(|reading| {
        reading["label"].as_str().is_some_and(|label| label.starts_with("train mood/"))
    });
    let reading = reading.unwrap();
    assert_eq!((&reading["total"], &reading["unit"]), (&100_000.into(), &Value::from("steps")));
    for number in ["done", "per_second", "seconds_left"] {
        assert!(reading[number].as_f64().is_some(), "{reading}");
    }
    interrupt(run);
}
