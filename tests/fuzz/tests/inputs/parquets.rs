//! Parquet: sources of `p3`, and parts of the pool.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, Float64Array, Int32Array, RecordBatch, StringArray};
use deft_core::{Examples, NoServices};
use deft_fuzz::{Seed, fuzz};
use deft_host::pool::{ReadSource, StoredPool, ensure};
use deft_host::store::Store;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::{WriterProperties, WriterVersion};
use serde_json::json;

use crate::support::{context, handled, read_all, reader};

const WORDS: &[&str] = &["PAR1", "PARE", "input", "ARROW:schema", "parquet", "list", "element"];

/// A file whose metadata, at its end, is of more interest than its pages.
fn seed(bytes: Vec<u8>) -> Seed {
    let end = bytes.len();
    let length: [u8; 4] = bytes[end - 8..end - 4].try_into().expect("four bytes");
    let length = usize::try_from(u32::from_le_bytes(length)).expect("small");
    Seed::new(bytes).hot(end - 8 - length..end).hot(end - 8..end)
}

fn columns() -> RecordBatch {
    let rows = 300;
    let mut choices = ListBuilder::new(StringBuilder::new());
    for row in 0..rows {
        choices.append_value((0..row % 3).map(|choice| Some(format!("choice {choice}"))));
    }
    let inputs: StringArray = (0..rows).map(|row| Some(format!("input {row}"))).collect();
    let targets: StringArray = (0..rows).map(|row| (row % 7 > 0).then_some("target")).collect();
    let numbers: Int32Array = (0..rows).map(Some).collect();
    let shares: Float64Array = (0..rows).map(|row| Some(f64::from(row) / 3.0)).collect();
    RecordBatch::try_from_iter_with_nullable([
        ("input", Arc::new(inputs) as ArrayRef, false),
        ("target", Arc::new(targets) as ArrayRef, true),
        ("answer_choices", Arc::new(choices.finish()) as ArrayRef, true),
        ("idx", Arc::new(numbers) as ArrayRef, true),
        ("share", Arc::new(shares) as ArrayRef, true),
    ])
    .expect("columns")
}

fn written(path: &Path, properties: WriterProperties) -> Vec<u8> {
    let batch = columns();
    let file = File::create(path).expect("a file");
    let mut writer =
        ArrowWriter::try_new(file, batch.schema(), Some(properties)).expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("written");
    fs::read(path).expect("readable")
}

#[test]
fn mutated_parquet_sources_are_read_or_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("a.parquet");
    let builder = || WriterProperties::builder().set_max_row_group_row_count(Some(100));
    let seeds = [
        builder().build(),
        builder().set_dictionary_enabled(false).build(),
        builder().set_compression(Compression::SNAPPY).build(),
        builder().set_writer_version(WriterVersion::PARQUET_2_0).build(),
    ]
    .map(|properties| seed(written(&path, properties)));
    let keep = json!({"unlabelled": "keep", "keep_extra": true});
    let readers = [reader("p3", "p3", &json!({})), reader("p3", "p3", &keep)];
    fuzz("parquet", &seeds, WORDS, |input| {
        fs::write(&path, input).expect("written");
        for reader in &readers {
            read_all(&**reader, &path);
        }
    });
}

/// A small pool in a store.
pub(crate) struct SmallPool {
    dir: tempfile::TempDir,
    source: ReadSource,
}

impl SmallPool {
    pub(crate) const ROWS: usize = 50;

    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("pool.jsonl");
        let line = |row| {
            json!({
                "input": format!("input {row}"), "target": "yes", "answer_choices": ["yes", "no"],
                "dataset": "d", "template": format!("t{}", row % 3), "idx": row,
            })
        };
        let lines: Vec<String> = (0..Self::ROWS).map(|row| line(row).to_string()).collect();
        fs::write(&path, lines.join("\n")).expect("written");
        let reader = reader("p3", "p3", &json!({"keep_extra": true}));
        let paths = vec![path].into();
        let source = ReadSource { reader, identity: json!("p3"), paths, limit: None };
        Self { dir, source }
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    /// The pool: opened where it is there, else read again.
    pub(crate) fn open(&self) -> Option<StoredPool> {
        let store = Store::new(&self.store());
        let sources = std::slice::from_ref(&self.source);
        handled(ensure(&store, sources, 20, &context(&NoServices)))
    }
}

/// Reads everything that a pool says it holds, as far as that can be believed.
pub(crate) fn read_pool(pool: &StoredPool) {
    let rows = pool.len();
    let all: Vec<usize> = (0..rows.min(200)).collect();
    for positions in [&all[..], &[0], &[rows / 2], &[rows.saturating_sub(1)], &[rows]] {
        let examples = handled(pool.get(positions));
        let inputs = handled(pool.inputs(positions));
        if let (Some(examples), Some(inputs)) = (examples, inputs) {
            assert_eq!((examples.len(), inputs.len()), (positions.len(), positions.len()));
        }
    }
}

#[test]
fn mutated_pool_parts_are_read_or_refused() {
    let small = SmallPool::new();
    let pool = small.open().expect("a pool");
    assert_eq!(pool.len(), SmallPool::ROWS);
    let parts = [0, 1, 2].map(|part| pool.dir().join(format!("part-0000{part}.parquet")));
    let good = parts.clone().map(|part| fs::read(part).expect("a part"));
    fuzz("pool-part", &[seed(good[1].clone())], WORDS, |input| {
        fs::write(&parts[1], input).expect("written");
        small.open().iter().for_each(read_pool);
        // The last part is looked at when a pool is opened.
        fs::write(&parts[1], &good[1]).expect("written");
        fs::write(&parts[2], input).expect("written");
        small.open().iter().for_each(read_pool);
        fs::write(&parts[2], &good[2]).expect("written");
    });
}
