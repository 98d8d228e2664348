//! The scan against scoring every row and sorting: same rows, same bits.

use deft_core::{
    Context, Hit, Hits, Matrix, NoServices, VectorStore, VectorType, part_name, write_vectors,
};
use deft_scan::{Metric, Scan, score};

const METRICS: [Metric; 2] = [Metric::L2, Metric::Ip];

/// Numbers without a pattern, in −1..=1, multiples of 1/128.
fn numbers(count: usize, salt: usize) -> Vec<f32> {
    let number = |i: usize| ((i * 2_654_435_761 + salt * 40_503) >> 7) % 257;
    (0..count).map(|i| (number(i) as f32 - 128.0) / 128.0).collect()
}

fn store(
    rows: &[f32],
    dimension: usize,
    vector_type: VectorType,
) -> (tempfile::TempDir, VectorStore) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let part = dir.path().join(part_name(0, ".safetensors"));
    let rows = Matrix::new(rows, dimension).expect("whole rows");
    write_vectors(&part, rows, vector_type, 0, "e").expect("written");
    let vectors = VectorStore::open(dir.path()).expect("opened");
    (dir, vectors)
}

/// Row numbers and the bits of scores.
type Found = Vec<Vec<(u64, u32)>>;

fn search(scan: &Scan, queries: Matrix<'_>, k: usize, threads: usize) -> Found {
    let mut hits = Hits::new(queries.rows(), k);
    let ctx = Context::new(&NoServices, 0, threads);
    scan.search(&ctx, queries, hits.as_mut()).expect("found");
    let bits = |hit: Hit| (hit.id, hit.score.to_bits());
    (0..queries.rows()).map(|query| hits.of_query(query).map(bits).collect()).collect()
}

fn naive(metric: Metric, rows: Matrix<'_>, queries: Matrix<'_>, k: usize) -> Found {
    let of_query = |query| {
        let score = |row| score(metric, queries.row(query), rows.row(row));
        let mut all: Vec<_> =
            (0..rows.rows()).map(|row| Hit { id: row as u64, score: score(row) }).collect();
        all.sort_unstable_by(Hit::rank_order);
        all.truncate(k);
        all.iter().map(|hit| (hit.id, hit.score.to_bits())).collect()
    };
    (0..queries.rows()).map(of_query).collect()
}

/// Compares for both metrics and some numbers of threads.
fn check(rows: &[f32], queries: &[f32], dimension: usize, ks: &[usize]) {
    let (_dir, vectors) = store(rows, dimension, VectorType::F32);
    let rows = Matrix::new(rows, dimension).expect("whole rows");
    let queries = Matrix::new(queries, dimension).expect("whole rows");
    for metric in METRICS {
        let scan = Scan::new(vectors.clone(), metric);
        for &k in ks {
            let wanted = naive(metric, rows, queries, k);
            for threads in [1, 3] {
                let found = search(&scan, queries, k, threads);
                assert!(
                    found == wanted,
                    "{metric}, dimension {dimension}, k {k}, {threads} threads"
                );
            }
        }
    }
}

#[test]
fn every_small_dimension() {
    for dimension in 1..=100 {
        let (rows, queries) = (numbers(300 * dimension, 1), numbers(10 * dimension, 2));
        check(&rows, &queries, dimension, &[1, 20]);
    }
}

#[test]
fn a_large_dimension() {
    check(&numbers(700 * 2048, 3), &numbers(50 * 2048, 4), 2048, &[1, 60, 100]);
}

#[test]
fn every_number_of_queries_up_to_two_groups_and_a_thousand() {
    let rows = numbers(1100 * 13, 5);
    for queries in (1..=97).step_by(3).chain([4, 5, 16, 17, 48, 49, 96, 1000]) {
        check(&rows, &numbers(queries * 13, 6), 13, &[9]);
    }
}

#[test]
fn k_below_at_and_above_the_number_of_rows() {
    let rows = numbers(3000 * 5, 7);
    check(&rows, &numbers(9 * 5, 8), 5, &[0, 1, 31, 500, 1024, 1025, 2999, 3000, 3001, 9000]);
    check(&numbers(5, 9), &numbers(9 * 5, 8), 5, &[1, 2]);
}

