//! What `p3` promises as a reader, through the built library.

use std::path::PathBuf;

use deft_conformance::Library;
use serde_json::{Value, json};

/// Rows with answers, some of which the reader leaves out, and what it must make of bad ones.
struct Sources(tempfile::TempDir);

impl Sources {
    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).expect("writable");
        path
    }
}

fn rows(count: usize) -> String {
    let row = |row: usize| {
        if row % 9 == 5 {
            return String::new();
        }
        let mut fields = json!({
            "input": format!("is {row} even?"),
            "target": (["yes", "no"][row % 2]),
            "answer_choices": ["yes", "no"],
        });
        if row % 9 == 7 {
            fields["target"] = Value::Null;
        }
        fields.to_string()
    };
    (0..count).map(|number| row(number) + "\n").collect()
}

#[test]
fn p3_keeps_the_promises_of_a_reader() {
    let library = Library::of_package(env!("CARGO_PKG_NAME"));
    let sources = Sources(tempfile::tempdir().expect("a temporary folder"));
    let bad = format!("{}{{\"input\": \"cut\n", rows(3));
    let wrong = format!("{}{}", rows(4), r#"{"input": 7, "target": "yes"}"#);
    let empty = sources.write("empty.jsonl", b"");
    let bad = sources.write("bad.jsonl", bad.as_bytes());
    let wrong = sources.write("wrong.jsonl", wrong.as_bytes());
    let plain = sources.write("rows.jsonl", rows(50).as_bytes());
    let zstd = sources
        .write("rows.jsonl.zst", &zstd::encode_all(rows(50).as_bytes(), 1).expect("compressed"));
    for (source, options) in [
        (&plain, json!({})),
        (&zstd, json!({})),
        (&plain, json!({"variant": "paper", "unlabelled": "keep", "keep_extra": true})),
    ] {
        library
            .reader("p3", options)
            .with_source(source)
            .with_empty(&empty)
            .with_bad_row(&bad, 4)
            .with_bad_row(&wrong, 5)
            .check();
    }
}
