//! A retriever is swapped by a block of the manifest.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use deft_e2e::{Project, RETRIEVER_BM25, RETRIEVER_DENSE, TRAINER, program_dir};
use serde_json::Value;

#[test]
fn changing_the_retriever_block_changes_the_selection_and_nothing_else() {
    let project = Project::new();
    let mut selections = Vec::new();
    for (name, retriever) in [("bm25", RETRIEVER_BM25), ("dense", RETRIEVER_DENSE)] {
        project.manifest(&[retriever, TRAINER]);
        let run = project.path("runs").join(name);
        let output = project.deft("run").arg("--run").arg(&run).succeed();
        for arm in ["none", "random", "retrieved"] {
            assert!(output.stdout.contains(arm), "{}", output.stdout);
            let metrics = run.join("tasks/mood").join(arm).join("seed-1/metrics.json");
            let metrics: Value = serde_json::from_slice(&std::fs::read(metrics).unwrap()).unwrap();
            assert_eq!(metrics["evaluated"], 24);
            assert_eq!(metrics["metrics"][0]["name"], "accuracy_sum");
        }
        assert!(output.stdout.contains("accuracy means nothing"), "{}", output.stdout);
        selections.push(
            std::fs::read_to_string(run.join("tasks/mood/retrieved/selection.jsonl")).unwrap(),
        );
    }
    assert_ne!(selections[0], selections[1]);
    for selection in &selections {
        let first: Value = serde_json::from_str(selection.lines().next().unwrap()).unwrap();
        for field in ["input", "target", "index_id", "attribution_frequency", "score", "rank"] {
            assert!(!first[field].is_null(), "{field} in {first}");
        }
    }
    // The pool was read once: both runs share it.
    let pools = std::fs::read_dir(project.path("runs/.store")).unwrap();
    let is_pool = |name: std::ffi::OsString| name.to_string_lossy().starts_with("pool-");
    assert_eq!(pools.filter(|entry| is_pool(entry.as_ref().unwrap().file_name())).count(), 1);
}

#[test]
fn the_rte_manifests_differ_in_name_plugins_and_retriever_alone() {
    let manifest = |name: &str| -> Value {
        let path = program_dir().join("../../manifests").join(name);
        serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    for other in ["rte-dense.yaml", "rte-fusion.yaml"] {
        let (mut bm25, mut other) = (manifest("rte-bm25.yaml"), manifest(other));
        for key in ["name", "plugins", "retriever"] {
            assert_ne!(bm25[key], other[key], "{key}");
            bm25[key] = Value::Null;
            other[key] = Value::Null;
        }
        assert_eq!(bm25, other);
    }
}

#[test]
fn a_second_run_does_nothing_again() {
    let project = Project::new();
    project.manifest(&[RETRIEVER_DENSE, TRAINER]);
    project.deft("run").succeed();
    let before = project.results();
    let model = project.path("runs/small/tasks/mood/retrieved/seed-1/model/model.safetensors");
    let written = std::fs::metadata(&model).unwrap().modified().unwrap();
    let output = project.deft("run").succeed();
    assert!(!output.stderr.contains("train mood"), "{}", output.stderr);
    assert_eq!(std::fs::metadata(&model).unwrap().modified().unwrap(), written);
    assert_eq!(project.results(), before);
}
