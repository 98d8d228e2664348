//! The schema of manifests: it accepts what the program accepts, and the reference is written from it.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::path::PathBuf;

use deft_e2e::{Deft, Project, RETRIEVER_DENSE, TRAINER, program_dir};
use serde_json::Value;

const PLUGINS: [&str; 16] = [
    "p3", "t0", "casehold", "drop", "jsonl", "lexglue", "ni", "qasper", "sciq", "t5", "bert",
    "faiss", "exact", "dense", "bm25", "fusion",
];

fn repository() -> PathBuf {
    program_dir().join("../..")
}

fn schema(arguments: &[&str]) -> String {
    Deft::new(&["schema"]).args(&PLUGINS).args(arguments).succeed().stdout
}

fn validator() -> jsonschema::Validator {
    jsonschema::validator_for(&serde_json::from_str(&schema(&[])).unwrap()).unwrap()
}

fn manifests() -> Vec<(String, Value)> {
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        (path.display().to_string(), serde_yaml::from_str(&text).unwrap())
    };
    let folders = ["manifests", "manifests/paper", "manifests/paper/small"];
    let files = folders.map(|folder| std::fs::read_dir(repository().join(folder)).unwrap());
    let files = files.into_iter().flatten().map(|entry| entry.unwrap().path());
    // A list of tasks alone is no manifest, and a component by a variable is what a schema cannot know.
    let others = ["tasks.yaml", "few-shot-ia3.yaml"];
    let is_manifest = |path: &PathBuf| {
        path.extension().is_some_and(|e| e == "yaml") && !others.iter().any(|o| path.ends_with(o))
    };
    let mut found: Vec<_> = files.filter(is_manifest).map(read).collect();
    let project = Project::new();
    project.manifest(&[RETRIEVER_DENSE, TRAINER]);
    found.push(read(project.path("manifest.yaml")));
    found
}

#[test]
fn the_schema_accepts_every_manifest_of_the_repository() {
    let validator = validator();
    assert!(manifests().len() > 18);
    for (path, manifest) in manifests() {
        let errors: Vec<String> = validator.iter_errors(&manifest).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{path}: {errors:?}");
    }
}

#[test]
fn the_schema_refuses_what_the_program_refuses() {
    let validator = validator();
    let (_, manifest) = manifests().pop().unwrap();
    for (place, value) in [
        ("/retriver", serde_json::json!("bm25")),
        ("/retriever/encoder/max_token", serde_json::json!(64)),
        ("/retriever/encoder/use", serde_json::json!("t6")),
        ("/selection/queries", serde_json::json!(0)),
        ("/seeds", serde_json::json!("one")),
        ("/tasks/0/reader", serde_json::json!("dense")),
    ] {
        let mut wrong = manifest.clone();
        let (parent, key) = place.rsplit_once('/').unwrap();
        wrong.pointer_mut(parent).unwrap()[key] = value;
        assert!(!validator.is_valid(&wrong), "{place} should be refused");
    }
}

#[test]
fn the_reference_is_what_the_program_writes() {
    let path = repository().join("docs/reference.md");
    let written = schema(&["--markdown"]);
    if std::env::var_os("DEFT_BLESS").is_some() {
        std::fs::write(&path, &written).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == kept,
        "docs/reference.md is not up to date: run this test with DEFT_BLESS=1"
    );
}
