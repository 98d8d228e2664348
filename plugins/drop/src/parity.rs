//! Equality with the original's prompts and with DROP's official script, by the golden files of the
//! shared folder.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use deft_core::NoServices;
use deft_core::metrics::{ExampleScore, aggregate};
use deft_core::prelude::*;
use serde_json::{Value, json};

use crate::annotation::OfficialAnswer;
use crate::config::Variant;
use crate::metric;
use crate::question::{self, Answer};
use crate::reader::tests::{read, read_all, reader};

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

fn text(path: &str) -> Option<String> {
    shared(path).map(|path| std::fs::read_to_string(path).unwrap())
}

fn json_lines(path: &str) -> Vec<Value> {
    let text = text(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn parity_of_prompts_with_the_original_to_the_letter() {
    for case in json_lines("parity/prompts.jsonl") {
        if case["reader"] != "drop_reader" {
            continue;
        }
        let examples = read("a.jsonl", &case["raw"].to_string(), Variant::Paper).unwrap();
        let found = examples.iter().map(|example| {
            json!({
                "input": example.input, "options": example.options, "gold": example.gold,
                "query_id": example.extra["query_id"], "target": example.target,
            })
        });
        assert_eq!(Value::from(found.collect::<Vec<_>>()), case["expected"]);
    }
}

/// The texts of a prediction: one, or a list.
fn predicted(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(texts) => texts.iter().map(|text| text.as_str().unwrap()).collect(),
        one => vec![one.as_str().unwrap()],
    }
}

fn answer(value: &Value) -> Answer {
    serde_json::from_value::<OfficialAnswer>(value.clone()).unwrap().into()
}

#[test]
fn parity_of_the_metric_with_the_official_script() {
    for case in json_lines("parity/metrics/drop.jsonl") {
        let validated = case["validated"].as_array().unwrap();
        let answers: Vec<_> = [&case["gold"]].into_iter().chain(validated).map(answer).collect();
        let found = metric::score(&predicted(&case["prediction"]), &answers);
        let is_equal =
            |found: f64, wanted: &str| (found - case[wanted].as_f64().unwrap()).abs() < 1e-6;
        assert!(is_equal(found.exact_match, "em"), "{case}: {found:?}");
        assert!(is_equal(found.f1, "f1"), "{case}: {found:?}");
    }
}

/// The scores of a whole set; a question without prediction has none right.
fn scores(examples: &[Example], predictions: &Value) -> Vec<ExampleScore> {
    let ctx = Context::new(&NoServices, 0, 1);
    let reader = reader(Variant::Fixed);
    let score = |example: &Example| {
        let id = example.extra["query_id"].as_str().unwrap();
        let Some(text) = predictions.get(id) else {
            let zero = |name: &str| (name.to_owned(), 0.0);
            return ExampleScore {
                group: question::answers(example).unwrap()[0].kind.as_str().to_owned(),
                values: BTreeMap::from(["exact_match", "f1"].map(zero)),
                ..ExampleScore::default()
            };
        };
        let text = Prediction::Text(text.as_str().unwrap().to_owned());
        let example = std::slice::from_ref(example);
        reader.score(&ctx, example, &[text]).unwrap().remove(0)
    };
    examples.iter().map(score).collect()
}

#[test]
fn parity_of_a_whole_evaluation_with_the_official_script() {
    let Some(set) = text("parity/metrics/drop_set.json") else { return };
    let set: Value = serde_json::from_str(&set).unwrap();
    let examples = read("a.json", &set["annotations"].to_string(), Variant::Fixed).unwrap();
    let scores = scores(&examples, &set["predictions"]);
    let metrics = reader(Variant::Fixed).task().metrics;
    let value = |scores: &[ExampleScore], name: &str| {
        let metric = metrics.iter().find(|metric| metric.name == name).unwrap();
        aggregate(metric, scores, 1).unwrap().value
    };
    for (name, wanted) in [("exact_match", "global_em"), ("f1", "global_f1")] {
        let wanted = set[wanted].as_f64().unwrap();
        assert!((value(&scores, name) - wanted).abs() < 1e-6, "{name}: {wanted}");
    }
    let mut kinds: HashMap<&str, Vec<ExampleScore>> = HashMap::new();
    for score in &scores {
        kinds.entry(&score.group).or_default().push(score.clone());
    }
    // `number: 119 (95.97%)`, and below it the two scores in per cent.
    let lines: Vec<_> = set["stdout"].as_array().unwrap().iter().map(Value::as_str).collect();
    let lines: Vec<&str> = lines.into_iter().map(Option::unwrap).collect();
    let first = lines.iter().position(|line| *line == "----").unwrap() + 1;
    for block in lines[first..].chunks(3) {
        let (kind, count) = block[0].split_once(": ").unwrap();
        let of_kind = &kinds[kind];
        assert!(count.starts_with(&format!("{} ", of_kind.len())), "{}", block[0]);
        for (line, name) in block[1..].iter().zip(["exact_match", "f1"]) {
            let per_cent = format!(" {:.3}", value(of_kind, name) * 100.0);
            assert!(line.ends_with(&per_cent), "{line}, found {per_cent}");
        }
    }
}

#[test]
fn the_real_rows_and_the_official_file_are_the_same_questions() {
    let Some(rows) = shared("data/tasks/drop/validation.jsonl") else { return };
    let Some(official) = shared("data/tasks/drop/validation_gold.json") else { return };
    let of_rows = read_all(&rows, Variant::Fixed, 100).unwrap();
    let of_official = read_all(&official, Variant::Fixed, 100).unwrap();
    assert_eq!(of_rows.len(), std::fs::read_to_string(rows).unwrap().lines().count());
    let id = |example: &Example| example.extra["query_id"].as_str().unwrap().to_owned();
    let by_id: HashMap<_, _> = of_official.iter().map(|example| (id(example), example)).collect();
    assert_eq!(by_id.len(), of_rows.len());
    for example in &of_rows {
        let other = by_id[&id(example)];
        assert_eq!((&example.input, &example.target), (&other.input, &other.target));
    }
}
