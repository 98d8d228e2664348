//! Disks that are full or read-only: a clear error, nothing lost, and the run goes on afterwards.
//!
//! The disks are small file systems in memory, mounted in a name space of the test's own.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use deft_e2e::{
    Output, Project, QUICK_RETRIES, RETRIEVER_DENSE, TRAINER, assert_same_results, program_dir,
    skipped,
};

/// Runs a shell script with `$deft`, `$project` set, where it may mount.
fn in_name_space(project: &Project, script: &str) -> Option<Output> {
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-e", "-c", script]);
        command.env("deft", program_dir().join("deft")).env("project", project.dir());
        command.env(QUICK_RETRIES.0, QUICK_RETRIES.1);
        command.current_dir("/").output()
    };
    let possible = unshare("mount -t tmpfs tmpfs /mnt");
    if !possible.is_ok_and(|output| output.status.success()) {
        let why = "no file system can be mounted here";
        assert!(!must_run(), "{why}");
        skipped(why);
        return None;
    }
    Some(unshare(script).unwrap().into())
}

/// Whether it is a fault that these tests cannot run: in CI as root, where nobody would see that
/// they are skipped.
fn must_run() -> bool {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    is_root && std::env::var("CI").is_ok_and(|value| value == "true")
}

#[test]
fn a_full_disk_is_named_with_what_to_do_and_the_run_goes_on_with_more_room() {
    let undisturbed = Project::new();
    undisturbed.manifest(&[RETRIEVER_DENSE, TRAINER]);
    undisturbed.deft("run").succeed();

    let project = Project::new();
    project.manifest(&[RETRIEVER_DENSE, TRAINER]);
    // Room for the pool, then for more and more; each time the run goes on where it stopped.
    let script = "
        mkdir $project/runs
        mount -t tmpfs -o size=40k tmpfs $project/runs
        for size in 40k 80k 120k 160k 200k 240k 300k; do
            mount -o remount,size=$size $project/runs
            code=0
            $deft run $project/manifest.yaml --ignore-limits >/dev/null 2>>$project/messages || code=$?
            echo $size $code
            echo $code >>$project/codes
        done
        mount -o remount,size=64m $project/runs
        $deft run $project/manifest.yaml
        cp -r $project/runs $project/kept
    ";
    let Some(output) = in_name_space(&project, script) else { return };
    assert_eq!(output.code, 0, "{}", output.stderr);
    let messages = std::fs::read_to_string(project.path("messages")).unwrap();
    assert!(messages.contains("No space left on device"), "{messages}");
    assert!(messages.contains("free space") || messages.contains("--store"), "{messages}");
    assert!(!messages.contains("panicked"), "{messages}");
    let codes = std::fs::read_to_string(project.path("codes")).unwrap();
    assert!(
        codes.lines().filter(|code| *code == "1").count() >= 3,
        "it was full too seldom: {codes}"
    );
    std::fs::rename(project.path("kept"), project.path("runs-kept")).unwrap();
    let _ = std::fs::remove_dir(project.path("runs"));
    std::fs::rename(project.path("runs-kept"), project.path("runs")).unwrap();
    let (expected, found) = (undisturbed.results(), project.results());
    assert_same_results(&found, &expected, "after a full disk");
}

#[test]
fn a_read_only_store_serves_what_is_there_and_refuses_what_is_not() {
    let project = Project::new();
    project.manifest(&[RETRIEVER_DENSE]);
    project.deft("index").succeed();
    let script = "
        mount --bind $project/runs/.store $project/runs/.store
        mount -o remount,ro,bind $project/runs/.store
        $deft run $project/manifest.yaml
        code=0
        $deft run $project/manifest.yaml --set retriever.encoder.init_seed=9 || code=$?
        [ $code = 1 ]
    ";
    let Some(output) = in_name_space(&project, script) else { return };
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(output.stderr.contains("Read-only file system"), "{}", output.stderr);
    assert!(output.stderr.contains("--store"), "{}", output.stderr);
}
