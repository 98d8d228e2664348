//! What indexes find, take and cost, on vectors that `cargo bench -p deft-exact -- --write FOLDER`
//! left; `neighbours.py` says the same of Python's faiss on the same files.
//!
//! ```text
//! cargo bench -p deft-faiss -- FOLDER [threads [factory…]]
//! ```
//!
//! The plugin is the built library, across the boundary. Truth is the exact scan over the same f16
//! vectors. Queries come 256 at a time, as from the host. Of each index: recall among the true `k`
//! (ties count), how much of the union of all hits is that of the true hits, bytes per row on disk
//! and in memory (what the process grew by from before it was opened to after the searches), seconds
//! to build on one thread, and queries per second by the clock and by the processor.

#![expect(clippy::print_stdout, reason = "a benchmark's report")]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use deft_conformance::Library;
use deft_core::{
    Context, Handle, Hit, Hits, Index, IndexShape, Kind, Matrix, NoServices, VectorStore,
    VectorType, part_name, write_vectors,
};
use deft_scan::{Metric, Scan};
use serde_json::{Value, json};

/// Queries in one call, as the host has it.
const AT_ONCE: usize = 256;
/// Queries before the clock starts, as in `neighbours.py`.
const WARM_UP: usize = 8;
/// Rounds of all queries, of which the median by the clock counts.
const ROUNDS: usize = 5;

fn main() {
    #[expect(unsafe_code, reason = "the program `deft` does the same before there is a thread")]
    // SAFETY: this is the first statement of the program.
    unsafe {
        deft_loader::prepare_environment();
    }
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    let Some(folder) = words.next() else {
        println!("skipped: no FOLDER with vectors was named");
        return;
    };
    let threads = words.next().map_or(2, |word| word.parse().expect("a number of threads"));
    let factories: Vec<String> = words.collect();
    let data = Data::read(Path::new(&folder));
    println!(
        "{} rows of {}, {} queries, k {}, {threads} threads",
        data.rows().rows(),
        data.dimension,
        data.queries().rows(),
        data.k
    );
    let dir = tempfile::tempdir().expect("a temporary folder");
    let part = dir.path().join(part_name(0, ".safetensors"));
    write_vectors(&part, data.rows(), VectorType::F16, 0, "bench").expect("written");
    let store = VectorStore::open(dir.path()).expect("opened");
    let scan = Scan::new(store.clone(), Metric::L2);
    let ctx = Context::new(&NoServices, 1, threads);
    let (truth, clock) = search(&data, |queries, hits| scan.search(&ctx, queries, hits));
    println!("exact | recall 1 | {} | nothing beside the vectors", clock.rates(truth.len()));
    let library = Library::of_package(env!("CARGO_PKG_NAME"));
    for options in indexes(data.dimension, &factories) {
        measure(&library, &options, &data, &store, &truth, threads);
    }
}

/// Those that were named, or Flat, the paper's index, and the codes that `auto` takes, as FAISS has
/// them and ranked again.
fn indexes(dimension: usize, named: &[String]) -> Vec<Value> {
    if !named.is_empty() {
        return named.iter().map(|factory| json!({"factory": factory})).collect();
    }
    // The paper keeps 512 of 2,048 components.
    let paper = format!("OPQ8_{},HNSW512,PQ8np", dimension / 4);
    let auto = format!("PQ{}x4fs", dimension / 2);
    vec![
        json!({"factory": "Flat"}),
        json!({"factory": paper}),
        json!({"factory": auto}),
        json!({"factory": "auto"}),
    ]
}

fn measure(
    library: &Library,
    options: &Value,
    data: &Data,
    store: &VectorStore,
    truth: &[Vec<Hit>],
    threads: usize,
) {
    let component = library.component(Kind::Index, "faiss", options.clone());
    let Handle::Index(factory) = component.create().expect("an index") else { return };
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (codec, unit) = (dir.path().join("codec"), dir.path().join("unit"));
    let shape = IndexShape { rows: data.rows().rows(), dimension: data.dimension };
    let one = Context::new(&NoServices, 1, 1);
    let building = Clock::start();
    let sample = factory.info().training_vectors.min(shape.rows);
    let trained = (sample > 0).then(|| {
        std::fs::create_dir(&codec).expect("a folder");
        let mut builder = factory.builder(&one, shape, None).expect("a builder");
        builder.train(&one, data.rows()).expect("trained");
        builder.finish(&one, &codec).expect("written");
        codec.as_path()
    });
    let mut builder = factory.builder(&one, shape, trained).expect("a builder");
    builder.add(&one, data.rows()).expect("added");
    std::fs::create_dir(&unit).expect("a folder");
    builder.finish(&one, &unit).expect("written");
    drop(builder);
    let built = building.seconds();
    let before = resident();
    let ctx = Context::new(&NoServices, 1, threads);
    let index: Box<dyn Index> = factory.open(&ctx, &unit, Some(store.clone())).expect("opened");
    let (found, clock) = search(data, |queries, hits| index.search(&ctx, queries, hits));
    let rows = shape.rows as f64;
    println!(
        "{options} | recall {:.4}, selection {:.4} | {} | {:.0} bytes/row on disk, {:.0} in memory | \
         built in {built:.1} s",
        recall(&found, truth),
        overlap(&found, truth),
        clock.rates(found.len()),
        size(&unit) as f64 / rows,
        (resident() - before).max(0.0) / rows,
    );
}

