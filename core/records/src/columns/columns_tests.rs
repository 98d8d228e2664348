//! Tests of files that are made of columns: types, formats, and files that are not whole.

use super::*;
use std::fs::{self, File};
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, DictionaryArray, Float64Array, Int8Array,
    Int64Array, LargeStringArray, NullArray, StringArray, StringViewArray, StructArray,
    UInt64Array,
};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use arrow_schema::{DataType, Field};
use parquet::arrow::ArrowWriter;
use serde_json::json;

fn array(array: impl Array + 'static) -> ArrayRef {
    Arc::new(array)
}

/// Three rows of the types that data sets have, and a column of dates.
fn columns() -> Vec<(&'static str, ArrayRef)> {
    let mut lists = ListBuilder::new(StringBuilder::new());
    lists.append_value([Some("a"), None]);
    lists.append_value([Some("b")]);
    lists.append_null();
    let field = |name: &str, kind| Arc::new(Field::new(name, kind, true));
    let spans = array(StringArray::from(vec!["x", "y", "z"]));
    let starts = array(Int64Array::from(vec![Some(1), None, Some(3)]));
    let structs = StructArray::from(vec![
        (field("span", DataType::Utf8), spans),
        (field("start", DataType::Int64), starts),
    ]);
    let classes: DictionaryArray<Int32Type> = [Some("no"), Some("yes"), None].into_iter().collect();
    vec![
        ("text", array(StringArray::from(vec![Some("é\n"), None, Some("")]))),
        ("large", array(LargeStringArray::from(vec!["l0", "l1", "l2"]))),
        ("label", array(Int64Array::from(vec![0, 1, -1]))),
        ("small", array(Int8Array::from(vec![-8, 0, 8]))),
        ("big", array(UInt64Array::from(vec![0, 1, u64::MAX]))),
        ("score", array(Float64Array::from(vec![0.5, f64::NAN, -2.0]))),
        ("flag", array(BooleanArray::from(vec![true, false, true]))),
        ("list", array(lists.finish())),
        ("struct", array(structs)),
        ("class", array(classes)),
        ("date", array(Date32Array::from(vec![1, 2, 3]))),
    ]
}

fn expected() -> [Value; 3] {
    [
        json!({
            "text": "é\n", "large": "l0", "label": 0, "small": -8, "big": 0, "score": 0.5,
            "flag": true, "list": ["a", null], "struct": {"span": "x", "start": 1}, "class": "no",
        }),
        json!({
            "text": null, "large": "l1", "label": 1, "small": 0, "big": 1, "score": null,
            "flag": false, "list": ["b"], "struct": {"span": "y", "start": null}, "class": "yes",
        }),
        json!({
            "text": "", "large": "l2", "label": -1, "small": 8, "big": u64::MAX, "score": -2.0,
            "flag": true, "list": null, "struct": {"span": "z", "start": 3}, "class": null,
        }),
    ]
}

fn batch(columns: Vec<(&'static str, ArrayRef)>) -> RecordBatch {
    let nullable = columns.into_iter().map(|(name, column)| (name, column, true));
    RecordBatch::try_from_iter_with_nullable(nullable).unwrap()
}

fn write_parquet(path: &Path, batch: &RecordBatch) {
    let file = File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

fn write_stream(path: &Path, batch: &RecordBatch, options: IpcWriteOptions) {
    let file = File::create(path).unwrap();
    let schema = batch.schema();
    let mut writer = StreamWriter::try_new_with_options(file, &schema, options).unwrap();
    writer.write(batch).unwrap();
    writer.write(batch).unwrap();
    writer.finish().unwrap();
}

fn write_plain_stream(path: &Path, batch: &RecordBatch) {
    write_stream(path, batch, IpcWriteOptions::default());
}

fn write_file(path: &Path, batch: &RecordBatch) {
    let file = File::create(path).unwrap();
    let mut writer = FileWriter::try_new(file, &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.write(batch).unwrap();
    writer.finish().unwrap();
}

type Write = fn(&Path, &RecordBatch);
type Open = fn(&Path) -> Result<Columns>;

/// Every row, whose numbers must be 1, 2, 3 …
fn rows(opened: Result<Columns>) -> Result<Vec<Value>> {
    let mut columns = opened?;
    let mut rows = Vec::new();
    while let Some((number, fields)) = columns.advance()? {
        rows.push(Value::Object(fields));
        assert_eq!(number, rows.len() as u64);
    }
    assert!(columns.advance()?.is_none());
    Ok(rows)
}

fn check_rows(opened: Result<Columns>) {
    let columns = opened.unwrap();
    assert_eq!(columns.unread, [("date".to_owned(), "Date32".to_owned())]);
    let found = rows(Ok(columns)).unwrap();
    assert_eq!(found[..3], expected());
    assert_eq!(found[3..], expected());
}

#[test]
fn columns_of_parquet_become_json() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    write_parquet(&path, &batch(columns()));
    check_rows(Columns::open_parquet(&path));
}

#[test]
fn columns_of_an_arrow_stream_and_of_an_arrow_file_become_json() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.arrow");
    write_file(&path, &batch(columns()));
    check_rows(Columns::open_arrow(&path));
    for compression in [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)] {
        let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
        write_stream(&path, &batch(columns()), options);
        check_rows(Columns::open_arrow(&path));
    }
}

#[test]
fn columns_without_a_value_and_views_of_text_are_read_from_arrow() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.arrow");
    let views = array(StringViewArray::from(vec!["short", "longer than twelve bytes"]));
    let nothing = array(NullArray::new(2));
    write_file(&path, &batch(vec![("view", views), ("nothing", nothing)]));
    let found = rows(Columns::open_arrow(&path)).unwrap();
    assert_eq!(
        found[..2],
        [
            json!({"view": "short", "nothing": null}),
            json!({"view": "longer than twelve bytes", "nothing": null}),
        ]
    );
}

/// Opens the first so many bytes of a file, and reads all of it.
fn read_cut(path: &Path, whole: &[u8], length: usize, open: Open) {
    fs::write(path, &whole[..length]).unwrap();
    let error = rows(open(path)).expect_err("a file that is cut short");
    assert_eq!(error.kind(), ErrorKind::Data, "{length} bytes: {error}");
    assert!(error.message().contains("cut short"), "{length} bytes: {error}");
    assert!(error.context("file").is_some() && error.hint().is_some());
}

#[test]
fn a_file_that_is_cut_short_anywhere_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let batch = batch(columns());
    let cases: [(Write, Open); 3] = [
        (write_parquet, Columns::open_parquet),
        (write_file, Columns::open_arrow),
        (write_plain_stream, Columns::open_arrow),
    ];
    for (write, open) in cases {
        write(&path, &batch);
        let whole = fs::read(&path).unwrap();
        let ends = (whole.len() - 24..whole.len()).chain((0..whole.len()).step_by(29));
        for length in ends {
            read_cut(&path, &whole, length, open);
        }
    }
}

#[test]
fn an_error_far_into_a_file_tells_how_many_rows_came_before() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.arrow");
    write_plain_stream(&path, &batch(columns()));
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 8]).unwrap();
    let error = rows(Columns::open_arrow(&path)).unwrap_err();
    assert_eq!(error.context("after row"), Some("6"));
    assert!(error.to_string().ends_with("the stream has no end mark"), "{error}");
}
