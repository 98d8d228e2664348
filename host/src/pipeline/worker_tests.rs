use deft_core::NoServices;

use super::*;

/// What is known of a worker that does as a shell script says instead, and how long that took.
fn crash_of(script: &str) -> (Error, Duration) {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("worker.log");
    let arguments = ["-c".into(), script.into()];
    let mut running = Running::start(Path::new("/bin/sh"), &arguments, &log).unwrap();
    let answer = running.ask(0, &Context::new(&NoServices, 0, 1)).unwrap();
    assert!(answer.is_none(), "{answer:?}");
    let start = Instant::now();
    (running.crashed(&log), start.elapsed())
}

#[test]
fn the_last_words_of_a_worker_are_quoted_however_much_it_said_before() {
    let script = "read unit; yes words | head -n 50000 >&2; echo the last words >&2; kill -KILL $$";
    let (error, _) = crash_of(script);
    assert_eq!(error.context("status"), Some("signal: 9 (SIGKILL)"));
    assert!(error.hint().unwrap().ends_with("\n  the last words"), "{error:?}");
}

#[test]
fn a_process_that_a_worker_started_does_not_keep_its_crash_from_being_told() {
    let script = "read unit; echo the last words >&2; sleep 8 & kill -KILL $$";
    let (error, took) = crash_of(script);
    assert!(error.hint().unwrap().ends_with("the last words"), "{error:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn a_program_whose_file_was_replaced_is_found_by_what_runs() {
    let own = std::env::current_exe().unwrap();
    assert_eq!(current(&own), own);
    if Path::new("/proc/self/exe").exists() {
        let dir = tempfile::tempdir().unwrap();
        let other = dir.path().join("deft");
        assert_eq!(current(&other), Path::new("/proc/self/exe"), "it was removed");
        std::fs::write(&other, "another program").unwrap();
        assert_eq!(current(&other), Path::new("/proc/self/exe"), "it was replaced");
    }
}
