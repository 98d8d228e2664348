//! What the reader of `SciQ` promises, through the built library.

use deft_conformance::Library;
use serde_json::json;

#[test]
fn sciq_keeps_the_promises_of_a_reader() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("writable");
        path
    };
    let row = |row: usize| {
        json!({
            "question": format!("What is {row}?"), "support": "It is.", "correct_answer": "this",
            "distractor1": "that", "distractor2": "those", "distractor3": "none",
        })
    };
    let line = |number: usize| match number % 10 {
        6 => String::new(),
        _ => row(number).to_string(),
    };
    let rows = |count: usize| -> String { (0..count).map(|row| line(row) + "\n").collect() };
    let source = write("rows.jsonl", &rows(40));
    let bad = write("bad.jsonl", &(rows(3) + "{\"question\": \n"));
    let missing = write("missing.jsonl", &(rows(5) + "{}\n"));
    let empty = write("empty.jsonl", "");
    let library = Library::of_package(env!("CARGO_PKG_NAME"));
    for variant in ["fixed", "paper"] {
        library
            .reader("sciq", json!({"variant": variant}))
            .with_source(&source)
            .with_empty(&empty)
            .with_bad_row(&bad, 4)
            .with_bad_row(&missing, 6)
            .check();
    }
}
