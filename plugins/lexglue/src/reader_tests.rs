//! Tests of the readers, on made-up records.

use super::*;
use std::fs;

use crate::config::Variant;
use crate::ledgar::Ledgar;
use crate::unfair_tos::UnfairTos;
use deft_core::NoServices;
use deft_core::metrics::by_group;
use serde_json::{Value, json};

/// The examples of one record.
pub(crate) fn read<T: Task>(record: &Value, variant: Variant) -> Result<Vec<Example>> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    fs::write(&path, record.to_string()).unwrap();
    let ctx = Context::new(&NoServices, 0, 1);
    let reader = LexglueReader::<T>::new(&ctx, LexglueConfig { variant }, Children::none())?;
    let mut stream = reader.open(&ctx, &path)?;
    let mut all = Vec::new();
    while let Some(batch) = stream.next_batch(&ctx, 3)? {
        assert!(batch.examples.len() <= 3);
        all.extend(batch.examples);
    }
    Ok(all)
}

fn unfair(labels: &Value) -> Result<Vec<Example>> {
    read::<UnfairTos>(&json!({"text": "We may stop.", "labels": labels}), Variant::Fixed)
}

#[test]
fn a_text_is_asked_about_each_kind_of_term() {
    let examples = unfair(&json!([1, 7])).unwrap();
    let golds: Vec<_> = examples.iter().map(|example| example.gold.unwrap()).collect();
    assert_eq!(golds, [1, 0, 1, 1, 1, 1, 1, 0]);
    assert_eq!(
        examples[7].input,
        "Is there an instance of Arbitration in the following text?. Answer yes or no.\n\
         Text: We may stop."
    );
    assert_eq!(examples[7].target.as_deref(), Some("yes"));
    assert_eq!(examples[7].extra["term"], "Arbitration");
}

#[test]
fn no_label_is_no_unfair_term_and_no_labels_are_no_answer() {
    assert!(unfair(&json!([])).unwrap().iter().all(|example| example.gold == Some(1)));
    let unlabelled = unfair(&Value::Null).unwrap();
    assert_eq!(unlabelled.len(), 8);
    assert!(unlabelled.iter().all(|example| example.gold.is_none() && example.target.is_none()));
}

#[test]
fn every_kind_of_term_has_an_accuracy_of_its_own() {
    let examples = unfair(&json!([0])).unwrap();
    let says_no = || Prediction::OptionScores { log_probs: vec![-2.0, -1.0], tokens: vec![1, 1] };
    let predictions: Vec<_> = examples.iter().map(|_| says_no()).collect();
    let ctx = Context::new(&NoServices, 0, 1);
    let reader = LexglueReader::<UnfairTos>(PhantomData);
    let scores = reader.score(&ctx, &examples, &predictions).unwrap();
    let groups = by_group(&reader.task().metrics, &scores, 1).unwrap();
    assert_eq!(groups.len(), 8);
    for group in groups {
        let right = f64::from(u8::from(group.group != "Limitation of liability"));
        assert_eq!(group.metrics[0].value, right, "{}", group.group);
    }
}

#[test]
fn ledgar_has_a_hundred_answers_or_those_that_the_record_names() {
    let record = json!({"text": "The law of Delaware.", "label": 47});
    let examples = read::<Ledgar>(&record, Variant::Fixed).unwrap();
    let [example] = &examples[..] else { panic!("{examples:?}") };
    assert_eq!(example.options.len(), 100);
    assert_eq!(example.target.as_deref(), Some("Governing Laws"));
    assert_eq!(
        example.input,
        "What is the main topic of the following contract provision?\nContract: The law of Delaware."
    );
    let record = json!({"text": "t", "label": 1, "label_names": ["a", "b"]});
    let examples = read::<Ledgar>(&record, Variant::Paper).unwrap();
    let [example] = &examples[..] else { panic!("{examples:?}") };
    assert_eq!((example.options.len(), example.target.as_deref()), (2, Some("b")));
}

#[test]
fn wrong_records_are_named_by_field() {
    let field = |found: Result<Vec<Example>>| {
        let error = found.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        error.context("field").map(str::to_owned)
    };
    for labels in [json!([8]), json!([-1]), json!("1"), json!(["a"])] {
        assert_eq!(field(unfair(&labels)).as_deref(), Some("labels"));
    }
    let ledgar = |record: Value| field(read::<Ledgar>(&record, Variant::Fixed));
    assert_eq!(ledgar(json!({"label": 1})).as_deref(), Some("text"));
    assert_eq!(ledgar(json!({"text": "t", "label": 100})).as_deref(), Some("label"));
    for names in [json!("a"), json!([]), json!(["a", ""]), json!(["a", "b", "a"])] {
        let record = json!({"text": "t", "label": 0, "label_names": names});
        assert_eq!(ledgar(record).as_deref(), Some("label_names"));
    }
}
