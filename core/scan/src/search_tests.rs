use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use deft_core::{Hits, NoServices, Services, VectorType, part_name, write_vectors};

use super::*;

const DIMENSION: usize = 7;
/// All rows wait, and none does.
const BOTH_WAYS: [fn(&Pass<'_>) -> bool; 2] = [|_| true, |_| false];

fn scan_of(numbers: &[f32], metric: Metric) -> (tempfile::TempDir, Scan) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let rows = Matrix::new(numbers, DIMENSION).expect("whole rows");
    let part = dir.path().join(part_name(0, ".safetensors"));
    write_vectors(&part, rows, VectorType::F32, 0, "e").expect("written");
    let scan = Scan::new(VectorStore::open(dir.path()).expect("opened"), metric);
    (dir, scan)
}

/// 500 rows, and all their numbers.
fn scan() -> (tempfile::TempDir, Scan, Vec<f32>) {
    let numbers: Vec<_> = (0..500 * DIMENSION).map(|i| (i as f32 * 0.7).sin()).collect();
    let (dir, scan) = scan_of(&numbers, Metric::L2);
    (dir, scan, numbers)
}

fn naive(metric: Metric, rows: &[f32], query: &[f32], k: usize) -> Vec<(u64, u32)> {
    let score = |row| score(metric, query, row);
    let rows = (0..).zip(rows.chunks_exact(DIMENSION));
    let mut all: Vec<_> = rows.map(|(id, row)| Hit { id, score: score(row) }).collect();
    all.sort_unstable_by(Hit::rank_order);
    all.iter().take(k).map(|hit| (hit.id, hit.score.to_bits())).collect()
}

/// Compares both ways with scoring every row, with several numbers of hits and threads.
fn check(rows: &[f32], queries: &[f32]) {
    let matrix = Matrix::new(queries, DIMENSION).expect("whole rows");
    for metric in [Metric::L2, Metric::Ip] {
        let (_dir, scan) = scan_of(rows, metric);
        for (k, threads, waits) in
            [1, 20, 100, 300].iter().flat_map(|&k| BOTH_WAYS.map(|waits| (k, 1 + k % 3, waits)))
        {
            let mut hits = Hits::new(matrix.rows(), k);
            let ctx = Context::new(&NoServices, 0, threads);
            scan.search_in_passes(&ctx, matrix, hits.as_mut(), PASS, waits).expect("found");
            for (number, query) in queries.chunks_exact(DIMENSION).enumerate() {
                let bits = |hit: Hit| (hit.id, hit.score.to_bits());
                let found: Vec<_> = hits.of_query(number).map(bits).collect();
                assert!(
                    found == naive(metric, rows, query, k),
                    "{metric}, k {k}, {threads} threads, query {number}"
                );
            }
        }
    }
}

#[test]
fn rows_that_wait_are_found_like_those_that_are_scored_at_once() {
    let wave = |count: usize, by: f32| -> Vec<f32> {
        (0..count * DIMENSION).map(|i| (i as f32 * by).sin()).collect()
    };
    let (rows, queries) = (wave(2500, 0.7), wave(100, 0.3));
    check(&rows, &queries);
    // The last group has too few queries for a product.
    check(&rows, &queries[..98 * DIMENSION]);
}

#[test]
fn rows_that_products_do_not_tell_apart_are_found_either_way() {
    let mut rows: Vec<_> = (0..2500 * DIMENSION).map(|i| (i as f32 * 0.7).sin()).collect();
    let queries = rows[..60 * DIMENSION].to_vec();
    // They come late and are the nearest of some queries alone.
    for row in rows[700 * DIMENSION..].chunks_exact_mut(DIMENSION) {
        row.copy_from_slice(&queries[..DIMENSION]);
    }
    check(&rows, &queries);
    check(&vec![0.25; 2500 * DIMENSION], &queries);
}

#[test]
fn rows_are_found_either_way_where_products_overflow_or_are_no_numbers() {
    let mut rows: Vec<_> = (0..2500 * DIMENSION).map(|i| (i as f32 * 0.7).sin()).collect();
    let mut queries = rows[..60 * DIMENSION].to_vec();
    queries[3] = f32::NAN;
    queries[20 * DIMENSION] = f32::NEG_INFINITY;
    queries[50 * DIMENSION] = 1.0e25;
    check(&rows, &queries);
    rows[1800 * DIMENSION] = f32::MAX;
    rows[2000 * DIMENSION + 1] = -1.0e25;
    check(&rows, &queries);
}

#[test]
fn many_passes_find_what_one_finds() {
    let (_dir, scan, numbers) = scan();
    let queries = Matrix::new(&numbers[..7 * 20], 7).expect("whole rows");
    let found = |rows_per_pass, waits: fn(&Pass<'_>) -> bool| {
        let mut hits = Hits::new(queries.rows(), 30);
        let ctx = Context::new(&NoServices, 0, 2);
        scan.search_in_passes(&ctx, queries, hits.as_mut(), rows_per_pass, waits).expect("found");
        (0..20).map(|query| hits.of_query(query).collect()).collect::<Vec<Vec<_>>>()
    };
    for rows_per_pass in [1, 33, 130, 499] {
        for waits in BOTH_WAYS {
            assert_eq!(found(rows_per_pass, waits), found(PASS, |_| false));
        }
    }
}

/// A host that stops once so many rows were told; it keeps how many were.
struct Stopping {
    told: AtomicUsize,
    after: usize,
}

impl Services for Stopping {
    fn log(&self, _level: log::Level, _target: &str, _message: &str) {}

    fn progress(&self, done: u64, total: u64, unit: &str) {
        assert_eq!((total, unit), (500, "rows"));
        self.told.store(usize::try_from(done).expect("small"), Ordering::Relaxed);
    }

    fn is_cancelled(&self) -> bool {
        self.told.load(Ordering::Relaxed) >= self.after
    }

    fn resolve(&self, name: &str) -> Result<PathBuf> {
        Ok(PathBuf::from(name))
    }

    fn call(&self, _name: &str, _json: &str) -> Result<String> {
        Ok(String::new())
    }
}

/// How a search ends that is stopped once so many rows were told, and how many were.
fn stopped(after: usize, waits: fn(&Pass<'_>) -> bool) -> (Result<()>, usize) {
    let (_dir, scan, numbers) = scan();
    let queries = Matrix::new(&numbers, DIMENSION).expect("whole rows");
    let mut hits = Hits::new(queries.rows(), 30);
    let stopping = Stopping { told: AtomicUsize::new(0), after };
    let ctx = Context::new(&stopping, 0, 1);
    let ended = scan.search_in_passes(&ctx, queries, hits.as_mut(), PASS, waits);
    (ended, stopping.told.into_inner())
}

#[test]
fn a_search_stops_when_the_user_asks_for_it_and_tells_rows() {
    for waits in BOTH_WAYS {
        let (ended, told) = stopped(1, waits);
        assert_eq!(ended.expect_err("stopped").kind(), ErrorKind::Cancelled);
        assert_eq!(told, block_rows(500, DIMENSION, 1), "the first block, and nothing after it");
    }
}

#[test]
fn rows_that_wait_are_not_scored_once_the_user_asked_to_stop() {
    let (ended, told) = stopped(500, |_| true);
    assert_eq!(ended.expect_err("stopped").kind(), ErrorKind::Cancelled);
    assert_eq!(told, 500);
    let (ended, told) = stopped(500, |_| false);
    assert_eq!((ended.is_ok(), told), (true, 500), "scored at once, nothing is left to stop");
}
