//! Ctrl-C, and ends that nobody asked for: who was running is named, and the run goes on later.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStderr, Command, ExitStatus};
use std::time::{Duration, Instant};

use deft_e2e::{Deft, Project, assert_same_results, examples_dir, wait_for_end};

const SIGABRT: i32 = 6;
const SIGSEGV: i32 = 11;
const WHO: &str = "encoder `stubborn` (plugin stubborn 0.1.0), method encode";
const GOES_ON: &str = "what was finished is kept: run the same command to go on";

/// What a busy machine may add to the two seconds that are promised.
const BUSY: Duration = Duration::from_secs(4);
/// For a component that looks whether to stop.
const LOOKS: Duration = Duration::from_secs(2).saturating_add(BUSY);
/// For one that is ended after its two seconds, and the workers' half second after that.
const SLEEPS: Duration = Duration::from_millis(2500).saturating_add(BUSY);

/// A project whose pool is encoded by `stubborn`.
fn project() -> Project {
    let project = Project::new();
    let retriever = "\
retriever: { use: dense, rows_per_unit: 300, encoder: stubborn, index: exact }
";
    project.manifest(&[retriever]);
    project
}

fn run(project: &Project, behaviour: &str) -> Deft {
    project
        .deft("run")
        .args(&["--set", "plugins=[p3, exact, dense, stubborn]", "--set"])
        .arg(format!("retriever.encoder.behaviour={behaviour}"))
        .arg("--plugin-dir")
        .arg(examples_dir())
}

/// Reads messages until the encoder says that its call has begun.
fn wait_for_call(child: &mut Child) -> BufReader<ChildStderr> {
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("stubborn: about to behave") {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "the run ended before its call");
    }
    stderr
}

fn send(signal: &str, child: &Child) {
    send_to(signal, &child.id().to_string());
}

/// To a process or, with a `-` before its number, to a group of them.
fn send_to(signal: &str, target: &str) {
    let sent = Command::new("kill").args([signal, "--", target]).status();
    assert!(sent.unwrap().success());
}

/// The rest of the messages, how the program ended, and how long after now.
fn end(mut child: Child, mut stderr: impl Read) -> (String, ExitStatus, Duration) {
    let start = Instant::now();
    let mut text = String::new();
    stderr.read_to_string(&mut text).unwrap();
    (text, child.wait().unwrap(), start.elapsed())
}

#[track_caller]
fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no «{part}» in:\n{text}");
    }
}

#[test]
fn a_component_that_looks_stops_at_ctrl_c_and_the_run_goes_on_afterwards() {
    let project = project();
    for signal in ["-INT", "-TERM"] {
        let mut child = run(&project, "patient").spawn_with_stderr();
        let stderr = wait_for_call(&mut child);
        send(signal, &child);
        let (text, status, took) = end(child, stderr);
        assert_eq!(status.code(), Some(130), "{text}");
        assert!(took < LOOKS, "{took:?}");
        assert_says(&text, &["stopping at the next safe point", GOES_ON]);
        assert!(!text.contains("error"), "a stop is no error:\n{text}");
        assert!(!text.contains("does not stop"), "it did stop:\n{text}");
    }
    run(&project, "good").succeed();
    assert!(project.results().keys().all(|name| !name.contains(".tmp-")));
}

#[test]
fn a_component_that_does_not_look_is_named_and_ended_after_two_seconds() {
    let project = project();
    for signal in ["-INT", "-TERM"] {
        let mut child = run(&project, "sleep").spawn_with_stderr();
        let stderr = wait_for_call(&mut child);
        send(signal, &child);
        let (text, status, took) = end(child, stderr);
        assert_eq!(status.code(), Some(130), "{text}");
        assert!(took > Duration::from_millis(1500) && took < SLEEPS, "{took:?}");
        assert_says(&text, &[WHO, "has run for ", "and does not stop", GOES_ON]);
    }
    run(&project, "good").succeed();
}

