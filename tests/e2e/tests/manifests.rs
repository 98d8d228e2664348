//! The manifests of the repository: each passes the check, and the small ones of the paper run to
//! their end.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fs;
use std::path::{Path, PathBuf};

use deft_e2e::{Deft, Output, program_dir, shared, skipped};
use serde_json::Value;

/// Variables that a manifest may want, each of which is a folder.
const GIVEN: [&str; 5] =
    ["DEFT_SHARED", "DEFT_ORIGINAL", "STORY_CLOZE", "NATURAL_INSTRUCTIONS", "QASPER"];

/// The small manifests, each after what it starts from.
const SMALL: [&str; 8] = [
    "p3-t5-xl",
    "baselines",
    "few-shot-ia3",
    "p3-bm25",
    "qasper",
    "super-natural-instructions",
    "supervised",
    "t0-3b",
];

/// Every task that there is data of.
const TASKS: &str = "tasks.yaml";

fn folder() -> PathBuf {
    program_dir().join("../../manifests").canonicalize().unwrap()
}

/// Files below a folder, without what runs and the demonstration leave there.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let is_left = ["runs", "data"].iter().any(|name| path.ends_with(name));
        if path.is_dir() && !is_left {
            found.extend(files(&path));
        } else if path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Whether a file is a manifest, and no list of tasks alone.
fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml") && !path.ends_with(TASKS)
}

/// Text with its variables replaced as in an environment that has those of [`GIVEN`] alone.
fn expanded(text: &str, given: &Path) -> String {
    let mut pieces = text.split("${");
    let mut out = pieces.next().unwrap().to_owned();
    for piece in pieces {
        let (inside, after) = piece.split_once('}').unwrap();
        let (name, default) = inside.split_once(":-").unwrap_or((inside, ""));
        if GIVEN.contains(&name) {
            out.push_str(&given.join(name).to_string_lossy());
        } else {
            assert!(!default.is_empty(), "the test knows nothing of the variable {name}");
            out.push_str(default);
        }
        out.push_str(after);
    }
    out
}

/// Every local file, folder or glob that a manifest reads examples from.
fn local_sources(manifest: &Value) -> Vec<String> {
    let mut blocks: Vec<&Value> = manifest["pool"].as_array().unwrap().iter().collect();
    let mut found = Vec::new();
    for task in manifest["tasks"].as_array().unwrap() {
        for key in ["query_source", "training_source", "validation_source", "evaluation_source"] {
            match &task[key] {
                Value::String(source) => found.push(source.clone()),
                part => blocks.push(part),
            }
        }
    }
    found.extend(blocks.iter().filter_map(|block| block["source"].as_str().map(str::to_owned)));
    found.retain(|source| !source.starts_with("hf://"));
    found
}

