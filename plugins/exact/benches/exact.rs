//! Speed of the exact scan, through the crate that `exact` is made of:
//!
//! ```text
//! cargo bench -p deft-exact -- [--rows 50000] [--dimension 256] [--k 500] [--queries 1000]
//!     [--threads 2] [--repeat 5] [--metric l2|ip] [--type f16|f32|int8] [--vectors FILE.npy]
//!     [--write FOLDER] [--naive]
//! ```
//!
//! The vectors are seeded points around a hundred centres, or the rows of a numpy file of `float32`
//! (the last of them are the queries). Each run prints queries per second by the clock and by the
//! processor (as if all threads had been busy all the time: that number also means something on a
//! busy machine), GFLOP/s of the product that a full scan is, and how much of the processor's time
//! reading alone takes. `--write` leaves rows and queries as raw little-endian f32, as the rows are
//! stored, and a line with their shape: what `flat.py` times faiss on. `--naive` also times scoring
//! every row and keeping the best in a heap.

#![expect(clippy::print_stdout, reason = "a benchmark's report")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use deft_core::{
    Context, Hit, Hits, Matrix, NoServices, TopK, VectorStore, VectorType, part_name, write_vectors,
};
use deft_scan::{Metric, Scan, score};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What the command line asks for.
struct Arguments {
    rows: usize,
    dimension: usize,
    k: usize,
    queries: usize,
    threads: usize,
    repeat: usize,
    metric: Metric,
    vector_type: VectorType,
    vectors: Option<PathBuf>,
    write: Option<PathBuf>,
    naive: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let (mut rows, queries, dimension) = match &arguments.vectors {
        Some(file) => from_numpy(file, arguments.queries),
        None => clusters(&arguments),
    };
    let dir = tempfile::tempdir().expect("a temporary folder");
    let part = dir.path().join(part_name(0, ".safetensors"));
    let matrix = Matrix::new(&rows, dimension).expect("whole rows");
    write_vectors(&part, matrix, arguments.vector_type, 0, "bench").expect("written");
    let store = VectorStore::open(dir.path()).expect("opened");
    store.read(0..store.len(), &mut rows).expect("read");
    let queries = Matrix::new(&queries, dimension).expect("whole rows");
    if let Some(folder) = &arguments.write {
        write_raw(folder, &rows, queries, arguments.k).expect("written");
    }
    println!(
        "{} rows of {dimension}, {}, {:?}, k {}, {} queries, {} threads",
        store.len(),
        arguments.metric,
        arguments.vector_type,
        arguments.k,
        queries.rows(),
        arguments.threads
    );
    let scan = Scan::new(store, arguments.metric);
    for _ in 0..arguments.repeat {
        time_scan(&arguments, &scan, queries);
    }
    if arguments.naive {
        let rows = Matrix::new(&rows, dimension).expect("whole rows");
        let time = Time::once(|| {
            std::hint::black_box(naive(arguments.metric, rows, queries, arguments.k));
        });
        report("naive, 1 thread", &time, &scan, queries.rows(), 1);
    }
}

fn time_scan(arguments: &Arguments, scan: &Scan, queries: Matrix<'_>) {
    let ctx = Context::new(&NoServices, 0, arguments.threads);
    let mut hits = Hits::new(queries.rows(), arguments.k);
    let time =
        Time::of(|| scan.search(&ctx, queries, hits.as_mut()).expect("the rows can be read"));
    report("scan", &time, scan, queries.rows(), arguments.threads);
    let mut numbers = Vec::new();
    let reading = Time::of(|| {
        for first in (0..scan.len()).step_by(1024) {
            let end = (first + 1024).min(scan.len());
            scan.vectors().read(first..end, &mut numbers).expect("read");
        }
    });
    println!("      reading: {:.0} % of the processor's time", 100.0 * reading.cpu / time.cpu);
}

fn report(what: &str, time: &Time, scan: &Scan, queries: usize, threads: usize) {
    let Time { wall, cpu } = *time;
    let per_processor = cpu / threads as f64;
    let flop = 2.0 * scan.len() as f64 * scan.vectors().dimension() as f64 * queries as f64;
    println!(
        "{what}: {:.1} ms, processor {:.1} ms; queries/s {:.0} by clock, {:.0} by processor; \
         GFLOP/s {:.0} by clock, {:.0} by processor",
        wall * 1e3,
        cpu * 1e3,
        queries as f64 / wall,
        queries as f64 / per_processor,
        flop / wall / 1e9,
        flop / per_processor / 1e9,
    );
}

/// Every row scored, as the definition has it.
fn naive(metric: Metric, rows: Matrix<'_>, queries: Matrix<'_>, k: usize) -> Vec<Vec<Hit>> {
    let of_query = |query| {
        let mut best = TopK::new(k);
        for row in 0..rows.rows() {
            let score = score(metric, queries.row(query), rows.row(row));
            best.push(Hit { id: row as u64, score });
        }
        best.into_vec()
    };
    (0..queries.rows()).map(of_query).collect()
}

