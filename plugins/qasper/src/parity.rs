//! Equality with the published code, by the golden files in `parity` of the shared folder.

use std::path::PathBuf;

use deft_core::NoServices;
use deft_core::prelude::*;
use serde_json::{Value, json};

use crate::config::{QasperConfig, Variant};
use crate::evidence::{Evidence, Tally};
use crate::reader::QasperReader;

/// The lines of a golden file; none where the shared folder is absent.
fn cases(name: &str) -> Vec<Value> {
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let shared = std::env::var_os("DEFT_SHARED").map_or_else(|| here.into(), PathBuf::from);
    let path = shared.join("parity").join(name);
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: {} is not here", path.display());
        return Vec::new();
    };
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The examples that the reader makes of a file of this content.
fn read(papers: &Value, config: QasperConfig) -> Vec<Example> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("papers.json");
    std::fs::write(&path, papers.to_string()).unwrap();
    let ctx = Context::new(&NoServices, 0, 1);
    let reader = QasperReader::new(&ctx, config, Children::none()).unwrap();
    let mut stream = reader.open(&ctx, &path).unwrap();
    let mut examples = Vec::new();
    while let Some(batch) = stream.next_batch(&ctx, 100).unwrap() {
        examples.extend(batch.examples);
    }
    examples
}

#[test]
fn parity_of_prompts_and_gold() {
    let cases = cases("prompts.jsonl");
    for case in cases.iter().filter(|case| case["reader"] == "qasper_evidence_prompt") {
        let mut config = QasperConfig { variant: Variant::Paper, ..QasperConfig::default() };
        if let Some(ratio) = case["reader_args"]["negative_sample_ratio"].as_f64() {
            config.negative_sample_ratio = ratio;
        }
        let expected = case["expected"].as_array().unwrap();
        let examples = read(&case["raw"], config);
        assert_eq!(examples.len(), expected.len());
        for (example, expected) in examples.iter().zip(expected) {
            assert_eq!(example.input, expected["input"]);
            assert_eq!(json!(example.options), expected["options"]);
            assert_eq!(json!(example.gold), expected["gold"], "{}", example.input);
            for name in ["paragraph_index", "question_id", "paper_id"] {
                assert_eq!(example.extra[name], expected[name], "{name}");
            }
        }
    }
}

#[test]
fn parity_of_evidence_f1() {
    for case in cases("metrics/qasper_evidence.jsonl") {
        let of = |key: &str| case[key].as_array().unwrap().clone();
        let answer = |texts: Value| json!({"answer": {"evidence": texts}});
        let answers: Vec<Value> = of("references").into_iter().map(answer).collect();
        let question = json!({"question": "", "question_id": "", "answers": answers});
        let evidence = Evidence::of(&serde_json::from_value(question).unwrap(), Variant::Paper);
        let mut tally = Tally::new(&evidence.references(""));
        for paragraph in of("predicted") {
            tally.add(&evidence.references(paragraph.as_str().unwrap()));
        }
        let worth = tally.best().unwrap();
        for (name, value) in
            [("precision", worth.precision), ("recall", worth.recall), ("f1", worth.f1)]
        {
            assert!((value - case[name].as_f64().unwrap()).abs() < 1e-6, "{name}: {value}: {case}");
        }
    }
}
