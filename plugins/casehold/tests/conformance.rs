//! What the reader of `CaseHOLD` promises, through the built library.

use deft_conformance::Library;
use serde_json::json;

#[test]
fn casehold_keeps_the_promises_of_a_reader() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("writable");
        path
    };
    let row = |row: usize| {
        let endings: Vec<_> = (0..5).map(|ending| format!("holding {ending} of {row}")).collect();
        json!({"context": format!("Case {row} (<HOLDING>)."), "endings": endings, "label": row % 5})
    };
    let line = |number: usize| match number % 10 {
        6 => String::new(),
        _ => row(number).to_string(),
    };
    let rows = |count: usize| -> String { (0..count).map(|row| line(row) + "\n").collect() };
    let source = write("rows.jsonl", &rows(40));
    let bad = write("bad.jsonl", &(rows(3) + "{\"context\": \n"));
    let missing = write("missing.jsonl", &(rows(5) + "{}\n"));
    let empty = write("empty.jsonl", "");
    let library = Library::of_package(env!("CARGO_PKG_NAME"));
    for variant in ["fixed", "paper"] {
        library
            .reader("casehold", json!({"variant": variant}))
            .with_source(&source)
            .with_empty(&empty)
            .with_bad_row(&bad, 4)
            .with_bad_row(&missing, 6)
            .check();
    }
}
