//! The scan: blocks of rows, each read once for all queries.

use std::sync::atomic::{AtomicUsize, Ordering};

use deft_core::prelude::*;
use deft_core::{Hit, TopK};

use crate::config::Metric;
use crate::kernel::score;

/// Rows that are read at once: 8 MiB at 2,048 components, for each thread.
pub(crate) const ROWS: usize = 1024;
/// Rows and queries that are compared before moving on, so that both stay in a core's cache.
const ROW_TILE: usize = 16;
const QUERY_TILE: usize = 64;

/// Stored vectors, open for search.
#[derive(Debug)]
pub(crate) struct Scan {
    vectors: VectorStore,
    metric: Metric,
}

impl Scan {
    pub(crate) fn new(vectors: VectorStore, metric: Metric) -> Self {
        Self { vectors, metric }
    }

    fn blocks(&self) -> usize {
        self.vectors.len().div_ceil(ROWS)
    }

    /// Takes blocks until none is left, and keeps the best hits of every query among them.
    fn scan(
        &self,
        ctx: &Context<'_>,
        queries: Matrix<'_>,
        k: usize,
        shared: &Shared,
    ) -> Result<Vec<TopK>> {
        let mut best: Vec<_> = (0..queries.rows()).map(|_| TopK::new(k)).collect();
        let mut numbers = Vec::new();
        loop {
            let block = shared.next.fetch_add(1, Ordering::Relaxed);
            if block >= self.blocks() {
                return Ok(best);
            }
            let first = block * ROWS;
            let end = (first + ROWS).min(self.vectors.len());
            self.vectors.read(first..end, &mut numbers)?;
            let rows = Matrix::new(&numbers, queries.dimension())?;
            self.compare(ctx, rows, first, queries, &mut best)?;
            let done = shared.done.fetch_add(end - first, Ordering::Relaxed) + (end - first);
            ctx.progress(done, self.vectors.len(), "rows");
        }
    }

    /// Compares the rows of a block, the first of which is row `first`, with all queries.
    fn compare(
        &self,
        ctx: &Context<'_>,
        rows: Matrix<'_>,
        first: usize,
        queries: Matrix<'_>,
        best: &mut [TopK],
    ) -> Result<()> {
        for query_tile in (0..queries.rows()).step_by(QUERY_TILE) {
            ctx.check()?;
            let query_tile = query_tile..(query_tile + QUERY_TILE).min(queries.rows());
            for row_tile in (0..rows.rows()).step_by(ROW_TILE) {
                let row_tile = row_tile..(row_tile + ROW_TILE).min(rows.rows());
                for query in query_tile.clone() {
                    for row in row_tile.clone() {
                        let score = score(self.metric, queries.row(query), rows.row(row));
                        best[query].push(Hit { id: (first + row) as u64, score });
                    }
                }
            }
        }
        Ok(())
    }

    fn check_dimension(&self, queries: Matrix<'_>) -> Result<()> {
        if queries.dimension() == self.vectors.dimension() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unexpected, "the queries have another dimension than the index")
            .with_context("queries", queries.dimension())
            .with_context("index", self.vectors.dimension()))
    }
}

impl Index for Scan {
    fn len(&self) -> usize {
        self.vectors.len()
    }

    /// Which thread scans which block is left to chance: the order of hits is total, so the best
    /// `k` of all rows are the same however the rows were divided.
    fn search(&self, ctx: &Context<'_>, queries: Matrix<'_>, mut hits: HitsMut<'_>) -> Result<()> {
        self.check_dimension(queries)?;
        let k = hits.k().min(self.len());
        let shared = Shared::default();
        let scanned = if ctx.threads() == 1 {
            vec![self.scan(ctx, queries, k, &shared)]
        } else {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(ctx.threads().min(self.blocks().max(1)))
                .build()
                .or_error(ErrorKind::Unexpected, "cannot start the threads of the search")?;
            pool.broadcast(|_| self.scan(ctx, queries, k, &shared))
        };
        let mut found: Vec<Vec<Hit>> = vec![Vec::new(); queries.rows()];
        for best in scanned {
            for (found, best) in found.iter_mut().zip(best?) {
                found.append(&mut best.into_vec());
            }
        }
        for (query, found) in found.iter_mut().enumerate() {
            hits.set(query, found);
        }
        Ok(())
    }
}

/// What the threads of one search share.
#[derive(Debug, Default)]
struct Shared {
    /// The next block that no thread has taken.
    next: AtomicUsize,
    /// Rows scanned so far.
    done: AtomicUsize,
}

#[cfg(test)]
mod tests {
    use deft_core::{Hits, NoServices, VectorType, part_name, write_vectors};

    use super::*;

    const DIMENSION: usize = 19;

    /// Numbers without a pattern, in −1..=1, that f16 holds exactly.
    fn numbers(count: usize, salt: usize) -> Vec<f32> {
        let number = |i: usize| ((i * 2_654_435_761 + salt * 40_503) >> 7) % 257;
        (0..count).map(|i| (number(i) as f32 - 128.0) / 128.0).collect()
    }

