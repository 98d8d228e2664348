//! Equality with the original's prompts, by the golden file of the shared folder.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::config::Variant;
use crate::reader::tests::{read, read_all};

/// A path of the shared files, if they are here.
fn shared(path: &str) -> Option<PathBuf> {
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let root = std::env::var_os("DEFT_SHARED").map_or_else(|| here.into(), PathBuf::from);
    let path = root.join(path);
    if !path.exists() {
        println!("skipped: {} is not here", path.display());
        return None;
    }
    Some(path)
}

#[test]
fn parity_of_prompts_with_the_original_to_the_letter() {
    let Some(path) = shared("parity/prompts.jsonl") else { return };
    let cases = std::fs::read_to_string(path).unwrap();
    let cases = cases.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    for case in cases.filter(|case| case["reader"] == "sciq_reader") {
        let examples = read(&[case["raw"].clone()], Variant::Paper).unwrap();
        let found = examples.iter().map(|example| {
            json!({"input": example.input, "options": example.options, "gold": example.gold})
        });
        assert_eq!(Value::from(found.collect::<Vec<_>>()), case["expected"]);
    }
}

#[test]
fn the_real_set_is_read_whole() {
    let Some(path) = shared("data/tasks/sciq/validation.jsonl") else { return };
    let lines = std::fs::read_to_string(&path).unwrap().lines().count();
    for (variant, without_choice) in [(Variant::Fixed, 2), (Variant::Paper, 0)] {
        let batch = read_all(&path, variant).unwrap();
        assert_eq!(batch.skipped.len(), without_choice);
        assert_eq!(batch.examples.len() + batch.skipped.len(), lines);
        assert!(batch.examples.iter().all(|example| example.gold.is_some()));
    }
}
