//! Memory and speed of the program by the length of the pool: `cargo bench -p deft-e2e --bench scale
//! [-- ROWS…]`. The pool is generated; the encoder hashes words, so that the host is what is measured.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it finds")]

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use deft_e2e::{Deft, examples_dir};

/// Words of the generated texts; a row has 40 of them, about 250 characters.
const WORDS: u64 = 50_000;

/// A manifest over `pool.jsonl`, with the retriever that is measured.
fn manifest(retriever: &str) -> String {
    format!(
        "version: 1\nname: scale\nplugins: [p3, bm25, dense, exact, hash-encoder]\n\
         pool: [{{ reader: p3, source: pool.jsonl }}]\nretriever: {retriever}\n\
         selection: {{ queries: 32, neighbors: 500 }}\n\
         tasks: [{{ name: t, reader: p3, query_source: queries.jsonl }}]\n"
    )
}

const BM25: &str = "bm25";
const DENSE: &str = "{ use: dense, encoder: { use: hash, dimension: 64 }, index: exact }";

fn main() {
    let rows: Vec<u64> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let rows = if rows.is_empty() { vec![10_000, 100_000, 1_000_000] } else { rows };
    println!(
        "{:>9}  {:<26}  {:>9}  {:>12}  {:>10}  {:>14}",
        "rows", "what", "seconds", "rows/s", "peak RSS", "without files"
    );
    for rows in rows {
        let dir = tempfile::tempdir().expect("a temporary folder");
        write_rows(&dir.path().join("pool.jsonl"), 0, rows);
        write_rows(&dir.path().join("queries.jsonl"), rows, 32);
        for (name, retriever) in [("bm25", BM25), ("dense, exact", DENSE)] {
            fs::write(dir.path().join("manifest.yaml"), manifest(retriever)).expect("written");
            for command in ["index", "retrieve"] {
                measure(dir.path(), rows, name, command);
            }
        }
    }
}

fn measure(dir: &Path, rows: u64, name: &str, command: &str) {
    let call = Deft::new(&[command]).arg(dir.join("manifest.yaml"));
    let start = Instant::now();
    let mut child = call.arg("--plugin-dir").arg(examples_dir()).spawn();
    let (mut peak, mut anonymous) = (0, 0);
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        peak = peak.max(memory(child.id(), "VmHWM:"));
        anonymous = anonymous.max(memory(child.id(), "RssAnon:"));
        std::thread::sleep(Duration::from_millis(2));
    };
    assert!(status.success(), "{command} with {name} failed");
    let seconds = start.elapsed().as_secs_f64();
    let what = format!("{name}: {command}");
    let speed = rows as f64 / seconds;
    let (peak, anonymous) = (peak / 1000, anonymous / 1000);
    println!(
        "{rows:>9}  {what:<26}  {seconds:>9.1}  {speed:>12.0}  {peak:>7} MB  {anonymous:>11} MB"
    );
}

/// Memory of a process, in kB: the most so far (`VmHWM:`), or now without mapped files (`RssAnon:`).
fn memory(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok()).unwrap_or(0)
}

/// Rows whose words follow from their number, frequent ones more often.
fn write_rows(path: &Path, first: u64, count: u64) {
    let mut out = BufWriter::new(File::create(path).expect("made"));
    let mut text = String::new();
    for row in first..first + count {
        text.clear();
        let mut state = row.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        for _ in 0..40 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let uniform = (state >> 33) % (WORDS * WORDS);
            let _ = write!(text, "w{} ", uniform / WORDS * (uniform % WORDS) / WORDS);
        }
        let line = serde_json::json!({"input": text.trim(), "target": "yes", "dataset": "d"});
        writeln!(out, "{line}").expect("written");
    }
    out.flush().expect("written");
}