/// Puts an empty file, or folder, where a source is looked for.
fn stand_in(path: &Path) {
    let path = PathBuf::from(path.to_string_lossy().replace('*', "0"));
    if path.extension().is_none() {
        return fs::create_dir_all(&path).unwrap();
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    fs::write(&path, if is_json { "{}" } else { "" }).unwrap();
}

#[test]
fn every_manifest_of_the_repository_passes_the_check() {
    let copy = tempfile::tempdir().unwrap();
    let (copied, given) = (copy.path().join("manifests"), copy.path().join("given"));
    let manifests: Vec<PathBuf> = files(&folder())
        .iter()
        .map(|path| {
            let to = copied.join(path.strip_prefix(folder()).unwrap());
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(path, &to).unwrap();
            to
        })
        .filter(|path| is_manifest(path))
        .collect();
    assert!(manifests.len() >= 21, "{manifests:?}");
    for manifest in &manifests {
        let text = expanded(&fs::read_to_string(manifest).unwrap(), &given);
        for source in local_sources(&serde_yaml::from_str(&text).unwrap()) {
            stand_in(&manifest.parent().unwrap().join(source));
        }
        let check = Deft::new(&["check"]).arg(manifest).env("HF_HUB_CACHE", copy.path());
        let check = GIVEN.iter().fold(check, |call, name| call.env(name, given.join(name)));
        let output = check.run();
        assert_eq!(output.code, 0, "{}: {}", manifest.display(), output.stderr);
        assert!(output.stdout.contains(": fine\n"), "{}", output.stdout);
    }
}

fn read(path: &Path) -> Value {
    serde_yaml::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The options that a block has, without those that are another's in a small manifest: its model is
/// random, and what it generates is short.
fn keys(block: Option<&Value>) -> Vec<&String> {
    let map = block.and_then(Value::as_object);
    let mut keys: Vec<&String> = map.map(|map| map.keys().collect()).unwrap_or_default();
    let others = ["init", "init_seed", "tokenizer", "max_new_tokens"];
    keys.retain(|key| !others.contains(&key.as_str()));
    keys.sort();
    keys
}

#[test]
fn a_small_manifest_has_the_arms_policies_and_training_of_its_large_one() {
    let paper = folder().join("paper");
    let large: Vec<PathBuf> = files(&paper).into_iter().filter(|path| is_manifest(path)).collect();
    assert_eq!(large.len(), 2 * SMALL.len(), "each has its small one: {large:?}");
    for name in SMALL {
        let [large, small] =
            ["", "small/"].map(|dir| read(&paper.join(format!("{dir}{name}.yaml"))));
        for block in ["/arms", "/selection/policy", "/selection/contamination"] {
            assert_eq!(large.pointer(block), small.pointer(block), "{name}: {block}");
        }
        for block in ["/selection", "/trainer", "/retriever/encoder", "/retriever/index"] {
            let [large, small] = [&large, &small].map(|manifest| keys(manifest.pointer(block)));
            assert_eq!(large, small, "{name}: keys of {block}");
        }
        for value in
            ["/trainer/method", "/trainer/optimizer", "/trainer/schedule", "/trainer/modules"]
        {
            assert_eq!(large.pointer(value), small.pointer(value), "{name}: {value}");
        }
    }
}

/// Runs a small manifest in a folder of its own over the common store.
fn run_small(name: &str, shared: &Path, dir: &Path) -> Output {
    let manifest = folder().join(format!("paper/small/{name}.yaml"));
    // Baselines go on in the run that has the arms before them, as their common name has it.
    let run = if name == "baselines" { "p3-t5-xl" } else { name };
    let call = Deft::new(&["run"]).arg(manifest).arg("--run").arg(dir.join(run));
    let call = call.arg("--store").arg(dir.join("store"));
    call.env("DEFT_SHARED", shared).env("DEFT_RUN", dir.join("p3-t5-xl")).succeed()
}

/// The task and the arm of each metrics file, by name; every value in them is a number.
fn evaluated(run: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for path in files(run).iter().filter(|path| path.ends_with("metrics.json")) {
        let metrics: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        assert!(metrics["evaluated"].as_u64().unwrap() > 0, "{}", path.display());
        assert!(metrics["metrics"][0]["value"].is_f64(), "{}", path.display());
        let name = |key: &str| metrics[key].as_str().unwrap().to_owned();
        found.push((name("task"), name("arm")));
    }
    found
}

#[test]
fn the_small_manifests_of_the_paper_run_to_their_end() {
    let Some(shared) = shared() else { return skipped("no shared data") };
    let dir = tempfile::tempdir().unwrap();
    for name in SMALL {
        let output = run_small(name, &shared, dir.path());
        if name == "baselines" {
            let kept = "rte/retrieved: hits are up to date";
            assert!(output.stderr.contains(kept), "no «{kept}» in:\n{}", output.stderr);
            assert!(!output.stderr.contains("train rte/retrieved"), "{}", output.stderr);
        }
        assert!(output.stdout.contains("chance numbers"), "{name}: {}", output.stdout);
    }
    let count = |name: &str| evaluated(&dir.path().join(name)).len();
    // Fourteen tasks with two arms, and three of them with two more.
    assert_eq!(count("p3-t5-xl"), 14 * 2 + 3 * 2);
    assert_eq!(count("t0-3b"), 14);
    let expected = [("few-shot-ia3", 2), ("p3-bm25", 3), ("qasper", 3), ("supervised", 4)];
    for (name, runs) in expected {
        assert_eq!(count(name), runs, "{name}");
    }
    assert_eq!(count("super-natural-instructions"), 3 * 2);
}

#[test]
fn the_list_of_tasks_names_those_that_there_is_no_data_of() {
    let nowhere = tempfile::tempdir().unwrap();
    let call = Deft::new(&["evaluate", "--skip-missing", "--trainer"]);
    let trainer =
        format!("{{use: t5, model: {}, init: random}}", folder().join("models/t5-mini").display());
    let output =
        call.arg(&trainer).arg(folder().join(TASKS)).env("DEFT_SHARED", nowhere.path()).run();
    let told = format!("{}{}", output.stdout, output.stderr);
    for task in ["rte", "anli_r3", "wsc_train", "unfair_tos", "qasper_synthetic", "boolq"] {
        assert!(told.contains(task), "no «{task}» in {told}");
    }
    assert_ne!(output.code, 2, "readers and options are as they should be: {told}");
}