#[test]
fn a_large_common_offset_makes_the_bound_useless_and_nothing_else() {
    let far = |numbers: Vec<f32>| -> Vec<f32> { numbers.iter().map(|x| x + 4.0e4).collect() };
    check(&far(numbers(2000 * 40, 10)), &far(numbers(60 * 40, 11)), 40, &[10, 700]);
}

#[test]
fn near_ties_and_duplicates() {
    // Rows that differ in the last bit of one component, each of them many times.
    let mut rows = Vec::new();
    for row in 0..2500_u32 {
        let mut numbers = numbers(24, 12);
        numbers[5] = f32::from_bits(0.3_f32.to_bits() + row % 5);
        rows.extend(numbers);
    }
    let mut queries = rows[..10 * 24].to_vec();
    queries.extend(numbers(10 * 24, 13));
    check(&rows, &queries, 24, &[1, 10, 501, 1100]);
}

#[test]
fn rows_that_are_all_equal_are_found_by_number() {
    let row = numbers(20, 23);
    let rows: Vec<_> = std::iter::repeat_n(row, 3000).flatten().collect();
    check(&rows, &numbers(30 * 20, 24), 20, &[1, 7, 300, 2999, 4000]);
}

#[test]
fn rows_that_come_ever_nearer_and_ever_farther() {
    let rising: Vec<_> =
        (0..4000 * 12).map(|i| (i / 12) as f32 * 1.0e-3 + (i % 12) as f32).collect();
    let falling: Vec<_> = rising.chunks_exact(12).rev().flatten().copied().collect();
    let queries: Vec<_> = (0..40 * 12).map(|i| 5.0 + (i % 12) as f32).collect();
    for rows in [rising, falling] {
        check(&rows, &queries, 12, &[1, 60, 900]);
    }
}

#[test]
fn queries_with_components_that_are_no_finite_numbers_among_others() {
    let rows = numbers(2000 * 17, 25);
    let mut queries = numbers(20 * 17, 26);
    for (query, x) in [(3, f32::NAN), (4, -f32::NAN), (9, f32::INFINITY), (12, -f32::INFINITY)] {
        queries[query * 17 + query] = x;
    }
    check(&rows, &queries, 17, &[1, 40, 700]);
}

#[test]
fn zeros_and_lengths_of_all_kinds() {
    for scale in [0.0, 1.0e18, 1.0e19, 3.0e19, 3.0e38, 1.0e-19, 1.0e-23, 1.0e-38, 1.0e-44] {
        let scaled =
            |numbers: Vec<f32>| -> Vec<f32> { numbers.iter().map(|x| x * scale).collect() };
        let rows = scaled(numbers(1500 * 18, 14));
        check(&rows, &scaled(numbers(20 * 18, 15)), 18, &[7, 300]);
        check(&rows, &numbers(20 * 18, 15), 18, &[7, 300]);
        // Rows of this scale among others.
        let mut mixed = numbers(1500 * 18, 16);
        for (row, numbers) in mixed.chunks_exact_mut(18).enumerate() {
            if row % 7 == 3 {
                for x in numbers {
                    *x *= scale;
                }
            }
        }
        check(&mixed, &numbers(20 * 18, 17), 18, &[7, 300]);
    }
}

#[test]
fn scores_that_overflow_and_one_component_against_another() {
    let largest = f32::MAX;
    let rows: Vec<_> = (0..1300_u16)
        .flat_map(|i| match i % 5 {
            0 => [largest, largest],
            1 => [-largest, largest],
            2 => [1.0, f32::from(i)],
            3 => [0.0, -0.0],
            _ => [-largest, -largest],
        })
        .collect();
    let queries: Vec<_> = [[1.0, 1.0], [0.0, 0.0], [2.0, -2.0], [largest, 1.0], [1.0e-45, 0.0]]
        .into_iter()
        .cycle()
        .take(30)
        .flatten()
        .collect();
    check(&rows, &queries, 2, &[1, 300, 1300]);
}

#[test]
fn clusters_of_real_numbers_at_many_blocks() {
    let wave = |i: usize| (i as f32 * 0.611).sin();
    let rows: Vec<_> =
        (0..9000 * 32).map(|i| wave(i) * 0.1 + wave(i / 32 % 17 * 32 + i % 32)).collect();
    let queries: Vec<_> = (0..130 * 32).map(|i| wave(i + 7) * 0.1 + wave(i % 544)).collect();
    check(&rows, &queries, 32, &[1, 50, 500]);
}

