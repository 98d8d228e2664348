//! Speed of indexing and of searching with whole prompts:
//!
//! ```text
//! cargo bench -p deft-bm25 -- FOLDER [--threads 2] [--parts 2] [--k 500] [--repeat 5]
//!     [--options JSON] [--terms]
//! ```
//!
//! The folder has `docs.jsonl`, lines of `{"id": …, "contents": …}`, and `queries.tsv`, lines of an
//! identifier, a tab and a text. The plugin is the built library, across the boundary. Rows and
//! queries per second are told by the clock, and by the processor: as if all threads had been busy
//! all the time, a number that also means something on a busy machine. Queries are analysed within
//! the time. `--terms` leaves the terms of all texts beside them, for `peers.py`, which says the same
//! of bm25s and of tantivy's Python.

#![expect(clippy::print_stdout, reason = "a benchmark's report")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use deft_conformance::Library;
use deft_core::{
    Context, Example, Handle, Hits, Kind, NoServices, Phase, PhaseDirs, Pool, Retriever, part_name,
};
use serde_json::{Value, json};

/// What the command line asks for.
struct Arguments {
    folder: PathBuf,
    threads: usize,
    parts: usize,
    k: usize,
    repeat: usize,
    options: Value,
    terms: bool,
}

fn main() {
    let Some(arguments) = Arguments::parse() else {
        println!("skipped: no FOLDER with texts was named");
        return;
    };
    let (examples, queries) = read(&arguments.folder);
    let queries: Vec<&str> = queries.iter().map(String::as_str).collect();
    let rows = examples.len();
    println!(
        "{rows} rows in {} parts, {} queries, k {}, {} threads",
        arguments.parts,
        queries.len(),
        arguments.k,
        arguments.threads
    );
    let library = Library::of_package(env!("CARGO_PKG_NAME"));
    let component = library.component(Kind::Retriever, "bm25", arguments.options.clone());
    let Handle::Retriever(bm25) = component.create().expect("a retriever") else { return };
    if arguments.terms {
        write_terms(&arguments.folder, &*bm25, &examples, &queries);
    }
    let pool = Pool { examples: &examples, rows_per_part: rows.div_ceil(arguments.parts) };
    let store = tempfile::tempdir().expect("a temporary folder");
    let mut dirs = PhaseDirs::default();
    for number in 0..arguments.repeat {
        let store = store.path().join(number.to_string());
        std::fs::create_dir(&store).expect("a folder");
        let clock = Clock::start();
        dirs = index(&*bm25, &pool, &store, arguments.threads);
        clock.report("index", rows, "rows", arguments.threads);
    }
    let ctx = Context::new(&NoServices, 0, arguments.threads);
    let searcher = bm25.open(&ctx, &pool, &dirs).expect("opened");
    let mut hits = Hits::new(queries.len(), arguments.k);
    for _ in 0..arguments.repeat {
        let clock = Clock::start();
        searcher.retrieve(&ctx, &queries, hits.as_mut()).expect("found");
        clock.report("search", queries.len(), "queries", arguments.threads);
    }
    let size = size(store.path()) / arguments.repeat as u64;
    println!("{size} bytes on disk, hits {:016x}", digest(&hits));
}

/// Does all units, those of a phase on as many threads at once.
fn index(bm25: &dyn Retriever, pool: &Pool<'_>, store: &Path, threads: usize) -> PhaseDirs {
    let ctx = Context::new(&NoServices, 0, 1);
    let phases = bm25.phases(&ctx, pool).expect("phases");
    let dir = |phase: &Phase| (phase.name.clone(), store.join(&phase.name));
    let dirs = PhaseDirs::new(phases.iter().map(dir).collect());
    for phase in &phases {
        std::fs::create_dir(store.join(&phase.name)).expect("a folder");
        let next = std::sync::atomic::AtomicUsize::new(0);
        let work = || {
            loop {
                let unit = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if unit >= phase.units {
                    break;
                }
                let out = store.join(&phase.name).join(part_name(unit, &phase.suffix));
                bm25.run_unit(&ctx, &phase.name, unit, pool, &dirs, &out).expect("it ran");
            }
        };
        std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    }
    dirs
}

