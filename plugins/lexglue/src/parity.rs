//! Equality with the original's prompts, by the golden file of the shared folder.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::config::Variant;
use crate::labels::LABELS;
use crate::ledgar::Ledgar;
use crate::reader::Task;
use crate::reader::tests::read;
use crate::unfair_tos::UnfairTos;

/// The golden cases of one of the original's readers, or none where the shared folder is absent.
fn cases(reader: &str) -> Vec<Value> {
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let root = std::env::var_os("DEFT_SHARED").map_or_else(|| here.into(), PathBuf::from);
    let path = root.join("parity/prompts.jsonl");
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: {} is not here", path.display());
        return Vec::new();
    };
    let cases = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    cases.filter(|case| case["reader"] == reader).collect()
}

fn check<T: Task>(case: &Value) {
    let found = read::<T>(&case["raw"], Variant::Paper).unwrap();
    let found = found.iter().map(
        |example| json!({"input": example.input, "options": example.options, "gold": example.gold}),
    );
    assert_eq!(Value::from(found.collect::<Vec<_>>()), case["expected"]);
}

#[test]
fn parity_of_unfair_tos_prompts_with_the_original_to_the_letter() {
    cases("unfair_tos_reader").iter().for_each(check::<UnfairTos>);
}

#[test]
fn parity_of_ledgar_prompts_with_the_original_to_the_letter() {
    for case in cases("ledgar_reader") {
        check::<Ledgar>(&case);
        // The labels that are built in are those of the data set.
        let mut without_names = case.clone();
        without_names["raw"].as_object_mut().unwrap().remove("label_names");
        assert_eq!(case["raw"]["label_names"], json!(LABELS.to_vec()));
        check::<Ledgar>(&without_names);
    }
}
