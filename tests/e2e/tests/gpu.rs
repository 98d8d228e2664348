//! Devices and precisions of `t5`: what a build without CUDA refuses, and what a CPU does in bf16.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use deft_e2e::{Deft, Project, RETRIEVER_DENSE, TRAINER, fails};
use serde_json::{Value, json};

/// A project with options more for the encoder and for the trainer.
fn project(encoder: &str, trainer: &str) -> Project {
    let with = |block: &str, options: &str| {
        assert!(block.contains("init: random"));
        block.replace("init: random", &format!("init: random{options}"))
    };
    let project = Project::new();
    project.manifest(&[&with(RETRIEVER_DENSE, encoder), &with(TRAINER, trainer)]);
    project
}

/// Line and column of the option `device` in the manifest, as a message has them.
fn place_of_device(project: &Project) -> String {
    let path = project.path("manifest.yaml");
    let manifest = std::fs::read_to_string(&path).unwrap();
    let (line, column) = manifest
        .lines()
        .enumerate()
        .find_map(|(line, words)| Some((line + 1, words.find("device: ")? + 1)))
        .unwrap();
    format!("(at: {}:{line}:{column})", path.display())
}

#[test]
fn a_gpu_is_refused_by_a_build_without_cuda_at_its_place_and_with_a_remedy() {
    for (encoder, trainer, says) in [
        (", device: cuda:0", "", "retriever.encoder.device: this build of the plugin has no CUDA"),
        (", device: cuda:all", "", "has no CUDA (`device`: cuda:all)"),
        ("", ", device: cuda:0", "trainer.device: this build of the plugin has no CUDA"),
    ] {
        let project = project(encoder, trainer);
        let parts = [says, &place_of_device(&project), "allowed: auto, cpu;", "docs/gpu.md"];
        fails(&project, &[], 2, &parts);
        assert!(!project.path("runs").exists(), "nothing is written");
    }
}

#[test]
fn a_training_on_every_gpu_is_refused_with_the_way_to_name_one() {
    let project = project("", ", device: cuda:all");
    let says = "trainer.device: a model is trained on one GPU (`device`: cuda:all)";
    fails(&project, &[], 2, &[says, &place_of_device(&project), "`cuda:0`"]);
}

#[test]
fn a_word_that_is_no_device_is_answered_with_those_that_are() {
    let project = project(", device: gpu", "");
    let says = "retriever.encoder.device: unknown value `gpu`";
    let allowed = "allowed: auto, cpu, cuda, cuda:N, cuda:all";
    fails(&project, &[], 2, &[says, &place_of_device(&project), allowed]);
}

#[test]
fn a_whole_run_in_bf16_on_a_cpu_says_once_that_it_is_slow() {
    let project = project(", precision: bf16", ", precision: bf16");
    let output = project.deft("run").succeed();
    let slow = "warn: t5: `precision: bf16` is slow on a CPU";
    assert_eq!(output.stderr.matches(slow).count(), 1, "{}", output.stderr);
    let metrics = project.path("runs/small/tasks/mood/retrieved/seed-1/metrics.json");
    let metrics: Value = serde_json::from_slice(&std::fs::read(metrics).unwrap()).unwrap();
    assert_eq!(metrics["evaluated"], 24);
}

#[test]
fn vectors_of_another_precision_are_others_and_those_of_another_device_are_not() {
    let project = project("", "");
    let index = |option: &str| {
        let set = format!("retriever.encoder.{option}");
        project.deft("index").arg("--set").arg(set).succeed().stderr
    };
    project.deft("index").succeed();
    for same in ["precision=f32", "device=cpu"] {
        let told = index(same);
        assert!(!told.contains("units to do"), "{same}: {told}");
    }
    let told = index("precision=bf16");
    let says = "does not serve: children.encoder.options.precision is \"bf16\", was not there";
    assert!(told.contains(says), "{told}");
    assert_eq!(project.stages("t5-").len(), 2);
}

#[test]
fn inspecting_tells_devices_and_precisions_of_encoder_and_trainer() {
    let output = Deft::new(&["plugin", "inspect", "t5", "--json"]).succeed();
    let told: Value = serde_json::from_str(&output.stdout).unwrap();
    let components = told["components"].as_array().unwrap();
    assert_eq!(components.len(), 2);
    for component in components {
        let capabilities = &component["capabilities"];
        assert_eq!(capabilities["devices"], json!({"cpu": true, "cuda": false}));
        assert_eq!(capabilities["precisions"], json!(["f32", "tf32", "bf16"]));
    }
    let text = Deft::new(&["plugin", "inspect", "t5"]).succeed().stdout;
    assert_eq!(text.matches("devices: {\"cpu\":true,\"cuda\":false}").count(), 2, "{text}");
}
