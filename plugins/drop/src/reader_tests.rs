//! Tests of the reader, on made-up sources.

use super::*;
use std::fs;

use deft_core::NoServices;
use deft_core::metrics::{aggregate, by_group};
use serde_json::{Value, json};

pub(crate) fn reader(variant: Variant) -> DropReader {
    DropReader(DropConfig { variant })
}

/// The examples of a source.
pub(crate) fn read_all(source: &Path, variant: Variant, max: usize) -> Result<Vec<Example>> {
    Ok(read_source(source, variant, max)?.examples)
}

/// Everything in a source.
fn read_source(source: &Path, variant: Variant, max: usize) -> Result<Batch> {
    let ctx = Context::new(&NoServices, 0, 1);
    let mut stream = reader(variant).open(&ctx, source)?;
    let mut all = Batch::default();
    while let Some(batch) = stream.next_batch(&ctx, max)? {
        assert!(batch.examples.len() + batch.skipped.len() <= max);
        all.examples.extend(batch.examples);
        all.skipped.extend(batch.skipped);
    }
    Ok(all)
}

/// The examples of a file of this name and content.
pub(crate) fn read(name: &str, content: &str, variant: Variant) -> Result<Vec<Example>> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, content).unwrap();
    read_all(&path, variant, 3)
}

fn row(number: usize, answers: &Value) -> Value {
    json!({
        "section_id": "s", "passage": "P.", "question": format!("Q{number}?"),
        "query_id": number.to_string(), "answers_spans": answers,
    })
}

fn official() -> String {
    let pair = |number: usize| {
        let spans = ["Mare", "Folk"];
        let answer =
            json!({"number": "", "date": {"day": "", "month": "", "year": ""}, "spans": spans});
        json!({
            "question": format!("Q{number}?"), "query_id": number.to_string(), "answer": answer,
            "validated_answers": [],
        })
    };
    let passage = |numbers: std::ops::Range<usize>| json!({"passage": "P.", "qa_pairs": numbers.map(pair).collect::<Vec<_>>()});
    json!({"s": passage(0..5), "t": passage(5..5), "u": passage(5..7)}).to_string()
}

#[test]
fn the_official_file_and_the_rows_give_the_same_examples() {
    let answers = json!({"spans": ["Mare", "Folk"], "types": ["span", "span"]});
    let rows: Vec<_> = (0..5).map(|number| row(number, &answers).to_string() + "\n").collect();
    for variant in [Variant::Fixed, Variant::Paper] {
        let of_official = read("a.json", &official(), variant).unwrap();
        let of_rows = read("a.jsonl", &rows.concat(), variant).unwrap();
        assert_eq!(of_official.len(), 7);
        assert_eq!(of_official[..5], of_rows);
    }
}

#[test]
fn batches_of_any_length_give_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.json");
    fs::write(&path, official()).unwrap();
    let whole = read_all(&path, Variant::Fixed, 100).unwrap();
    for max in [1, 2, 5] {
        assert_eq!(read_all(&path, Variant::Fixed, max).unwrap(), whole);
    }
}

#[test]
fn what_the_paper_leaves_out_of_the_official_file_is_counted_by_passage() {
    let pair =
        |id: &str, answer: Value| json!({"question": "Q?", "query_id": id, "answer": answer});
    let both = json!({"number": "3", "spans": ["three"]});
    let passage = |pairs: Value| json!({"passage": "P.", "qa_pairs": pairs});
    let first = passage(json!([pair("1", json!({"number": 0}))]));
    let second = passage(json!([pair("2", both), pair("3", json!({}))]));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.json");
    fs::write(&path, json!({"s": first, "t": second}).to_string()).unwrap();
    for max in [1, 2, 9] {
        let paper = read_source(&path, Variant::Paper, max).unwrap();
        assert_eq!(paper.examples.len(), 1);
        assert_eq!(paper.examples[0].target.as_deref(), Some("0"));
        let reasons: Vec<_> = paper.skipped.iter().map(|s| (s.row, s.reason.as_str())).collect();
        assert_eq!(reasons, [(2, "an answer is of two kinds"), (2, "the answer is empty")]);
    }
    let fixed = read_source(&path, Variant::Fixed, 9).unwrap();
    assert_eq!((fixed.examples.len(), fixed.skipped.len()), (3, 0));
}

#[test]
fn rows_without_kinds_of_answers_are_read_with_the_first_text_as_target() {
    let row = row(1, &json!({"spans": ["3", "4"]})).to_string();
    let examples = read("a.jsonl", &row, Variant::Paper).unwrap();
    assert_eq!(examples[0].target.as_deref(), Some("3"));
}

#[test]
fn rows_without_answers_are_examples_without_target() {
    for answers in [Value::Null, json!({"spans": [], "types": []})] {
        let examples = read("a.jsonl", &row(1, &answers).to_string(), Variant::Paper).unwrap();
        assert_eq!((&examples[0].target, examples[0].options.len()), (&None, 0));
        assert_eq!(
            Value::from(examples[0].extra.clone()),
            json!({"section_id": "s", "query_id": "1"})
        );
    }
}

#[test]
fn answers_of_another_form_are_refused_by_field() {
    for answers in [
        json!("3"),
        json!(["3"]),
        json!({"types": ["span"]}),
        json!({"spans": ["3"], "types": []}),
        json!({"spans": [3], "types": ["number"]}),
        json!({"spans": ["3"], "types": ["word"]}),
    ] {
        let error = read("a.jsonl", &row(1, &answers).to_string(), Variant::Fixed).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        assert_eq!(error.context("field"), Some("answers_spans"), "{answers}");
    }
}

#[test]
fn scores_are_the_best_of_all_right_answers_and_grouped_by_kind() {
    let answers = [
        json!({"spans": ["3", "4"], "types": ["number", "number"]}),
        json!({"spans": ["Olindo Mare"], "types": ["span"]}),
    ];
    let rows: Vec<_> = answers.iter().map(|answers| row(1, answers).to_string() + "\n").collect();
    let examples = read("a.jsonl", &rows.concat(), Variant::Fixed).unwrap();
    let predictions = ["4.0", "Mare"].map(|text| Prediction::Text(text.to_owned()));
    let ctx = Context::new(&NoServices, 0, 1);
    let reader = reader(Variant::Fixed);
    let scores = reader.score(&ctx, &examples, &predictions).unwrap();
    let metrics = reader.task().metrics;
    let value = |metric| aggregate(metric, &scores, 1).unwrap().value;
    assert_eq!(metrics.iter().map(value).collect::<Vec<_>>(), [f64::midpoint(1.0, 0.67), 0.5]);
    let groups = by_group(&metrics, &scores, 1).unwrap();
    let groups: Vec<_> =
        groups.iter().map(|one| (one.group.as_str(), one.metrics[0].value)).collect();
    assert_eq!(groups, [("number", 1.0), ("span", 0.67)]);
}

#[test]
fn what_cannot_be_scored_is_refused() {
    let ctx = Context::new(&NoServices, 0, 1);
    let kind = |example: Example, prediction: Prediction| {
        let scored = reader(Variant::Fixed).score(&ctx, &[example], &[prediction]);
        scored.unwrap_err().kind()
    };
    let text = Prediction::Text("3".to_owned());
    assert_eq!(kind(Example::default(), text), ErrorKind::Data);
    let scores = Prediction::OptionScores { log_probs: vec![0.0], tokens: vec![1] };
    assert_eq!(kind(Example::default(), scores), ErrorKind::Unexpected);
}
