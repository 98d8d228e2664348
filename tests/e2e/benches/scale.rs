//! Memory and speed of the program by the length of the pool: `cargo bench -p deft-e2e --bench scale
//! [-- ROWS… [real]]`. The pool is generated, or with `real` made of the samples' prompts; the encoder
//! hashes words, so that the host and the index are what is measured.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it finds")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use deft_e2e::{Deft, LARGE_RETRIEVERS, Texts, examples_dir, large_manifest, skipped};

/// The program's own: fewer and larger parts than where runs are killed.
const ROWS_PER_PART: usize = 100_000;

/// A stage that was shorter is not told.
const SHORT: Duration = Duration::from_millis(5);

fn main() {
    let rows: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let rows = if rows.is_empty() { vec![10_000, 100_000, 1_000_000] } else { rows };
    let wants_real = std::env::args().any(|argument| argument == "real");
    let real = wants_real.then(Texts::of_samples).flatten();
    if wants_real && real.is_none() {
        skipped("the samples of P3 and NI are not there; rows are generated");
    }
    let texts = real.unwrap_or(Texts::Generated);
    println!(
        "{:>9}  {:<26}  {:>9}  {:>12}  {:>10}  {:>14}",
        "rows", "what", "seconds", "rows/s", "peak RSS", "without files"
    );
    for rows in rows {
        let dir = tempfile::tempdir().expect("a temporary folder");
        texts.write(&dir.path().join("pool.jsonl"), 0..rows, 0);
        texts.write(&dir.path().join("queries.jsonl"), rows..rows + 32, 0);
        // `bm25` reads the pool, `exact` encodes it, and `faiss` has its own phases to do.
        for name in ["bm25", "exact", "faiss"] {
            let retriever = LARGE_RETRIEVERS.iter().find(|(word, _)| *word == name);
            let &(_, retriever) = retriever.expect("one of them");
            let manifest = large_manifest(retriever, ROWS_PER_PART);
            fs::write(dir.path().join("manifest.yaml"), manifest).expect("written");
            for command in ["index", "retrieve"] {
                measure(dir.path(), rows, name, command);
            }
        }
    }
}

fn measure(dir: &Path, rows: usize, name: &str, command: &str) {
    let call = Deft::new(&[command]).arg(dir.join("manifest.yaml"));
    let start = Instant::now();
    let mut child = call.arg("--plugin-dir").arg(examples_dir()).spawn_with_stderr();
    let stderr = child.stderr.take().expect("piped");
    let stages = std::thread::spawn(move || stages(stderr, start));
    let (mut peak, mut anonymous) = (0, 0);
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        peak = peak.max(memory(child.id(), "VmHWM:"));
        anonymous = anonymous.max(memory(child.id(), "RssAnon:"));
        std::thread::sleep(Duration::from_millis(2));
    };
    let whole = start.elapsed();
    assert!(status.success(), "{command} with {name} failed");
    let (seconds, speed) = (whole.as_secs_f64(), rows as f64 / whole.as_secs_f64());
    let what = format!("{name}: {command}");
    let (peak, anonymous) = (peak / 1000, anonymous / 1000);
    println!(
        "{rows:>9}  {what:<26}  {seconds:>9.1}  {speed:>12.0}  {peak:>7} MB  {anonymous:>11} MB"
    );
    let stages = stages.join().expect("it reads");
    for (place, (stage, begun)) in stages.iter().enumerate() {
        let end = stages.get(place + 1).map_or(whole, |(_, begun)| *begun);
        let took = end.saturating_sub(*begun);
        if took > SHORT {
            let (seconds, speed) = (took.as_secs_f64(), rows as f64 / took.as_secs_f64());
            println!("{:>9}    {stage:<24}  {seconds:>9.1}  {speed:>12.0}", "");
        }
    }
}

/// The stages that the program's messages tell of, and when each began.
fn stages(stderr: impl Read, start: Instant) -> Vec<(String, Duration)> {
    let mut stages = vec![("start and pool".to_owned(), Duration::ZERO)];
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        if let Some(stage) = begins(&line) {
            stages.push((stage.to_owned(), start.elapsed()));
        }
    }
    stages
}

/// The stage that begins with a message.
fn begins(line: &str) -> Option<&str> {
    if line.ends_with(" units to do") {
        return line.split_once(" (").map(|(phase, _)| phase);
    }
    if line.starts_with("pool: ") {
        return Some("read the queries, search");
    }
    if line.contains(": searched with ") {
        return Some("measure the recall");
    }
    (line.contains(": recall@") || line.ends_with(": it misses nothing")).then_some("select")
}

/// Memory of a process, in kB: the most so far (`VmHWM:`), or now without mapped files (`RssAnon:`).
fn memory(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok()).unwrap_or(0)
}
