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
    for case in cases.filter(|case| case["reader"] == "casehold_reader") {
        let batch = read(&case["raw"], Variant::Paper).unwrap();
        let found = batch.examples.iter().map(|example| {
            json!({"input": example.input, "options": example.options, "gold": example.gold})
        });
        assert_eq!(Value::from(found.collect::<Vec<_>>()), case["expected"]);
    }
}

#[test]
fn the_few_shot_rows_are_the_prompts_of_their_records() {
    let Some(records) = shared("data/tasks/casehold/train.jsonl") else { return };
    let Some(few_shot) = shared("data/few_shot/casehold/32_shot/0_seed.jsonl") else { return };
    let of_records = read_all(&records, Variant::Fixed).unwrap().examples;
    let of_few_shot = read_all(&few_shot, Variant::Fixed).unwrap().examples;
    assert_eq!(of_few_shot.len(), 32);
    let is_record = |example| of_records.contains(&example);
    assert!(of_few_shot.into_iter().all(is_record));
}