/// Leaves the terms of texts and queries as lines of JSON lists.
fn write_terms(folder: &Path, bm25: &dyn Retriever, examples: &[Example], queries: &[&str]) {
    let ctx = Context::new(&NoServices, 0, 1);
    let write = |name: &str, texts: &[&str]| {
        let answer = bm25.call(&ctx, "analyze", &json!({ "texts": texts }).to_string());
        let answer: Value = serde_json::from_str(&answer.expect("terms")).expect("JSON");
        let mut out = std::fs::File::create(folder.join(name)).expect("a file");
        let lines: Vec<_> =
            answer["terms"].as_array().expect("a list").iter().map(Value::to_string).collect();
        writeln!(out, "{}", lines.join("\n")).expect("written");
    };
    let texts: Vec<_> = examples.iter().map(|example| example.input.as_str()).collect();
    write("docs.terms.jsonl", &texts);
    write("queries.terms.jsonl", queries);
}

/// The texts of a folder, and its queries.
fn read(folder: &Path) -> (Vec<Example>, Vec<String>) {
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).expect(name);
    let example = |line: &str| {
        let mut line: Value = serde_json::from_str(line).expect("JSON");
        let Value::String(input) = line["contents"].take() else { panic!("no `contents`") };
        Example { input, ..Example::default() }
    };
    let examples = text("docs.jsonl").lines().map(example).collect();
    let query = |line: &str| line.split_once('\t').expect("a tab").1.to_owned();
    // Lines end with line feeds alone: other ends of lines are within texts.
    let queries = text("queries.tsv").split_terminator('\n').map(query).collect();
    (examples, queries)
}

/// A number that is another for other hits (FNV-1a).
fn digest(hits: &Hits) -> u64 {
    let mut digest = 0xcbf2_9ce4_8422_2325_u64;
    for hit in (0..hits.queries()).flat_map(|query| hits.of_query(query)) {
        for number in [hit.id, u64::from(hit.score.to_bits())] {
            digest = (digest ^ number).wrapping_mul(0x0100_0000_01b3);
        }
    }
    digest
}

/// Bytes of all files below a folder.
fn size(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry"));
    entries
        .map(|entry| match entry.metadata().expect("metadata") {
            metadata if metadata.is_dir() => size(&entry.path()),
            metadata => metadata.len(),
        })
        .sum()
}

/// Seconds since a moment: by the clock, and of this process on all processors.
struct Clock {
    moment: Instant,
    cpu: f64,
}

impl Clock {
    fn start() -> Self {
        Self { moment: Instant::now(), cpu: cpu_seconds() }
    }

    fn report(&self, what: &str, done: usize, of: &str, threads: usize) {
        let (wall, cpu) = (self.moment.elapsed().as_secs_f64(), cpu_seconds() - self.cpu);
        println!(
            "{what}: {wall:.3} s, processor {cpu:.2} s; {of}/s {:.0} by clock, {:.0} by processor",
            done as f64 / wall,
            (done * threads) as f64 / cpu,
        );
    }
}

/// What all threads of this process have used, ended ones included, in hundredths of a second.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    ticks.map(Result::unwrap_or_default).sum::<f64>() / 100.0
}

impl Arguments {
    /// `None` without a folder.
    fn parse() -> Option<Self> {
        let mut found = Self {
            folder: PathBuf::new(),
            threads: 2,
            parts: 2,
            k: 500,
            repeat: 5,
            options: json!({}),
            terms: false,
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().expect("each option but --terms has a value");
            let number = |text: String| text.parse().expect("a number");
            match word.as_str() {
                "--threads" => found.threads = number(value()),
                "--parts" => found.parts = number(value()),
                "--k" => found.k = number(value()),
                "--repeat" => found.repeat = number(value()),
                "--options" => found.options = serde_json::from_str(&value()).expect("JSON"),
                "--terms" => found.terms = true,
                // cargo says that this is a benchmark.
                "--bench" => {}
                folder => found.folder = folder.into(),
            }
        }
        (!found.folder.as_os_str().is_empty()).then_some(found)
    }
}