    fn store(rows: &[f32], vector_type: VectorType) -> (tempfile::TempDir, VectorStore) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let part = dir.path().join(part_name(0, ".safetensors"));
        let rows = Matrix::new(rows, DIMENSION).expect("whole rows");
        write_vectors(&part, rows, vector_type, 0, "e").expect("written");
        let vectors = VectorStore::open(dir.path()).expect("opened");
        (dir, vectors)
    }

    fn search(scan: &Scan, queries: &[f32], k: usize, threads: usize) -> Vec<Vec<Hit>> {
        let queries = Matrix::new(queries, DIMENSION).expect("whole rows");
        let mut hits = Hits::new(queries.rows(), k);
        let ctx = Context::new(&NoServices, 0, threads);
        scan.search(&ctx, queries, hits.as_mut()).expect("found");
        (0..queries.rows()).map(|query| hits.of_query(query).collect()).collect()
    }

    /// The nearest rows by a full sort of scores computed in f64.
    fn naive(metric: Metric, rows: &[f32], query: &[f32], k: usize) -> Vec<(u64, f64)> {
        let score = |row: &[f32]| -> f64 {
            let pairs = row.iter().zip(query).map(|(&x, &y)| (f64::from(x), f64::from(y)));
            match metric {
                Metric::L2 => -pairs.map(|(x, y)| (x - y) * (x - y)).sum::<f64>(),
                Metric::Ip => pairs.map(|(x, y)| x * y).sum(),
            }
        };
        let mut all: Vec<_> =
            (0..).zip(rows.chunks_exact(DIMENSION)).map(|(id, row)| (id, score(row))).collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        all.truncate(k);
        all
    }

    #[test]
    fn hits_are_those_of_a_naive_scan_in_f64() {
        // More than two blocks, the last one not full; more queries than a tile.
        let rows = numbers((2 * ROWS + 77) * DIMENSION, 1);
        let queries = numbers((QUERY_TILE + 3) * DIMENSION, 2);
        for vector_type in [VectorType::F16, VectorType::F32] {
            let (_dir, vectors) = store(&rows, vector_type);
            for metric in [Metric::L2, Metric::Ip] {
                let scan = Scan::new(vectors.clone(), metric);
                let found = search(&scan, &queries, 20, 2);
                for (query, found) in queries.chunks_exact(DIMENSION).zip(found) {
                    // The numbers are multiples of 1/128: f32 sums them without rounding.
                    let wanted = naive(metric, &rows, query, 20);
                    let found: Vec<_> =
                        found.iter().map(|hit| (hit.id, f64::from(hit.score))).collect();
                    assert_eq!(found, wanted);
                }
            }
        }
    }

    #[test]
    fn ties_go_to_the_smaller_row_even_across_blocks() {
        let rows = vec![0.5; (ROWS + 10) * DIMENSION];
        let (_dir, vectors) = store(&rows, VectorType::F16);
        let scan = Scan::new(vectors, Metric::L2);
        let found = search(&scan, &rows[..DIMENSION], 3, 2);
        assert_eq!(found[0].iter().map(|hit| hit.id).collect::<Vec<_>>(), [0, 1, 2]);
        let found = search(&scan, &rows[..DIMENSION], ROWS + 2, 2);
        let wanted: Vec<_> = (0..ROWS as u64 + 2).collect();
        assert_eq!(found[0].iter().map(|hit| hit.id).collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn a_small_index_gives_all_its_rows_and_no_more() {
        let (_dir, vectors) = store(&numbers(5 * DIMENSION, 3), VectorType::F32);
        let slice = vectors.slice(2..5).expect("stored");
        let scan = Scan::new(slice, Metric::Ip);
        let found = search(&scan, &numbers(DIMENSION, 4), 100, 1);
        let mut rows: Vec<_> = found[0].iter().map(|hit| hit.id).collect();
        rows.sort_unstable();
        // Rows are numbered within the slice.
        assert_eq!(rows, [0, 1, 2]);
    }

    #[test]
    fn the_number_of_threads_does_not_change_a_bit() {
        let rows: Vec<_> =
            (0..(5 * ROWS + 1) * DIMENSION).map(|i| (i as f32 * 0.7).sin()).collect();
        let (_dir, vectors) = store(&rows, VectorType::F32);
        let scan = Scan::new(vectors, Metric::L2);
        let queries: Vec<_> = (0..9 * DIMENSION).map(|i| (i as f32 * 0.3).cos()).collect();
        let bits = |threads| -> Vec<Vec<(u64, u32)>> {
            let hits = search(&scan, &queries, 50, threads);
            hits.iter()
                .map(|hits| hits.iter().map(|hit| (hit.id, hit.score.to_bits())).collect())
                .collect()
        };
        assert_eq!(bits(1), bits(3));
    }

    #[test]
    fn queries_of_another_dimension_are_refused() {
        let (_dir, vectors) = store(&numbers(DIMENSION, 5), VectorType::F32);
        let scan = Scan::new(vectors, Metric::L2);
        let queries = Matrix::new(&[1.0, 2.0], 2).expect("whole rows");
        let ctx = Context::new(&NoServices, 0, 1);
        let mut hits = Hits::new(1, 1);
        let error = scan.search(&ctx, queries, hits.as_mut()).expect_err("two is not nineteen");
        assert_eq!((error.context("queries"), error.context("index")), (Some("2"), Some("19")));
    }
}