/// Searches for all queries, batch by batch, after a few that nobody times: the hits, and the times of
/// the median round.
fn search(
    data: &Data,
    with: impl Fn(Matrix<'_>, deft_core::HitsMut<'_>) -> deft_core::Result<()>,
) -> (Vec<Vec<Hit>>, Clock) {
    let batch = |some| {
        let queries = Matrix::new(some, data.dimension).expect("whole rows");
        let mut hits = Hits::new(queries.rows(), data.k);
        with(queries, hits.as_mut()).expect("found");
        hits
    };
    batch(&data.queries[..WARM_UP * data.dimension]);
    let (mut clocks, mut batches) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        batches.clear();
        let clock = Clock::start();
        batches.extend(data.queries.chunks(AT_ONCE * data.dimension).map(batch));
        clocks.push(clock.stopped());
    }
    clocks.sort_by(|a, b| a.wall.total_cmp(&b.wall));
    let clock = clocks.swap_remove(ROUNDS / 2);
    let hits = |batch: &Hits, query| batch.of_query(query).collect();
    let of_batch =
        |batch: &Hits| (0..batch.queries()).map(|query| hits(batch, query)).collect::<Vec<_>>();
    (batches.iter().flat_map(of_batch).collect(), clock)
}

/// The share of the true hits that were found.
fn recall(found: &[Vec<Hit>], truth: &[Vec<Hit>]) -> f64 {
    let share = |(found, truth): (&Vec<Hit>, &Vec<Hit>)| {
        let truth: BTreeSet<u64> = truth.iter().map(|hit| hit.id).collect();
        found.iter().filter(|hit| truth.contains(&hit.id)).count() as f64 / truth.len() as f64
    };
    found.iter().zip(truth).map(share).sum::<f64>() / truth.len() as f64
}

/// How much the selections have in common: the union of all hits, by the paper's rule.
fn overlap(found: &[Vec<Hit>], truth: &[Vec<Hit>]) -> f64 {
    let union =
        |hits: &[Vec<Hit>]| -> BTreeSet<u64> { hits.iter().flatten().map(|h| h.id).collect() };
    let (found, truth) = (union(found), union(truth));
    found.intersection(&truth).count() as f64 / found.union(&truth).count() as f64
}

/// Vectors that lie in a folder as raw f32.
struct Data {
    rows: Vec<f32>,
    queries: Vec<f32>,
    dimension: usize,
    k: usize,
}

impl Data {
    fn read(folder: &Path) -> Self {
        let shape = std::fs::read_to_string(folder.join("shape")).expect("a shape");
        let mut numbers = shape.split_whitespace().map(|word| word.parse().expect("a number"));
        let (dimension, k) = (numbers.next().expect("dimension"), numbers.next().expect("k"));
        let read = |name: &str| -> Vec<f32> {
            let bytes = std::fs::read(folder.join(name)).expect("readable");
            bytes.as_chunks().0.iter().map(|&number| f32::from_le_bytes(number)).collect()
        };
        Self { rows: read("rows.f32"), queries: read("queries.f32"), dimension, k }
    }

    fn rows(&self) -> Matrix<'_> {
        Matrix::new(&self.rows, self.dimension).expect("whole rows")
    }

    fn queries(&self) -> Matrix<'_> {
        Matrix::new(&self.queries, self.dimension).expect("whole rows")
    }
}

fn size(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).expect("a folder");
    entries.map(|entry| entry.and_then(|it| it.metadata()).map_or(0, |it| it.len())).sum()
}

/// Memory of the process, in bytes, files that are mapped included.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.unwrap_or(f64::NAN) * 1024.0
}

/// Seconds since a moment: by the clock, and of this process on all processors.
struct Clock {
    moment: Instant,
    cpu: f64,
    wall: f64,
}

impl Clock {
    fn start() -> Self {
        Self { moment: Instant::now(), cpu: cpu_seconds(), wall: 0.0 }
    }

    fn seconds(&self) -> f64 {
        self.moment.elapsed().as_secs_f64()
    }

    fn stopped(self) -> Self {
        Self { wall: self.seconds(), cpu: cpu_seconds() - self.cpu, ..self }
    }

    fn rates(&self, queries: usize) -> String {
        let queries = queries as f64;
        format!("queries/s {:.0}, per processor {:.0}", queries / self.wall, queries / self.cpu)
    }
}

/// What all threads of this process have used, in hundredths of a second.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    ticks.map(Result::unwrap_or_default).sum::<f64>() / 100.0
}
