//! Tests of Parquet files, which are made up here.

use super::*;
use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{Int64Array, StringArray};
use parquet::arrow::ArrowWriter;
use serde_json::json;
use std::sync::Arc;

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn lists(values: &[Option<&[Option<&str>]>]) -> ArrayRef {
    let mut builder = ListBuilder::new(StringBuilder::new());
    for value in values {
        match value {
            Some(items) => builder.append_value(items.iter().copied()),
            None => builder.append_null(),
        }
    }
    Arc::new(builder.finish())
}

fn write(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let mut writer =
        ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn open(columns: Vec<(&str, ArrayRef)>, keep_extra: bool) -> Result<Columns> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    write(&path, columns);
    Columns::open(&path, P3Config { keep_extra, ..P3Config::default() })
}

#[test]
fn rows_have_numbers_and_fields_across_batches() {
    let n = BATCH * 2 + 1;
    let inputs: Vec<String> = (0..n).map(|i| format!("input {i}")).collect();
    let inputs: Vec<Option<&str>> = inputs.iter().map(|s| Some(s.as_str())).collect();
    let choice = [Some("a"), Some("b")];
    let choices: Vec<Option<&[_]>> =
        (0..n).map(|i| (i % 3 > 0).then(|| &choice[i % 3 - 1..])).collect();
    let columns = vec![
        ("targets_pretokenized", texts(&vec![Some("t"); n])),
        ("inputs_pretokenized", texts(&inputs)),
        ("answer_choices", lists(&choices)),
    ];
    let mut rows = open(columns, false).unwrap();
    for i in 0..n {
        assert!(rows.advance().unwrap());
        assert_eq!(rows.number(), i as u64 + 1);
        let fields = rows.fields().unwrap();
        assert_eq!(fields.input.as_deref(), inputs[i]);
        let expected: &[&str] = [&[][..], &["a", "b"], &["b"]][i % 3];
        assert_eq!(fields.choices, expected);
        assert_eq!(fields.dataset, None);
    }
    assert!(!rows.advance().unwrap());
}

#[test]
fn scalar_columns_are_extra_only_if_asked_for() {
    let columns = || {
        vec![
            ("input", texts(&[Some("i")])),
            ("target", texts(&[None])),
            ("id", Arc::new(Int64Array::from(vec![7])) as ArrayRef),
            ("note", texts(&[None])),
            ("tokens", lists(&[Some(&[Some("x")])])),
        ]
    };
    let mut rows = open(columns(), true).unwrap();
    assert!(rows.advance().unwrap());
    let fields = rows.fields().unwrap();
    assert_eq!(Value::from(fields.extra), json!({"id": 7}));
    assert_eq!(fields.target, None);
    let rows = open(columns(), false).unwrap();
    assert!(rows.names.extra.is_empty());
}

#[test]
fn a_file_of_queries_needs_no_target() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    write(&path, vec![("input", texts(&[Some("i")]))]);
    let config = P3Config { unlabelled: Unlabelled::Keep, ..P3Config::default() };
    let mut columns = Columns::open(&path, config).unwrap();
    assert!(columns.advance().unwrap());
    let fields = columns.fields().unwrap();
    assert_eq!((fields.input.as_deref(), fields.target), (Some("i"), None));
}

#[test]
fn missing_and_wrong_columns_are_named() {
    let message = |columns| {
        let error = open(columns, false).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.context("file").is_some());
        error.to_string().split(", file: ").next().unwrap().to_owned()
    };
    assert_eq!(
        message(vec![("input", texts(&[Some("i")])), ("label", texts(&[Some("t")]))]),
        "no column `target` or `targets_pretokenized` (columns: input label"
    );
    let number: ArrayRef = Arc::new(Int64Array::from(vec![7]));
    assert_eq!(
        message(vec![("input", texts(&[Some("i")])), ("target", number)]),
        "column `target` must be a string (found: Int64"
    );
    let columns = vec![
        ("input", texts(&[Some("i")])),
        ("target", texts(&[Some("t")])),
        ("answer_choices", texts(&[Some("a")])),
    ];
    assert_eq!(message(columns), "column `answer_choices` must be a list of strings (found: Utf8");
}

#[test]
fn a_null_among_the_choices_is_an_error_with_its_row() {
    let columns = vec![
        ("input", texts(&[Some("i"), Some("i")])),
        ("target", texts(&[Some("t"), Some("t")])),
        ("answer_choices", lists(&[None, Some(&[Some("a"), None])])),
    ];
    let mut rows = open(columns, false).unwrap();
    assert!(rows.advance().unwrap() && rows.fields().is_ok());
    assert!(rows.advance().unwrap());
    let error = rows.fields().err().unwrap();
    assert_eq!(error.message(), "`answer_choices` must be a list of strings");
    assert_eq!(error.context("row"), Some("2"));
    assert_eq!(error.context("found"), Some("a list with null"));
}

#[test]
fn a_cut_file_is_damaged_data() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    std::fs::write(&path, b"PAR1 and then nothing of the kind").unwrap();
    let error = Columns::open(&path, P3Config::default()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert_eq!(error.message(), "the Parquet file is damaged or of an unknown kind");
}