#[test]
fn rows_of_every_type_and_of_a_slice() {
    let rows = numbers(2000 * 30, 18);
    let query_numbers = numbers(40 * 30, 19);
    let queries = Matrix::new(&query_numbers, 30).expect("whole rows");
    for vector_type in [VectorType::F16, VectorType::F32, VectorType::Int8] {
        let (_dir, vectors) = store(&rows, 30, vector_type);
        let slice = vectors.slice(100..1900).expect("stored");
        let mut stored = Vec::new();
        slice.read(0..1800, &mut stored).expect("read");
        let stored = Matrix::new(&stored, 30).expect("whole rows");
        for metric in METRICS {
            let scan = Scan::new(slice.clone(), metric);
            assert!(search(&scan, queries, 50, 2) == naive(metric, stored, queries, 50));
        }
    }
}

#[test]
fn a_large_dimension_in_halves() {
    let (_dir, vectors) = store(&numbers(900 * 2048, 27), 2048, VectorType::F16);
    let mut stored = Vec::new();
    vectors.read(0..900, &mut stored).expect("read");
    let stored = Matrix::new(&stored, 2048).expect("whole rows");
    let queries = numbers(60 * 2048, 28);
    let queries = Matrix::new(&queries, 2048).expect("whole rows");
    for metric in METRICS {
        let scan = Scan::new(vectors.clone(), metric);
        for k in [1, 10, 60, 112, 113] {
            assert!(search(&scan, queries, k, 3) == naive(metric, stored, queries, k), "{k}");
        }
    }
}

#[test]
fn a_query_has_the_same_hits_alone_and_among_others() {
    let rows: Vec<_> = (0..3000 * 19).map(|i| (i as f32 * 0.7).sin()).collect();
    let (_dir, vectors) = store(&rows, 19, VectorType::F16);
    let queries: Vec<_> = (0..101 * 19).map(|i| (i as f32 * 0.3).cos()).collect();
    for metric in METRICS {
        let scan = Scan::new(vectors.clone(), metric);
        let all = search(&scan, Matrix::new(&queries, 19).expect("whole rows"), 40, 2);
        for query in [0, 47, 48, 100] {
            let alone = &queries[query * 19..(query + 1) * 19];
            let alone = search(&scan, Matrix::new(alone, 19).expect("a row"), 40, 1);
            assert_eq!(alone[0], all[query]);
        }
    }
}

#[test]
fn some_rows_are_scored_in_the_order_asked_for() {
    let rows = numbers(300 * 21, 20);
    let (_dir, vectors) = store(&rows, 21, VectorType::F32);
    let query = numbers(21, 21);
    for metric in METRICS {
        let scan = Scan::new(vectors.slice(10..300).expect("stored"), metric);
        let wanted = [5, 0, 289, 5, 100];
        let mut hits = vec![Hit { id: 0, score: 0.0 }];
        scan.score_rows(&query, &wanted, &mut hits).expect("scored");
        let score = |row: usize| score(metric, &query, &rows[(row + 10) * 21..(row + 11) * 21]);
        let scores = [5, 0, 289, 5, 100].map(score);
        let found: Vec<_> = hits.iter().map(|hit| (hit.id, hit.score)).collect();
        assert_eq!(found, wanted.into_iter().zip(scores).collect::<Vec<_>>());
        assert!(scan.score_rows(&query, &[290], &mut hits).is_err());
        assert!(scan.score_rows(&query[1..], &[0], &mut hits).is_err());
    }
}

#[test]
fn queries_of_another_dimension_are_refused() {
    let (_dir, vectors) = store(&numbers(19, 22), 19, VectorType::F32);
    let scan = Scan::new(vectors, Metric::L2);
    let queries = Matrix::new(&[1.0, 2.0], 2).expect("whole rows");
    let ctx = Context::new(&NoServices, 0, 1);
    let mut hits = Hits::new(1, 1);
    let error = scan.search(&ctx, queries, hits.as_mut()).expect_err("two is not nineteen");
    assert_eq!((error.context("queries"), error.context("index")), (Some("2"), Some("19")));
}
