//! Tests of the reader, on made-up records.

use super::*;
use std::fs;

use crate::config::Variant;
use deft_core::NoServices;
use serde_json::{Value, json};

/// Everything in a source.
pub(crate) fn read_all(source: &Path, variant: Variant) -> Result<Batch> {
    let ctx = Context::new(&NoServices, 0, 1);
    let reader = SciqReader::new(&ctx, SciqConfig { variant }, Children::none())?;
    let mut stream = reader.open(&ctx, source)?;
    let mut all = Batch::default();
    while let Some(batch) = stream.next_batch(&ctx, 100)? {
        all.examples.extend(batch.examples);
        all.skipped.extend(batch.skipped);
    }
    Ok(all)
}

/// The examples of some records.
pub(crate) fn read(records: &[Value], variant: Variant) -> Result<Vec<Example>> {
    Ok(read_batch(records, variant)?.examples)
}

fn read_batch(records: &[Value], variant: Variant) -> Result<Batch> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    let lines: Vec<_> = records.iter().map(|record| record.to_string() + "\n").collect();
    fs::write(&path, lines.concat()).unwrap();
    read_all(&path, variant)
}

fn record(number: usize) -> Value {
    json!({
        "question": format!("What is {number}?"), "support": "A text.", "distractor1": "a",
        "distractor2": "b", "distractor3": "c", "correct_answer": "right",
    })
}

#[test]
fn the_right_answer_is_the_third_in_the_papers_order() {
    for example in read(&[record(1), record(2)], Variant::Paper).unwrap() {
        assert_eq!(example.options, ["c", "b", "right", "a"]);
        assert_eq!((example.gold, example.target.as_deref()), (Some(2), Some("right")));
        assert!(example.input.ends_with("?\nChoices:\n-c\n-b\n-right\n-a"), "{}", example.input);
    }
}

#[test]
fn the_right_answer_is_anywhere_in_the_fixed_order_and_stays_where_it_is() {
    let records: Vec<_> = (0..400).map(record).collect();
    let examples = read(&records, Variant::Fixed).unwrap();
    for position in 0..4 {
        let there = examples.iter().filter(|example| example.gold == Some(position)).count();
        assert!((60..=140).contains(&there), "{there} of 400 at {position}");
    }
    for (example, record) in examples.iter().zip(&records).take(5) {
        assert_eq!(example.options[example.gold.unwrap()], "right");
        assert_eq!(read(std::slice::from_ref(record), Variant::Fixed).unwrap()[0], *example);
    }
}

#[test]
fn answers_that_leave_no_choice_are_left_out_unless_it_is_the_paper() {
    let check = |answer: &str, reason: &str| {
        let mut spoilt = record(2);
        spoilt["distractor2"] = answer.into();
        let records = [record(1), spoilt];
        let batch = read_batch(&records, Variant::Fixed).unwrap();
        assert_eq!(batch.examples.len(), 1);
        assert_eq!(batch.skipped, [SkippedRow { row: 2, reason: reason.to_owned() }]);
        assert_eq!(read(&records, Variant::Paper).unwrap().len(), 2);
    };
    check("", "an answer choice is empty");
    check("right", "two answer choices are equal");
}

#[test]
fn of_two_right_answers_the_paper_takes_the_first() {
    let mut twice = record(1);
    twice["distractor3"] = "right".into();
    let paper = read(std::slice::from_ref(&twice), Variant::Paper).unwrap();
    assert_eq!(paper[0].options, ["right", "b", "right", "a"]);
    assert_eq!(paper[0].gold, Some(0), "Python's `index` finds the first");
}

#[test]
fn a_missing_answer_is_named() {
    let mut record = record(1);
    record["distractor2"] = Value::Null;
    let error = read(&[record], Variant::Fixed).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert_eq!(error.context("field"), Some("distractor2"));
}