#[test]
fn workers_end_with_their_host_at_ctrl_c_and_the_run_goes_on_afterwards() {
    let undisturbed = project();
    run(&undisturbed, "good").succeed();
    let expected = undisturbed.stable_results();

    let project = project();
    for (behaviour, signal, whole_group, limit) in [
        ("patient", "-INT", false, LOOKS),
        ("patient", "-TERM", false, LOOKS),
        // What a terminal does.
        ("patient", "-INT", true, LOOKS),
        ("sleep", "-INT", false, SLEEPS),
        ("sleep", "-TERM", true, SLEEPS),
    ] {
        let call = run(&project, behaviour).args(&["--workers", "2"]);
        let mut child = call.in_own_group().spawn_with_stderr();
        let group = child.id();
        let stderr = wait_for_call(&mut child);
        send_to(signal, &format!("{}{group}", if whole_group { "-" } else { "" }));
        let (text, status, took) = end(child, stderr);
        assert_eq!(status.code(), Some(130), "{text}");
        assert!(took < limit, "{behaviour}, {signal}: {took:?}\n{text}");
        wait_for_end(group, Duration::from_secs(5));
        assert_says(&text, &[GOES_ON]);
        assert_eq!(text.matches("press Ctrl-C again").count(), 1, "said once:\n{text}");
        assert_eq!(text.contains(WHO) && text.contains("does not stop"), behaviour == "sleep");
    }
    run(&project, "good").args(&["--workers", "2"]).succeed();
    let found = project.stable_results();
    assert_same_results(&found, &expected, "after stops");
}

#[test]
fn the_second_ctrl_c_ends_at_once() {
    let project = project();
    let mut child = run(&project, "sleep").spawn_with_stderr();
    let mut stderr = wait_for_call(&mut child);
    send("-INT", &child);
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert_says(&line, &["press Ctrl-C again"]);
    send("-INT", &child);
    let (text, status, took) = end(child, stderr);
    assert_eq!(status.code(), Some(130), "{text}");
    assert!(took < Duration::from_secs(1) + BUSY, "{took:?}");
}

#[test]
fn faults_name_the_component_and_keep_their_signal_and_the_run_goes_on_afterwards() {
    let project = project();
    for (behaviour, end, says) in [
        ("segfault", SIGSEGV, "deft: killed by SIGSEGV (segmentation fault) in "),
        (
            "thread_segfault",
            SIGSEGV,
            "deft: killed by SIGSEGV (segmentation fault) while this ran: ",
        ),
        ("overflow", SIGABRT, "deft: killed by SIGSEGV (stack overflow) in "),
        ("abort", SIGABRT, "deft: killed by SIGABRT (abort) in "),
    ] {
        let output = run(&project, behaviour).spawn_with_stderr().wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(end), "{behaviour}: {text}");
        let named = format!("{says}{WHO}\n");
        let parts = [&named, "report it to the plugin's author", "the same command goes on\n"];
        assert_says(&text, &parts);
        assert_eq!(text.matches("deft: killed by").count(), 1, "told once:\n{text}");
        assert_eq!(text.contains("has overflowed its stack"), behaviour == "overflow", "{text}");
    }
    run(&project, "good").succeed();
}

#[test]
fn programs_are_told_of_a_fault_in_json() {
    let project = project();
    let call = run(&project, "segfault").args(&["--log-format", "json"]);
    let output = call.spawn_with_stderr().wait_with_output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    for line in &lines {
        let keys = ["time", "level", "target", "message"];
        assert!(keys.iter().all(|key| line[key].is_string()), "{line}");
    }
    let (last, before) = lines.split_last().unwrap();
    assert_says(last["message"].as_str().unwrap(), &["killed by SIGSEGV", WHO]);
    assert!(before.iter().any(|line| line["target"] == "stubborn"), "its own line:\n{text}");
}

#[test]
fn what_nohup_ignores_stays_ignored() {
    let project = project();
    let mut child = run(&project, "patient").spawn_under_nohup();
    let stderr = wait_for_call(&mut child);
    send("-HUP", &child);
    std::thread::sleep(Duration::from_millis(500));
    assert!(child.try_wait().unwrap().is_none(), "it must not end");
    send("-INT", &child);
    let (text, status, _) = end(child, stderr);
    assert_eq!(status.code(), Some(130), "{text}");
}

#[test]
fn a_closed_stderr_is_no_reason_to_fail() {
    let project = project();
    let mut child = run(&project, "good").args(&["-vv"]).spawn_with_stderr();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
