//! What the reader of DROP promises, through the built library.

use std::ops::Range;
use std::path::PathBuf;

use deft_conformance::Library;
use serde_json::{Value, json};

struct Sources(tempfile::TempDir);

impl Sources {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).expect("writable");
        path
    }
}

#[test]
fn drop_keeps_the_promises_of_a_reader_of_rows() {
    let row = |row: usize| {
        json!({
            "section_id": "s", "passage": "There are some.", "question": format!("How many {row}?"),
            "query_id": row.to_string(),
            "answers_spans": {"spans": [row.to_string()], "types": ["number"]},
        })
    };
    let line = |number: usize| match number % 10 {
        6 => String::new(),
        _ => row(number).to_string(),
    };
    let rows = |count: usize| -> String { (0..count).map(|row| line(row) + "\n").collect() };
    let sources = Sources::new();
    let source = sources.write("rows.jsonl", &rows(40));
    let bad = sources.write("bad.jsonl", &(rows(3) + "{\"passage\": \n"));
    let missing = sources.write("missing.jsonl", &(rows(5) + "{}\n"));
    let empty = sources.write("empty.jsonl", "");
    let library = Library::of_package(env!("CARGO_PKG_NAME"));
    for variant in ["fixed", "paper"] {
        library
            .reader("drop", json!({"variant": variant}))
            .with_source(&source)
            .with_empty(&empty)
            .with_bad_row(&bad, 4)
            .with_bad_row(&missing, 6)
            .check();
    }
}

/// A passage of some questions in the official form.
fn passage(questions: Range<usize>) -> Value {
    let pair = |number: usize| {
        json!({
            "question": format!("How many {number}?"), "query_id": number.to_string(),
            "answer": {"number": number.to_string(), "spans": [], "date": {}},
        })
    };
    json!({"passage": "There are some.", "qa_pairs": questions.map(pair).collect::<Vec<_>>()})
}

#[test]
fn drop_keeps_the_promises_of_a_reader_of_the_official_file() {
    let sources = Sources::new();
    let good = json!({"a": passage(0..9), "b": passage(9..9), "c": passage(9..30)});
    let bad = json!({"a": passage(0..3), "b": passage(3..6), "c": {"passage": 3}});
    let whole = passage(0..3).to_string();
    let source = sources.write("good.json", &good.to_string());
    let empty = sources.write("empty.json", "{}");
    let bad = sources.write("bad.json", &bad.to_string());
    let cut = sources.write("cut.json", &format!("{{\"a\": {whole}, \"b\": {{\"passage\": "));
    let library = Library::of_package(env!("CARGO_PKG_NAME"));
    library
        .reader("drop", json!({}))
        .with_source(&source)
        .with_empty(&empty)
        .with_bad_row(&bad, 3)
        .with_bad_row(&cut, 2)
        .check();
}
