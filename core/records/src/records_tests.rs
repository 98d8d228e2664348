//! Tests of records over all forms, and of what is wrong with a file.

use super::*;
use std::fs::{self, File};
use std::io::Write;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_ipc::writer::StreamWriter;
use parquet::arrow::ArrowWriter;
use serde_json::json;

/// Records as their row and fields, skipped lines as their row.
fn read(path: &Path) -> Result<Vec<Value>> {
    let mut records = Records::open(path)?;
    let mut read = Vec::new();
    while let Some(entry) = records.advance()? {
        read.push(match entry {
            Entry::Record(record) => json!([record.row(), record.fields()]),
            Entry::Skipped(skipped) => {
                assert_eq!(skipped.reason, "empty line");
                json!(skipped.row)
            }
        });
    }
    Ok(read)
}

fn read_text(name: &str, content: &[u8]) -> Result<Vec<Value>> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, content).unwrap();
    read(&path)
}

/// The error of a file of this content, with its path shortened to the name.
fn error_of(name: &str, content: &[u8]) -> (String, Option<String>) {
    let error = read_text(name, content).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    let path = error.context("file").expect("a file").to_owned();
    (error.to_string().replace(&path, name), error.hint().map(str::to_owned))
}

fn batch() -> RecordBatch {
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
    let labels: ArrayRef = Arc::new(Int64Array::from(vec![0, 1]));
    RecordBatch::try_from_iter([("text", texts), ("label", labels)]).unwrap()
}

#[test]
fn every_form_gives_the_same_records() {
    let dir = tempfile::tempdir().unwrap();
    let check = |name: &str, rows: [u64; 2], label: fn(u64) -> Value| {
        let expected = [
            json!([rows[0], {"text": "a", "label": label(0)}]),
            json!([rows[1], {"text": "b", "label": label(1)}]),
        ];
        assert_eq!(read(&dir.path().join(name)).unwrap(), expected, "{name}");
    };
    let number = |label: u64| Value::from(label);
    let string = |label: u64| Value::from(label.to_string());
    let lines = "{\"text\": \"a\", \"label\": 0}\n{\"text\": \"b\", \"label\": 1}\n";
    let array = "[{\"text\": \"a\", \"label\": 0},\n {\"text\": \"b\", \"label\": 1}]";
    let write = |name: &str, content: &str| fs::write(dir.path().join(name), content).unwrap();
    write("a.jsonl", lines);
    write("lines.json", lines);
    write("array.json", array);
    write("a.csv", "text,label\na,0\nb,1\n");
    write("a.tsv", "text\tlabel\r\na\t0\r\nb\t1\r\n");
    check("a.jsonl", [1, 2], number);
    check("lines.json", [1, 2], number);
    check("array.json", [1, 2], number);
    check("a.csv", [2, 3], string);
    check("a.tsv", [2, 3], string);

    let file = File::create(dir.path().join("a.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch().schema(), None).unwrap();
    writer.write(&batch()).unwrap();
    writer.close().unwrap();
    check("a.parquet", [1, 2], number);
    let file = File::create(dir.path().join("a.arrow")).unwrap();
    let mut writer = StreamWriter::try_new(file, &batch().schema()).unwrap();
    writer.write(&batch()).unwrap();
    writer.finish().unwrap();
    check("a.arrow", [1, 2], number);
}

#[test]
fn text_forms_may_be_compressed() {
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    for (name, text) in [
        ("a.jsonl", "{\"a\": \"1\"}\n"),
        ("a.json", "[{\"a\": \"1\"}]"),
        ("a.csv", "a\n1\n"),
        ("a.tsv", "a\n1\n"),
    ] {
        let plain = read_text(name, text.as_bytes()).unwrap();
        assert_eq!(plain[0][1], json!({"a": "1"}));
        assert_eq!(read_text(&format!("{name}.gz"), &gzip(text)).unwrap(), plain);
        let zstd = zstd::encode_all(text.as_bytes(), 1).unwrap();
        assert_eq!(read_text(&format!("{name}.zst"), &zstd).unwrap(), plain);
        let cut = gzip(text);
        let (message, _) = error_of(&format!("{name}.gz"), &cut[..cut.len() - 4]);
        assert!(message.starts_with("the compressed file is damaged or incomplete"), "{message}");
    }
}

#[test]
fn empty_files_have_no_records() {
    for name in ["a.jsonl", "a.json", "a.csv", "a.tsv"] {
        for content in ["", "\n", "\u{feff}"] {
            assert!(read_text(name, content.as_bytes()).unwrap().is_empty(), "{name} {content:?}");
        }
    }
    assert!(read_text("a.json", b" []\n").unwrap().is_empty());
}

#[test]
fn empty_lines_are_told_and_a_byte_order_mark_and_crlf_are_accepted() {
    let found = read_text("a.jsonl", "\u{feff}{\"a\": 1}\r\n\r\n{}\r\n".as_bytes()).unwrap();
    assert_eq!(found, [json!([1, {"a": 1}]), json!(2), json!([3, {}])]);
    let found = read_text("a.csv", "\u{feff}a\r\n\r\n1\r\n".as_bytes()).unwrap();
    assert_eq!(found, [json!(2), json!([3, {"a": "1"}])]);
}

#[test]
fn what_is_no_record_is_named_by_file_and_row() {
    let check = |name: &str, content: &[u8], message: &str| {
        assert_eq!(error_of(name, content).0, message);
    };
    check(
        "a.jsonl",
        b"{}\n{\"a\": \"\xe9\"}\n",
        "malformed JSON: invalid unicode code point (file: a.jsonl, line: 2, column: 8)",
    );
    check(
        "a.json",
        b"[{},\n{\"a\": \"\xe9\"}]",
        "malformed JSON: invalid unicode code point (file: a.json, row: 2, line: 2)",
    );
    check(
        "a.csv",
        b"a\n1\n1,2\n",
        "the row has another number of fields than the first one (file: a.csv, line: 3, \
         found: 2, wanted: 1)",
    );
    let (message, _) = error_of("a.arrow", b"ARROW1\0\0");
    let start = "the Arrow file is damaged, cut short or of an unknown kind (file: a.arrow)";
    assert!(message.starts_with(start), "{message}");
}

#[test]
fn an_object_over_several_lines_is_refused_with_what_a_json_file_may_hold() {
    let (message, hint) = error_of("a.json", b"{\n  \"data\": []\n}\n");
    assert!(message.starts_with("malformed JSON: EOF while parsing an object"), "{message}");
    let expected = "a .json file holds an array of objects, or one object on each line";
    assert_eq!(hint.as_deref(), Some(expected));
}

#[test]
fn a_missing_column_is_told_with_those_that_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let file = File::create(&path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch().schema(), None).unwrap();
    writer.write(&batch()).unwrap();
    writer.close().unwrap();
    let mut records = Records::open(&path).unwrap();
    let Some(Entry::Record(record)) = records.advance().unwrap() else { panic!("no record") };
    let error = record.text("premise").unwrap_err().to_string();
    assert_eq!(
        error.replace(&path.display().to_string(), "a.parquet"),
        "a field is missing (file: a.parquet, row: 1, field: premise, found: the fields text \
         label, allowed: a string)"
    );
}
