//! Tests of the reader, on made-up records.

use super::*;
use std::fs;

use crate::config::Variant;
use deft_core::NoServices;
use serde_json::{Value, json};

/// Everything in a source.
pub(crate) fn read_all(source: &Path, variant: Variant) -> Result<Batch> {
    let ctx = Context::new(&NoServices, 0, 1);
    let reader = CaseholdReader::new(&ctx, CaseholdConfig { variant }, Children::none())?;
    let mut stream = reader.open(&ctx, source)?;
    let mut all = Batch::default();
    while let Some(batch) = stream.next_batch(&ctx, 100)? {
        all.examples.extend(batch.examples);
        all.skipped.extend(batch.skipped);
    }
    Ok(all)
}

/// What one record gives.
pub(crate) fn read(record: &Value, variant: Variant) -> Result<Batch> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    fs::write(&path, record.to_string()).unwrap();
    read_all(&path, variant)
}

fn record() -> Value {
    json!({"context": "See X (<HOLDING>).", "endings": ["a", "b", "c", "d", "e"], "label": 3})
}

fn few_shot() -> Value {
    json!({"input": "Which?", "answer_choices": ["a", "b", "c", "d", "e"], "target": 1})
}

#[test]
fn the_five_holdings_are_lettered_and_are_the_options() {
    for variant in [Variant::Fixed, Variant::Paper] {
        let batch = read(&record(), variant).unwrap();
        let [example] = &batch.examples[..] else { panic!("{batch:?}") };
        assert_eq!(
            example.input,
            "What is the correct holding statement for the following text?\n\
             Text: See X (<HOLDING>). \n(A): a\n(B): b\n(C): c\n(D): d\n(E): e"
        );
        assert_eq!(example.options, ["a", "b", "c", "d", "e"]);
        assert_eq!((example.target.as_deref(), example.gold), (Some("d"), Some(3)));
        assert_eq!(example.provenance.dataset, "lex_glue");
    }
}

#[test]
fn a_record_without_label_is_an_example_without_target() {
    let mut record = record();
    record["label"] = Value::Null;
    let batch = read(&record, Variant::Fixed).unwrap();
    assert_eq!((&batch.examples[0].target, batch.examples[0].gold), (&None, None));
}

#[test]
fn few_shot_rows_are_read_unless_it_is_the_papers_variant() {
    let batch = read(&few_shot(), Variant::Fixed).unwrap();
    assert_eq!(batch.examples[0].input, "Which?");
    assert_eq!(batch.examples[0].target.as_deref(), Some("b"));
    assert!(batch.skipped.is_empty());
    let batch = read(&few_shot(), Variant::Paper).unwrap();
    assert!(batch.examples.is_empty());
    assert_eq!(batch.skipped[0].reason, "target is not a string");
}

#[test]
fn holdings_that_leave_no_choice_are_left_out_unless_it_is_the_paper() {
    let check = |holdings: Value, reason: &str| {
        let raw = json!({"context": "c", "endings": holdings, "label": 0});
        let few_shot = json!({"input": "i", "answer_choices": holdings, "target": 0});
        for record in [&raw, &few_shot] {
            let batch = read(record, Variant::Fixed).unwrap();
            assert!(batch.examples.is_empty());
            assert_eq!(batch.skipped, [SkippedRow { row: 1, reason: reason.to_owned() }]);
        }
        assert_eq!(read(&raw, Variant::Paper).unwrap().examples.len(), 1);
    };
    check(json!(["a", "b", " ", "d", "e"]), "an answer choice is empty");
    check(json!(["a", "b", "c", "d", "a"]), "two answer choices are equal");
}

#[test]
fn wrong_records_are_named_by_field() {
    let field = |changed: &str, value: Value| {
        let mut record = record();
        record[changed] = value;
        let error = read(&record, Variant::Fixed).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        error.context("field").map(str::to_owned)
    };
    assert_eq!(field("endings", json!(["a", "b"])).as_deref(), Some("endings"));
    assert_eq!(field("endings", json!([1, 2, 3, 4, 5])).as_deref(), Some("endings"));
    assert_eq!(field("label", json!(5)).as_deref(), Some("label"));
    assert_eq!(field("context", json!(7)).as_deref(), Some("context"));
    let error = read(&json!({"label": 1}), Variant::Fixed).unwrap_err();
    assert_eq!(error.context("field"), Some("context"));
}
