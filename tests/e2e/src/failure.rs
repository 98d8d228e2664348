//! What every failure owes its user.

use crate::{Deft, Output, Project, examples_dir};

/// Runs the manifest, which must fail with `code` and one message with all `parts`.
///
/// # Panics
///
/// When it does not.
#[track_caller]
pub fn fails(project: &Project, args: &[&str], code: i32, parts: &[&str]) -> Output {
    let mut call = project.deft("run").arg("--plugin-dir").arg(examples_dir());
    for arg in args {
        call = call.arg(arg);
    }
    call_fails(call, code, parts)
}

/// Runs a call, which must fail with `code` and one message with all `parts`.
///
/// # Panics
///
/// When it does not.
#[track_caller]
pub fn call_fails(call: Deft, code: i32, parts: &[&str]) -> Output {
    let output = call.run();
    let stderr = &output.stderr;
    for part in parts {
        assert!(stderr.contains(part), "no «{part}» in:\n{stderr}");
    }
    assert_eq!(output.code, code, "{stderr}");
    let messages = stderr.lines().filter(|line| line.starts_with("error: ")).count();
    assert_eq!(messages, 1, "one message, not {messages}:\n{stderr}");
    assert!(!stderr.contains("thread '"), "a panic that reached the terminal:\n{stderr}");
    let message = stderr.split_once("error: ").map_or("", |(_, message)| message);
    assert!(message.len() < 1500, "a message to be read, not {} bytes", message.len());
    output
}
