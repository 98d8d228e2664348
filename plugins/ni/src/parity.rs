//! Equality with the published code, by the golden files in `parity` of the shared folder.

use std::collections::HashMap;
use std::path::PathBuf;

use deft_core::NoServices;
use deft_core::prelude::*;
use serde_json::{Value, json};

use crate::config::{NiConfig, Variant};
use crate::metric::{Worth, slug, worth};
use crate::reader::NiReader;
use crate::report::{Mean, means};

/// A path of the shared folder, or a note that the test is skipped.
fn shared(path: &str) -> Option<PathBuf> {
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let root = std::env::var_os("DEFT_SHARED").map_or_else(|| here.into(), PathBuf::from);
    let path = root.join(path);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not here", path.display());
    None
}

/// The lines of a golden file; none where the shared folder is absent.
fn cases(path: &str) -> Vec<Value> {
    let Some(path) = shared(path) else { return Vec::new() };
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The example of a row, by the published code's arguments.
fn read(row: &Value, arguments: &Value, tokenizer: &str) -> Example {
    let number = |name: &str| arguments[name].as_u64().map(|n| usize::try_from(n).unwrap());
    let config = NiConfig {
        variant: Variant::Paper,
        definition: arguments["add_task_definition"].as_bool().unwrap_or(true),
        positive_examples: number("num_pos_examples").unwrap_or(0),
        negative_examples: number("num_neg_examples").unwrap_or(0),
        max_tokens: number("max_query_length"),
        tokenizer: Some(tokenizer.to_owned()),
        ..NiConfig::default()
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("row.jsonl");
    std::fs::write(&path, row.to_string()).unwrap();
    let ctx = Context::new(&NoServices, 0, 1);
    let reader = NiReader::new(&ctx, config, Children::none()).unwrap();
    let mut stream = reader.open(&ctx, &path).unwrap();
    let mut examples = stream.next_batch(&ctx, 9).unwrap().unwrap().examples;
    assert_eq!(examples.len(), 1);
    examples.remove(0)
}

#[test]
fn parity_of_prompts_and_targets() {
    let Some(tokenizer) = shared("models/t5-tokenizer") else { return };
    let tokenizer = tokenizer.display().to_string();
    let cases = cases("parity/prompts.jsonl");
    for case in cases.iter().filter(|case| case["reader"] == "ni_reader") {
        let example = read(&case["raw"], &case["reader_args"], &tokenizer);
        let expected = &case["expected"][0];
        assert_eq!(example.input, expected["input"]);
        assert_eq!(example.extra["id"], expected["id"]);
        // Each case was made by a program of its own: its output is the first that is drawn.
        assert_eq!(json!(example.target), expected["target"]);
    }
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

#[test]
fn parity_of_rouge_l_and_exact_match() {
    for case in cases("parity/metrics/rouge_l.jsonl") {
        let prediction = case["prediction"].as_str().unwrap();
        let Worth { exact_match, rouge_l } =
            worth(prediction, &texts(&case["references"])).unwrap();
        for (name, value) in [("exact_match", exact_match), ("rouge_l", rouge_l)] {
            assert!((value - case[name].as_f64().unwrap()).abs() < 1e-6, "{name}: {value}: {case}");
        }
    }
}

/// The numbers of the published evaluation, by its names: percentages with four decimals.
fn published(set: &Value) -> HashMap<String, f64> {
    let predictions: HashMap<_, _> = set["predictions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (line["id"].as_str().unwrap(), line["prediction"].as_str().unwrap()))
        .collect();
    let mut answers = Vec::new();
    for line in set["references"].as_array().unwrap() {
        let prediction = predictions.get(line["id"].as_str().unwrap()).copied().unwrap_or("");
        let worth = worth(prediction, &texts(&line["references"])).unwrap();
        let task = line["task_id"].as_str().unwrap().to_owned();
        // The other track counts the tokens of GPT-2, which the README says is missing.
        if line["track"].as_str().unwrap_or("default") == "default" {
            let category = slug(line["task_category"].as_str().unwrap());
            answers.extend([String::new(), category, task].map(|group| (group, worth)));
        }
    }
    let mut numbers = HashMap::new();
    let answers = answers.iter().map(|(group, worth)| (group.as_str(), *worth));
    for (group, Mean { worth, .. }) in means(answers) {
        let group = if group.is_empty() { String::new() } else { format!("_for_{group}") };
        for (name, value) in [("exact_match", worth.exact_match), ("rougeL", worth.rouge_l)] {
            numbers.insert(format!("{name}{group}_default_track"), 100.0 * value);
        }
    }
    numbers
}

#[test]
fn parity_of_means_by_category_and_task() {
    let Some(path) = shared("parity/metrics/ni_eval.json") else { return };
    let set: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let numbers = published(&set);
    let wanted = set["results"].as_object().unwrap();
    for (name, value) in wanted.iter().filter(|(name, _)| name.ends_with("_default_track")) {
        let found = numbers.get(name).unwrap_or_else(|| panic!("{name} is missing"));
        // The published numbers are rounded to four decimals.
        assert!((found - value.as_f64().unwrap()).abs() < 5e-5 + 1e-6, "{name}: {found}, {value}");
    }
}
