//! Sources of task readers in all forms but JSON lines: tables, arrays and columns.

use std::fs;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray};
use arrow_ipc::writer::{FileWriter, StreamWriter};
use deft_fuzz::{Seed, fuzz};
use parquet::arrow::ArrowWriter;
use serde_json::json;

use crate::support::{read_all, reader};

const TABLE: &str = "premise,hypothesis,label\nIt rains.,\"It is \"\"wet\"\",\nnow\",0\n\n\
                     p,h,-1\r\n\"\",\u{e9},\n";

const ARRAY: &str = r#"[{"premise": "It rains.", "hypothesis": "]}\"{[", "label": 0},
 {"premise": "p", "hypothesis": "h", "label": "1", "idx": {"a": [1, {"b": null}]}} ,
 {"premise": "", "hypothesis": "\u2028"}]
"#;

const WORDS: &[&str] = &[
    "\"", "\"\"", ",", "\r", "\n\n", "[", "]", "{", "}", "\\", "\u{feff}", "premise", "label",
    "PAR1", "ARROW1", "null",
];

/// Has a reader of task examples read whatever becomes of these files.
fn check(kind: &str, name: &str, seeds: &[Seed]) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join(name);
    let reader = reader("t0", "t0/rte", &json!({}));
    fuzz(kind, seeds, WORDS, |input| {
        fs::write(&path, input).expect("written");
        read_all(&*reader, &path);
    });
}

fn columns() -> RecordBatch {
    let mut lists = ListBuilder::new(StringBuilder::new());
    for row in 0..60 {
        lists.append_value((0..row % 3).map(|item| Some(format!("item {item}"))));
    }
    let premises: StringArray = (0..60).map(|row| Some(format!("premise {row}"))).collect();
    let hypotheses: StringArray = (0..60).map(|row| (row % 59 > 0).then_some("h")).collect();
    let labels: Int64Array = (0..60).map(|row| Some(row % 2)).collect();
    let dates: Date32Array = (0..60).map(Some).collect();
    RecordBatch::try_from_iter_with_nullable([
        ("premise", Arc::new(premises) as ArrayRef, false),
        ("hypothesis", Arc::new(hypotheses) as ArrayRef, true),
        ("label", Arc::new(labels) as ArrayRef, true),
        ("list", Arc::new(lists.finish()) as ArrayRef, true),
        ("date", Arc::new(dates) as ArrayRef, true),
    ])
    .expect("columns")
}

#[test]
fn mutated_tables_are_read_or_refused() {
    check("csv", "a.csv", &[Seed::new(TABLE)]);
}

#[test]
fn mutated_arrays_are_read_or_refused() {
    check("json-array", "a.json", &[Seed::new(ARRAY)]);
}

#[test]
fn mutated_arrow_sources_are_read_or_refused() {
    let batch = columns().slice(1, 50);
    let mut stream = StreamWriter::try_new(Vec::new(), &batch.schema()).expect("a writer");
    stream.write(&batch).expect("written");
    stream.finish().expect("written");
    let mut file = FileWriter::try_new(Vec::new(), &batch.schema()).expect("a writer");
    file.write(&batch).expect("written");
    file.finish().expect("written");
    let stream = stream.into_inner().expect("bytes");
    let file = file.into_inner().expect("bytes");
    let end = file.len();
    let seeds = [Seed::new(stream).hot(0..800), Seed::new(file).hot(end - 800..end)];
    check("arrow", "a.arrow", &seeds);
}

#[test]
fn mutated_parquet_records_are_read_or_refused() {
    let batch = columns();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("written");
    let bytes = writer.into_inner().expect("bytes");
    let end = bytes.len();
    check("parquet-records", "a.parquet", &[Seed::new(bytes).hot(end - 800..end)]);
}