/// Seeded points around a hundred centres, rows and queries alike, and their dimension.
fn clusters(arguments: &Arguments) -> (Vec<f32>, Vec<f32>, usize) {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let dimension = arguments.dimension;
    let centres: Vec<f32> = (0..100 * dimension).map(|_| random.random_range(-1.0..1.0)).collect();
    let mut points = |count: usize| -> Vec<f32> {
        let mut numbers = Vec::with_capacity(count * dimension);
        for _ in 0..count {
            let centre = random.random_range(0..100) * dimension;
            let near = |x: &f32| x + random.random_range(-1.0..1.0);
            numbers.extend(centres[centre..centre + dimension].iter().map(near));
        }
        numbers
    };
    (points(arguments.rows), points(arguments.queries), dimension)
}

/// The numbers of a numpy file of two dimensions: all but the last `queries` rows, those, and the
/// dimension.
fn from_numpy(file: &Path, queries: usize) -> (Vec<f32>, Vec<f32>, usize) {
    let bytes = std::fs::read(file).expect("readable");
    assert!(bytes.starts_with(b"\x93NUMPY\x01"), "a numpy file of version 1");
    let end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = String::from_utf8_lossy(&bytes[10..end]);
    assert!(header.contains("'<f4'") && header.contains("False"), "f32, row-major: {header}");
    let shape = header.split(['(', ')']).nth(1).expect("a shape");
    let dimension = shape.split(',').nth(1).and_then(|it| it.trim().parse().ok());
    let dimension: usize = dimension.expect("two dimensions");
    let numbers = bytes[end..].as_chunks().0;
    let mut rows: Vec<f32> = numbers.iter().map(|&number| f32::from_le_bytes(number)).collect();
    let last = rows.split_off(rows.len() - queries * dimension);
    (rows, last, dimension)
}

fn write_raw(folder: &Path, rows: &[f32], queries: Matrix<'_>, k: usize) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (name, numbers) in [("rows.f32", rows), ("queries.f32", queries.as_slice())] {
        let mut out = std::io::BufWriter::new(std::fs::File::create(folder.join(name))?);
        numbers.iter().try_for_each(|number| out.write_all(&number.to_le_bytes()))?;
        out.flush()?;
    }
    std::fs::write(folder.join("shape"), format!("{} {k}\n", queries.dimension()))
}

/// Seconds that something takes: by the clock, and of this process on all processors.
struct Time {
    wall: f64,
    cpu: f64,
}

impl Time {
    fn once(mut work: impl FnMut()) -> Self {
        let (moment, cpu) = (Instant::now(), cpu_seconds());
        work();
        Self { wall: moment.elapsed().as_secs_f64(), cpu: cpu_seconds() - cpu }
    }

    /// The mean of as many times as half a second has: the processor's time is counted in
    /// hundredths.
    fn of(mut work: impl FnMut()) -> Self {
        let mut times = 0;
        let all = Self::once(|| {
            let start = Instant::now();
            while start.elapsed().as_secs_f64() < 0.5 {
                work();
                times += 1;
            }
        });
        Self { wall: all.wall / f64::from(times), cpu: all.cpu / f64::from(times) }
    }
}

/// What all threads of this process have used, ended ones included.
fn cpu_seconds() -> f64 {
    // Linux counts in hundredths of a second here, whatever its clock.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    ticks.map(Result::unwrap_or_default).sum::<f64>() / 100.0
}

impl Arguments {
    fn parse() -> Self {
        let mut found = Self {
            rows: 50_000,
            dimension: 256,
            k: 500,
            queries: 1000,
            threads: 2,
            repeat: 5,
            metric: Metric::L2,
            vector_type: VectorType::F16,
            vectors: None,
            write: None,
            naive: false,
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().expect("each option but --naive has a value");
            let mut number = || value().parse().expect("a number");
            match word.as_str() {
                "--rows" => found.rows = number(),
                "--dimension" => found.dimension = number(),
                "--k" => found.k = number(),
                "--queries" => found.queries = number(),
                "--threads" => found.threads = number(),
                "--repeat" => found.repeat = number(),
                "--metric" => found.metric = named(&value()),
                "--type" => found.vector_type = named(&value()),
                "--vectors" => found.vectors = Some(value().into()),
                "--write" => found.write = Some(value().into()),
                "--naive" => found.naive = true,
                // cargo says that this is a benchmark.
                "--bench" => {}
                _ => panic!("no such option: {word}"),
            }
        }
        found
    }
}

fn named<T: for<'a> serde::Deserialize<'a>>(name: &str) -> T {
    serde_json::from_value(name.into()).expect("l2 or ip; f16, f32 or int8")
}
