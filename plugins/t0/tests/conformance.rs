//! What the readers of T0's tasks promise, through the built library.

use deft_conformance::Library;
use serde_json::{Value, json};

/// Checks a reader on records made of their number.
fn check(task: &str, record: fn(usize) -> Value) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("writable");
        path
    };
    let rows = |count: usize| -> String {
        let line = |row: usize| if row % 10 == 6 { String::new() } else { record(row).to_string() };
        (0..count).map(|row| line(row) + "\n").collect()
    };
    let source = write("rows.jsonl", &rows(40));
    let bad = write("bad.jsonl", &(rows(3) + "{\"premise\": \n"));
    let missing = write("missing.jsonl", &(rows(5) + "{}\n"));
    let empty = write("empty.jsonl", "");
    let library = Library::of_package(env!("CARGO_PKG_NAME"));
    for variant in ["fixed", "paper"] {
        library
            .reader(&format!("t0/{task}"), json!({"variant": variant}))
            .with_source(&source)
            .with_empty(&empty)
            .with_bad_row(&bad, 4)
            .with_bad_row(&missing, 6)
            .check();
    }
}

/// A record of RTE, or of a task with its fields and so many labels.
fn inference(row: usize, labels: usize) -> Value {
    json!({"premise": "It rains.", "hypothesis": "It is wet.", "label": row % labels})
}

#[test]
fn rte_keeps_the_promises_of_a_reader() {
    check("rte", |row| inference(row, 2));
}

#[test]
fn cb_keeps_the_promises_of_a_reader() {
    check("cb", |row| inference(row, 3));
}

#[test]
fn the_rounds_of_anli_keep_the_promises_of_a_reader() {
    for task in ["anli_r1", "anli_r2", "anli_r3"] {
        check(task, |row| inference(row, 3));
    }
}

#[test]
fn hellaswag_keeps_the_promises_of_a_reader() {
    check("hellaswag", |row| {
        json!({
            "ind": row, "ctx_a": "A man sits on a roof.", "ctx_b": "he",
            "endings": ["sleeps.", "sings.", "falls.", "waits."], "label": (row % 4).to_string(),
        })
    });
}

#[test]
fn story_cloze_keeps_the_promises_of_a_reader() {
    check("story_cloze", |row| {
        json!({
            "story_id": row.to_string(), "input_sentence_1": "It rained.",
            "input_sentence_2": "Ann went out.", "input_sentence_3": "She had no umbrella.",
            "input_sentence_4": "She met Bo.", "sentence_quiz1": "She was wet.",
            "sentence_quiz2": "She was dry.", "answer_right_ending": row % 2 + 1,
        })
    });
}

#[test]
fn winogrande_keeps_the_promises_of_a_reader() {
    check("winogrande", |row| {
        json!({
            "sentence": "Ann thanked Bo because _ had helped.", "option1": "Ann",
            "option2": "Bo", "answer": (row % 2 + 1).to_string(),
        })
    });
}

#[test]
fn wsc_keeps_the_promises_of_a_reader() {
    check("wsc", |row| {
        json!({
            "text": "Ann thanked Bo because he had helped.", "span1_text": "Bo",
            "span2_text": "he", "idx": row, "label": row % 2,
        })
    });
}

#[test]
fn copa_keeps_the_promises_of_a_reader() {
    check("copa", |row| {
        json!({
            "premise": "The grass is wet.", "choice1": "It rained.", "choice2": "It was cut.",
            "question": (["cause", "effect"][row / 2 % 2]), "label": row % 2,
        })
    });
}

#[test]
fn wic_keeps_the_promises_of_a_reader() {
    check("wic", |row| {
        json!({
            "word": "bank", "sentence1": "The bank is closed.",
            "sentence2": "The bank is muddy.", "idx": row, "label": row % 2,
        })
    });
}
