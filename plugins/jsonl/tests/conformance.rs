//! What `jsonl` promises as a reader, through the built library.

use deft_conformance::Library;
use serde_json::{Value, json};

fn rows(count: usize) -> String {
    let row = |row: usize| {
        if row % 9 == 5 {
            return String::new();
        }
        let answer = ["even", "odd"][row % 2];
        json!({"question": format!("Is {row} even?"), "label": row % 2, "answer": answer})
            .to_string()
    };
    (0..count).map(|number| row(number) + "\n").collect()
}

fn check(options: Value) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("writable");
        path
    };
    let source = write("rows.jsonl", &rows(40));
    let empty = write("empty.jsonl", "");
    let malformed = write("malformed.jsonl", &(rows(3) + "{\"question\": \n"));
    let missing = write("missing.jsonl", &(rows(4) + "{\"label\": 0}\n"));
    Library::of_package(env!("CARGO_PKG_NAME"))
        .reader("jsonl", options)
        .with_source(&source)
        .with_empty(&empty)
        .with_bad_row(&malformed, 4)
        .with_bad_row(&missing, 5)
        .check();
}

#[test]
fn jsonl_keeps_the_promises_of_a_reader_that_ranks_options() {
    check(json!({"input": "{{question}}", "options": ["even", "odd"], "gold": "label"}));
}

#[test]
fn jsonl_keeps_the_promises_of_a_reader_of_generated_answers() {
    check(json!({"input": "{{question}}", "target": "It is {{answer}}."}));
}
