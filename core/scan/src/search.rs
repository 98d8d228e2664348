//! The scan: blocks of rows, each read once for all queries.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use deft_core::Hit;
use deft_core::prelude::*;
use rayon::prelude::*;

use crate::block::{Block, block_rows};
use crate::bound::Bound;
use crate::group::{Group, Work};
use crate::{Metric, score};

/// Rows that one pass can number.
const PASS: usize = 1 << 32;
/// Rows that [`Scan::score_rows`] holds at once.
const SCORED: usize = 4096;

/// Stored vectors, open for search; cloning is cheap.
///
/// A search holds for each thread a block of rows (1 MiB, or 64 rows if that is more) and the pairs
/// of a block that may be hits (at most 1.2 MB); for each query its vector twice, and for each of its
/// `k` hits up to 40 bytes. Nothing grows with the number of rows.
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
    /// Rows are numbered within the slice. All rows are read once for all queries of a call: one call
    /// with many queries is much faster than many calls.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Cancelled`] once the user asked to stop; [`ErrorKind::Unexpected`] when the
    /// queries have another dimension; [`ErrorKind::Io`] when rows cannot be read.
    pub fn search(&self, ctx: &Context<'_>, queries: Matrix<'_>, hits: HitsMut<'_>) -> Result<()> {
        self.search_in_passes(ctx, queries, hits, PASS)
    }

    fn search_in_passes(
        &self,
        ctx: &Context<'_>,
        queries: Matrix<'_>,
        mut hits: HitsMut<'_>,
        rows_per_pass: usize,
    ) -> Result<()> {
        self.check_dimension(queries.dimension())?;
        let mut found: Vec<Vec<Hit>> = vec![Vec::new(); queries.rows()];
        let k = hits.k().min(self.len());
        let passes = if k > 0 { self.len().div_ceil(rows_per_pass) } else { 0 };
        for pass in 0..passes {
            let first = pass * rows_per_pass;
            let end = (first + rows_per_pass).min(self.len());
            let pass = Pass::new(self, queries, k, first..end, ctx.threads());
            for (found, mut more) in found.iter_mut().zip(pass.run(ctx)?) {
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

/// One pass over rows.
struct Pass<'a> {
    scan: &'a Scan,
    rows: Range<usize>,
    groups: Vec<Group>,
    bound: Bound,
    threads: usize,
    block_rows: usize,
    /// The next block that no thread has taken.
    next: AtomicUsize,
    /// Rows scanned so far.
    done: AtomicUsize,
}

impl<'a> Pass<'a> {
    fn new(
        scan: &'a Scan,
        queries: Matrix<'_>,
        k: usize,
        rows: Range<usize>,
        threads: usize,
    ) -> Self {
        let dimension = queries.dimension();
        let block_rows = block_rows(rows.len(), dimension, threads);
        Self {
            scan,
            groups: Group::of(queries, k),
            bound: Bound::new(scan.metric, dimension),
            threads: threads.min(rows.len().div_ceil(block_rows)).max(1),
            block_rows,
            next: AtomicUsize::new(0),
            done: AtomicUsize::new(rows.start),
            rows,
        }
    }

    /// The best rows of every query.
    ///
    /// Which thread scans which block is left to chance: the order of hits is total, so the best
    /// `k` of all rows are the same however the rows were divided.
    fn run(self, ctx: &Context<'_>) -> Result<Vec<Vec<Hit>>> {
        let first = self.rows.start as u64;
        if self.threads == 1 {
            self.scan(ctx, 0)?;
            return Ok(self.groups.into_iter().flat_map(|group| group.into_hits(first)).collect());
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads)
            .build()
            .or_error(ErrorKind::Unexpected, "cannot start the threads of the search")?;
        let scanned = pool.broadcast(|thread| self.scan(ctx, thread.index()));
        scanned.into_iter().collect::<Result<()>>()?;
        let hits = |group: Group| group.into_hits(first);
        Ok(pool.install(|| self.groups.into_par_iter().flat_map_iter(hits).collect()))
    }

    /// Takes blocks until none is left, and compares each with all queries.
    fn scan(&self, ctx: &Context<'_>, thread: usize) -> Result<()> {
        let (mut block, mut work) = (Block::default(), Work::default());
        let prepared = self.groups.iter().any(Group::wants_prepared);
        // Threads that begin with different groups do not wait for each other.
        let (before, after) = self.groups.split_at(thread * self.groups.len() / self.threads);
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let first = self.rows.start + number * self.block_rows;
            if first >= self.rows.end {
                return Ok(());
            }
            let end = (first + self.block_rows).min(self.rows.end);
            let in_pass = u32::try_from(first - self.rows.start)
                .or_error(ErrorKind::Unexpected, "a pass has too many rows")?;
            block.read(&self.scan.vectors, first..end, in_pass)?;
            if prepared {
                block.prepare(self.scan.metric);
            }
            for group in after.iter().chain(before) {
                ctx.check()?;
                group.compare(&block, self.scan.metric, &self.bound, &mut work);
            }
            let done = self.done.fetch_add(end - first, Ordering::Relaxed) + (end - first);
            ctx.progress(done, self.scan.len(), "rows");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use deft_core::{Hits, NoServices, Services, VectorType, part_name, write_vectors};

    use super::*;

    /// 500 rows of 7 components, and all their numbers.
    fn scan() -> (tempfile::TempDir, Scan, Vec<f32>) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let numbers: Vec<_> = (0..500 * 7).map(|i| (i as f32 * 0.7).sin()).collect();
        let rows = Matrix::new(&numbers, 7).expect("whole rows");
        let part = dir.path().join(part_name(0, ".safetensors"));
        write_vectors(&part, rows, VectorType::F32, 0, "e").expect("written");
        let scan = Scan::new(VectorStore::open(dir.path()).expect("opened"), Metric::L2);
        (dir, scan, numbers)
    }

    #[test]
    fn many_passes_find_what_one_finds() {
        let (_dir, scan, numbers) = scan();
        let queries = Matrix::new(&numbers[..7 * 20], 7).expect("whole rows");
        let found = |rows_per_pass| {
            let mut hits = Hits::new(queries.rows(), 30);
            let ctx = Context::new(&NoServices, 0, 2);
            scan.search_in_passes(&ctx, queries, hits.as_mut(), rows_per_pass).expect("found");
            (0..20).map(|query| hits.of_query(query).collect()).collect::<Vec<Vec<_>>>()
        };
        for rows_per_pass in [1, 33, 499] {
            assert_eq!(found(rows_per_pass), found(PASS));
        }
    }

    /// A host that stops at the first progress, which it keeps.
    #[derive(Default)]
    struct Stopping(AtomicUsize);

    impl Services for Stopping {
        fn log(&self, _level: log::Level, _target: &str, _message: &str) {}

        fn progress(&self, done: u64, total: u64, unit: &str) {
            assert_eq!((total, unit), (500, "rows"));
            self.0.fetch_add(usize::try_from(done).expect("small"), Ordering::Relaxed);
        }

        fn is_cancelled(&self) -> bool {
            self.0.load(Ordering::Relaxed) > 0
        }

        fn resolve(&self, name: &str) -> Result<PathBuf> {
            Ok(PathBuf::from(name))
        }

        fn call(&self, _name: &str, _json: &str) -> Result<String> {
            Ok(String::new())
        }
    }

    #[test]
    fn a_search_stops_when_the_user_asks_for_it_and_tells_rows() {
        let (_dir, scan, numbers) = scan();
        let queries = Matrix::new(&numbers, 7).expect("whole rows");
        let mut hits = Hits::new(queries.rows(), 30);
        let stopping = Stopping::default();
        let ctx = Context::new(&stopping, 0, 1);
        let error = scan.search(&ctx, queries, hits.as_mut()).expect_err("stopped");
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        let block = block_rows(500, 7, 1);
        assert_eq!(stopping.0.into_inner(), block, "the first block, and nothing after it");
    }
}
