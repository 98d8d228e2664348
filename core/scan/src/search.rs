//! The scan, as its callers see it.

use deft_core::Hit;
use deft_core::prelude::*;

use crate::block::block_rows;
use crate::pass::{Pass, gains_by_waiting};
use crate::{Metric, score};

/// Rows that one pass can number.
const PASS: usize = 1 << 32;
/// Rows that [`Scan::score_rows`] holds at once.
const SCORED: usize = 4096;

/// Stored vectors, open for search; cloning is cheap.
///
/// A search holds for each thread a block of rows (1 MiB, or 64 rows if that is more) and the pairs
/// of a block that may be hits (at most 1.2 MB); for each query its vector twice, and for each of its
/// `k` hits up to 100 bytes. Nothing grows with the number of rows.
#[derive(Debug, Clone)]
pub struct Scan {
    vectors: VectorStore,
    metric: Metric,
}

impl Scan {
    /// A scan over the rows of a store or of a slice of it.
    pub fn new(vectors: VectorStore, metric: Metric) -> Self {
        Self { vectors, metric }
    }

    /// Bytes of the block of rows that each thread of a search holds.
    pub fn bytes_per_thread(IndexShape { rows, dimension }: IndexShape) -> usize {
        block_rows(rows, dimension, 1) * dimension * size_of::<f32>()
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.vectors.len()
    }

    /// Whether there is no row at all.
    pub fn is_empty(&self) -> bool {
        self.vectors.is_empty()
    }

    /// How near two vectors are.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// The rows themselves.
    pub fn vectors(&self) -> &VectorStore {
        &self.vectors
    }

    /// The `hits.k()` nearest rows of every query, in the order of [`Hit::rank_order`]: those, and
    /// with the bits of those, that scoring every row with [`score`](crate::score()) and sorting would
    /// give, at any number of threads and in any batch of queries.
    ///
    /// Rows are numbered within the slice. All rows are read once for all queries of a call (wide rows
    /// for many queries twice): one call with many queries is much faster than many calls.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Cancelled`] once the user asked to stop; [`ErrorKind::Unexpected`] when the
    /// queries have another dimension; [`ErrorKind::Io`] when rows cannot be read.
    pub fn search(&self, ctx: &Context<'_>, queries: Matrix<'_>, hits: HitsMut<'_>) -> Result<()> {
        self.search_in_passes(ctx, queries, hits, PASS, gains_by_waiting)
    }

    fn search_in_passes(
        &self,
        ctx: &Context<'_>,
        queries: Matrix<'_>,
        mut hits: HitsMut<'_>,
        rows_per_pass: usize,
        waits: fn(&Pass<'_>) -> bool,
    ) -> Result<()> {
        self.check_dimension(queries.dimension())?;
        let mut found: Vec<Vec<Hit>> = vec![Vec::new(); queries.rows()];
        let k = hits.k().min(self.len());
        let passes = if k > 0 { self.len().div_ceil(rows_per_pass) } else { 0 };
        for pass in 0..passes {
            let first = pass * rows_per_pass;
            let end = (first + rows_per_pass).min(self.len());
            let pass = Pass::new(self, queries, k, first..end, ctx.threads());
            let more = if waits(&pass) { pass.run_late(ctx)? } else { pass.run(ctx)? };
            for (found, mut more) in found.iter_mut().zip(more) {
                found.append(&mut more);
            }
        }
        for (query, found) in found.iter_mut().enumerate() {
            hits.set(query, found);
        }
        Ok(())
    }

    /// The scores of some rows for one query, by [`score`](crate::score()): one hit for each entry of
    /// `rows`, in their order, replacing what `hits` held.
    ///
    /// Rows are numbered within the slice, come in any order, and may come twice.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unexpected`] when the query has another dimension or a row is out of range;
    /// [`ErrorKind::Io`] when rows cannot be read.
    pub fn score_rows(&self, query: &[f32], rows: &[u64], hits: &mut Vec<Hit>) -> Result<()> {
        self.check_dimension(query.len())?;
        hits.clear();
        let mut numbers = Vec::new();
        for rows in rows.chunks(SCORED) {
            self.vectors.read_rows(rows, &mut numbers)?;
            let scored = rows.iter().zip(numbers.chunks_exact(query.len()));
            hits.extend(scored.map(|(&id, row)| Hit { id, score: score(self.metric, query, row) }));
        }
        Ok(())
    }

    fn check_dimension(&self, queries: usize) -> Result<()> {
        if queries == self.vectors.dimension() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Unexpected, "the queries have another dimension than the index")
            .with_context("queries", queries)
            .with_context("index", self.vectors.dimension()))
    }
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
