//! Progress: bars on a terminal, a line now and then elsewhere, objects for programs.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use deft_e2e::{Flaky, skipped};
use serde_json::Value;

/// What a bar is drawn with.
const BAR: char = '█';

#[test]
fn a_terminal_shows_a_bar_with_rate_and_time_left() {
    let project = Flaky::with_units(10, "slow_ms: 400", "");
    let call = project.call("index").args(&["--threads", "1"]);
    let Some(output) = call.run_on_terminal() else { return skipped("no `script`") };
    let screen = output.stdout;
    assert_eq!(output.code, 0, "{screen}");
    let is_whole = |line: &str| {
        ["note ", "/10 units, ", "/s, ", " s left"].iter().all(|part| line.contains(part))
            && line.contains(BAR)
    };
    assert!(screen.split(['\r', '\n']).any(is_whole), "no bar of the phase in:\n{screen}");
    let is_unit = |line: &str| line.contains("/40 naps, ") && line.contains(BAR);
    assert!(screen.split(['\r', '\n']).any(is_unit), "no bar of a unit in:\n{screen}");
}

#[test]
fn elsewhere_a_line_tells_rate_and_time_left_and_there_is_no_bar() {
    let project = Flaky::with_units(8, "slow_ms: 1500", "");
    let stderr = project.call("index").args(&["--threads", "1"]).succeed().stderr;
    let is_line = |line: &str| {
        line.starts_with("note: ")
            && [" of 8 units (", " %), ", " left"].iter().all(|part| line.contains(part))
    };
    assert!(stderr.lines().any(is_line), "{stderr}");
    assert!(!stderr.contains(['\r', '\u{1b}', BAR]), "{stderr}");
}

#[test]
fn programs_get_objects_of_phases_and_of_units_in_workers() {
    let project = Flaky::new("slow_ms: 3500");
    let call = project.call("index").args(&["--workers", "2", "--log-format", "json"]);
    let stderr = call.succeed().stderr;
    let lines = stderr.lines().map(|line| serde_json::from_str::<Value>(line).expect(line));
    let progress: Vec<Value> = lines.map(|line| line["progress"].clone()).collect();
    for (label, total, unit) in [("note", 4, "units"), ("note 1 of 4", 350, "naps")] {
        let is_whole = |one: &&Value| {
            one["label"] == label
                && one["total"] == total
                && one["unit"] == unit
                && one["done"].as_u64().is_some_and(|done| (1..=total).contains(&done))
                && one["per_second"].as_f64().is_some_and(|rate| rate > 0.0)
                && one["seconds_left"].as_f64().is_some_and(|left| left >= 0.0)
        };
        assert!(progress.iter().any(|one| is_whole(&one)), "nothing of {label} in:\n{stderr}");
    }
}
