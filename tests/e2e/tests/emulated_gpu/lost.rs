//! A GPU that fails on the way: what is finished is kept, and the same command ends as if nothing had
//! been.

use std::fs;
use std::path::PathBuf;

use deft_e2e::{assert_same_results, call_fails};

use crate::machine::{Emulated, LOST_AFTER};

/// What is said of it.
const FAILED: [&str; 2] =
    ["the GPU has failed", "what is finished is kept: the same command goes on from there"];

/// A project in which a command was done, and how many launches that took.
fn undisturbed(encoder: &str, trainer: &str, command: &str) -> Option<(Emulated, u64)> {
    let project = Emulated::new(encoder, trainer)?;
    project.call(command).succeed();
    let launches = project.take_log().all_launches();
    assert!(launches > 30, "it was on the GPU: {launches} launches");
    Some((project, launches))
}

#[test]
fn units_that_were_encoded_before_a_gpu_was_lost_are_kept_and_the_others_are_done_later() {
    let Some((whole, launches)) = undisturbed(", device: cuda:0", "", "index") else { return };
    let project = Emulated::new(", device: cuda:0", "").unwrap();
    // The units are equal: the second of three is on its way.
    let call = project.call("index").env(LOST_AFTER, (launches / 2).to_string());
    call_fails(call, 1, &[FAILED[0], FAILED[1], "phase: encode", "unit: 1"]);
    assert_eq!(project.encoded(), ["part-00000.safetensors"]);
    let status = project.deft("status").succeed().stdout;
    assert!(status.contains("dense encode: 1 of 3 units, 2 failed"), "{status}");

    let stderr = project.call("index").succeed().stderr;
    assert!(stderr.contains("2 of 3 units to do"), "{stderr}");
    assert_same_results(&project.results(), &whole.results(), "after the loss of a GPU");
}

#[test]
fn a_training_whose_gpu_was_lost_goes_on_from_its_checkpoint_to_the_same_bytes() {
    let (encoder, trainer) = (", device: cpu", ", device: cuda:0");
    let Some((whole, launches)) = undisturbed(encoder, trainer, "train") else { return };
    let project = Emulated::new(encoder, trainer).unwrap();
    // In the fourth or the fifth of six steps; the second has left a checkpoint.
    let call = project.call("train").env(LOST_AFTER, (launches * 2 / 3).to_string());
    call_fails(call, 1, &FAILED);
    assert!(!project.trained().join("model").exists());
    assert_eq!(checkpoints(&project), 1);

    let stderr = project.call("train").succeed().stderr;
    assert!(stderr.contains("t5: goes on after step "), "{stderr}");
    assert!(!stderr.contains("computed on the"), "it has not changed its device:\n{stderr}");
    assert_eq!(checkpoints(&project), 0, "they are of no more use");
    assert_same_results(&project.results(), &whole.results(), "after the loss of a GPU");
}

/// How many checkpoints the training has left.
fn checkpoints(project: &Emulated) -> usize {
    let entries = |dir: PathBuf| fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let is = |path: &PathBuf, name: &str| {
        path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name))
    };
    let scratch = entries(project.trained()).filter(|path| is(path, "scratch-"));
    scratch.flat_map(entries).filter(|path| is(path, "checkpoint-")).count()
}
