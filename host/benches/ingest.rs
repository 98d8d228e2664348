//! Speed of reading a pool: `cargo bench -p deft-host --bench ingest`.
//!
//! Rows of JSON lines go through the plugin `p3` into a fresh store, hashed, compressed and synced.
//! Beside it stands what no reader can do without: `serde_json` over the same lines in memory, each
//! into a `Value` and each into a struct of the fields that count. `read` is the plugin without the
//! store. The file is in the system's cache; the store lies in the folder for temporary files.
//!
//! The rows are the first of the P3 sample of the shared tree (`$DEFT_SHARED`), or generated ones
//! of similar length.

#![expect(clippy::print_stdout, reason = "a benchmark's numbers are its output")]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;

use deft_core::prelude::*;
use deft_core::{Handle, NoServices};
use deft_host::pool::{self, ReadSource};
use deft_host::store::Store;
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use flate2::read::MultiGzDecoder;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use tempfile::TempDir;

mod support;

use support::{is_measuring, median, time};

const ROWS: usize = 10_000; // the sample has more
/// What a manifest has by default.
const ROWS_PER_PART: usize = 100_000;
/// Rounds of the comparison at the end, each with one turn per way.
const ROUNDS: usize = 11;

static READER: LazyLock<Option<Arc<dyn Reader>>> = LazyLock::new(|| {
    let plugin = support::load(".", "p3", "cargo build --release -p deft-p3")?;
    let created = plugin.create(&context(), Kind::Reader, "p3", "", &json!({}), &Children::none());
    match created.expect("valid options") {
        Handle::Reader(reader) => Some(reader),
        other => panic!("not a reader: {other:?}"),
    }
});

static ROWS_READ: OnceLock<Rows> = OnceLock::new();

fn main() {
    if READER.is_none() {
        return;
    }
    // Here, because a static is never dropped, and the folder with it never removed.
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    ROWS_READ.get_or_init(|| Rows::new(folder.path()));
    divan::main();
    if is_measuring() {
        summarize();
    }
}

fn rows() -> &'static Rows {
    ROWS_READ.get().expect("`main` sets it")
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn parse_value(bencher: Bencher<'_, '_>) {
    counted(bencher).bench_local(parse_values);
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn parse_typed(bencher: Bencher<'_, '_>) {
    counted(bencher).bench_local(parse_rows);
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn read(bencher: Bencher<'_, '_>) {
    counted(bencher).bench_local(read_rows);
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn ingest(bencher: Bencher<'_, '_>) {
    counted(bencher).with_inputs(new_store).bench_local_refs(|(store, _folder)| ingest_into(store));
}

fn counted<'a, 'b>(bencher: Bencher<'a, 'b>) -> Bencher<'a, 'b> {
    bencher.counter(ItemsCount::new(ROWS)).counter(BytesCount::new(rows().bytes))
}

fn context() -> Context<'static> {
    Context::new(&NoServices, 0, 1)
}

/// The fields of a row that the reader `p3` looks at.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "read by nobody: parsing is what is measured")]
struct Row {
    input: String,
    target: String,
    #[serde(default)]
    answer_choices: Option<Vec<String>>,
    #[serde(default)]
    dataset: String,
    #[serde(default)]
    template: String,
}

fn parse_values() {
    for line in &rows().lines {
        divan::black_box(serde_json::from_slice::<Value>(line).expect("valid JSON"));
    }
}

fn parse_rows() {
    for line in &rows().lines {
        divan::black_box(serde_json::from_slice::<Row>(line).expect("a row of P3"));
    }
}

fn read_rows() {
    let reader = READER.as_deref().expect("`main` ends without it");
    let mut stream = reader.open(&context(), &rows().path).expect("a readable file");
    let mut found = 0;
    while let Some(batch) = stream.next_batch(&context(), 1024).expect("valid rows") {
        found += divan::black_box(batch).examples.len();
    }
    assert_eq!(found, ROWS);
}

fn new_store() -> (Store, TempDir) {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    (Store::new(folder.path()), folder)
}

fn ingest_into(store: &Store) {
    let reader = READER.as_ref().expect("`main` ends without it");
    let source = ReadSource {
        reader: Arc::clone(reader),
        identity: json!("p3"),
        paths: vec![rows().path.clone()].into(),
        limit: None,
    };
    let pool = pool::ensure(store, &[source], ROWS_PER_PART, &context()).expect("a pool");
    assert_eq!(pool.card().rows, ROWS);
}

/// The rows that are read: in memory, and in a file.
struct Rows {
    lines: Vec<Vec<u8>>,
    bytes: usize,
    origin: &'static str,
    path: PathBuf,
}

impl Rows {
    fn new(folder: &Path) -> Self {
        let (lines, origin) = match File::open(shared("data/pool/p3_sample.jsonl.gz")) {
            Ok(file) => (first_lines(file), "the first of the P3 sample"),
            Err(_) => (generated_lines(), "generated, for want of the shared tree"),
        };
        let mut content = lines.join(&b'\n');
        content.push(b'\n');
        let path = folder.join("rows.jsonl");
        std::fs::write(&path, &content).expect("room for the rows");
        Self { lines, bytes: content.len(), origin, path }
    }
}

fn first_lines(file: File) -> Vec<Vec<u8>> {
    let lines = BufReader::new(MultiGzDecoder::new(file)).split(b'\n').take(ROWS);
    lines.collect::<Result<_, _>>().expect("a whole file")
}

/// The tree of data that is not part of the repository.
fn shared(file: &str) -> PathBuf {
    let root = std::env::var_os("DEFT_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared")),
        PathBuf::from,
    );
    root.join(file)
}

/// Rows of about 1 kB, with a line break in each, as the real ones have.
fn generated_lines() -> Vec<Vec<u8>> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let line = |row: usize| {
        let input = format!("{}\n{}", support::text(&mut rng, 80), support::text(&mut rng, 80));
        let row = json!({
            "input": input,
            "target": support::text(&mut rng, 3),
            "dataset": format!("dataset-{}", row % 36),
            "template": format!("template-{}", row % 280),
        });
        row.to_string().into_bytes()
    };
    (0..ROWS).map(line).collect()
}

/// Compares all ways in turns, so that a busy machine slows each.
fn summarize() {
    let turn = |_| {
        let (store, _folder) = new_store();
        [time(parse_values), time(parse_rows), time(read_rows), time(|| ingest_into(&store))]
    };
    let turns: Vec<[Duration; 4]> = (0..ROUNDS).map(turn).collect();
    let seconds = |way: usize| median(turns.iter().map(|turn| turn[way]).collect()).as_secs_f64();
    let (count, bytes, origin) = (ROWS as f64, rows().bytes as f64, rows().origin);
    let length = bytes / count;
    println!("\n{ROWS} rows of {length:.0} bytes, {origin}; median of {ROUNDS} rounds in turns:");
    for (way, name) in ["parse_value", "parse_typed", "read", "ingest"].into_iter().enumerate() {
        println!(
            "{name:<12} {:>9.0} rows/s {:>7.1} MB/s  {:.2} of parse_value, {:.2} of parse_typed",
            count / seconds(way),
            bytes / 1e6 / seconds(way),
            seconds(0) / seconds(way),
            seconds(1) / seconds(way),
        );
    }
}
