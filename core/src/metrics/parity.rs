//! Equality with the original's metrics, by the golden file of the shared folder.

use std::path::PathBuf;

use serde_json::Value;

use super::{TaskSpec, aggregate, rank_classification};
use crate::{Example, Prediction};

/// The golden cases, or none where the shared folder is absent.
fn cases() -> Vec<Value> {
    let shared = std::env::var_os("DEFT_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")),
        PathBuf::from,
    );
    let path = shared.join("parity/metrics/rank_classification.jsonl");
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: {} is not here", path.display());
        return Vec::new();
    };
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn number(value: &Value) -> usize {
    usize::try_from(value.as_u64().expect("a number")).expect("small")
}

/// An instance's options, and their scores: each as if it were of so many tokens.
fn instance(instance: &Value, tokens: u32) -> (Example, Prediction) {
    let losses = instance["nll"].as_array().expect("a list");
    let log_probs: Vec<f64> = losses.iter().map(|nll| -nll.as_f64().expect("a number")).collect();
    let example = Example {
        options: (0..log_probs.len()).map(|option| option.to_string()).collect(),
        gold: Some(number(&instance["gold"])),
        ..Example::default()
    };
    let tokens = vec![tokens; log_probs.len()];
    (example, Prediction::OptionScores { log_probs, tokens })
}

#[test]
fn parity_of_rank_classification_with_the_original_in_every_metric() {
    for (number_of_case, case) in cases().iter().enumerate() {
        let instances = case["instances"].as_array().expect("a list");
        let (examples, predictions): (Vec<_>, Vec<_>) =
            instances.iter().map(|one| instance(one, 3)).unzip();
        let scores = rank_classification(&examples, &predictions).expect("scored");
        let found: Vec<Value> = scores.iter().map(|score| score.predicted.into()).collect();
        assert_eq!(Value::from(found), case["predictions"], "case {number_of_case}");
        let spec = TaskSpec::rank_classification_about(number(&case["relevant_label_index"]));
        for metric in &spec.metrics {
            // All options have as many tokens: both rules order them alike.
            let (name, _) = metric.name.rsplit_once('_').expect("a rule");
            let wanted = case[name].as_f64().expect("a golden number");
            let found = aggregate(metric, &scores, 1).expect("aggregated").value;
            assert!(
                (found - wanted).abs() < 1e-6,
                "case {number_of_case}, {}: {found} where {wanted} is wanted",
                metric.name
            );
        }
    }
}
