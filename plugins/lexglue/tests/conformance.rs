//! What the readers of `LexGLUE`'s tasks promise, through the built library.

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
    let bad = write("bad.jsonl", &(rows(3) + "{\"text\": \n"));
    let missing = write("missing.jsonl", &(rows(5) + "{}\n"));
    let empty = write("empty.jsonl", "");
    let library = Library::of_package(env!("CARGO_PKG_NAME"));
    for variant in ["fixed", "paper"] {
        library
            .reader(&format!("lexglue/{task}"), json!({"variant": variant}))
            .with_source(&source)
            .with_empty(&empty)
            .with_bad_row(&bad, 4)
            .with_bad_row(&missing, 6)
            .check();
    }
}

#[test]
fn unfair_tos_keeps_the_promises_of_a_reader() {
    check("unfair_tos", |row| json!({"text": format!("Term {row}."), "labels": [row % 8]}));
}

#[test]
fn ledgar_keeps_the_promises_of_a_reader() {
    check("ledgar", |row| json!({"text": format!("Provision {row}."), "label": row % 100}));
}
