//! One pass over rows: blocks and groups handed to threads.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use deft_core::Hit;
use deft_core::prelude::*;
use rayon::ThreadPool;
use rayon::prelude::*;

use crate::block::{Block, block_rows};
use crate::bound::Bound;
use crate::group::{Group, Work};
use crate::late::{Late, LateWork, Settled};
use crate::search::Scan;

/// Rows of fewer components are scored about as fast as they are kept waiting (measured, as the next
/// two).
const WIDE: usize = 768;
/// All rows are read again: for fewer hits, of all queries, that costs more than it saves.
const HITS_PER_ROW: usize = 4;
/// Of fewer rows for each hit of a query, most that pass are hits.
const ROWS_PER_HIT: usize = 8;

/// One pass over rows.
pub(crate) struct Pass<'a> {
    scan: &'a Scan,
    rows: Range<usize>,
    groups: Vec<Group>,
    k: usize,
    bound: Bound,
    threads: usize,
    block_rows: usize,
}

/// Whether [`Pass::run_late`] is the faster way.
pub(crate) fn gains_by_waiting(pass: &Pass<'_>) -> bool {
    let (rows, dimension) = (pass.rows.len(), pass.scan.vectors().dimension());
    let queries: usize = pass.groups.iter().map(|group| group.lengths().len()).sum();
    dimension >= WIDE
        && queries.saturating_mul(pass.k) / HITS_PER_ROW >= rows
        && rows / ROWS_PER_HIT >= pass.k
}

/// One time over all blocks.
struct Round {
    /// Whether [`Block::prepare`] is needed.
    prepared: bool,
    tells_progress: bool,
    /// The next block that no thread has taken.
    next: AtomicUsize,
    /// Rows compared so far.
    done: AtomicUsize,
}

impl Round {
    fn new(prepared: bool, tells_progress: bool) -> Self {
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { prepared, tells_progress, next, done }
    }
}

impl<'a> Pass<'a> {
    pub(crate) fn new(
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
            k,
            bound: Bound::new(scan.metric(), dimension),
            threads: threads.min(rows.len().div_ceil(block_rows)).max(1),
            block_rows,
            rows,
        }
    }

    /// The best rows of every query.
    ///
    /// Which thread scans which block is left to chance: the order of hits is total, so the best
    /// `k` of all rows are the same however the rows were divided.
    pub(crate) fn run(self, ctx: &Context<'_>) -> Result<Vec<Vec<Hit>>> {
        let threads = Threads::start(self.threads)?;
        let round = Round::new(self.groups.iter().any(Group::wants_prepared), true);
        threads.each(|thread| {
            let mut work = Work::default();
            self.scan(ctx, thread, &round, &self.groups, |group, block| {
                group.compare(block, self.scan.metric(), &self.bound, &mut work);
            })
        })?;
        Ok(self.into_hits(&threads))
    }

    /// The same, but no row is scored before all were compared.
    pub(crate) fn run_late(self, ctx: &Context<'_>) -> Result<Vec<Vec<Hit>>> {
        let threads = Threads::start(self.threads)?;
        let late: Vec<_> = self.groups.iter().map(|group| Late::new(group, self.k)).collect();
        let round = Round::new(true, true);
        threads.each(|thread| {
            let mut work = LateWork::default();
            self.scan(ctx, thread, &round, &late, |late, block| {
                late.compare(block, &self.bound, &mut work);
            })
        })?;
        let settled = threads.map(late, |late| late.settle(self.block_rows));
        let round = Round::new(settled.iter().any(Settled::wants_prepared), false);
        threads.each(|thread| {
            let mut work = Work::default();
            self.scan(ctx, thread, &round, &settled, |settled, block| {
                settled.score(block, self.scan.metric(), &self.bound, &mut work);
            })
        })?;
        drop(settled);
        Ok(self.into_hits(&threads))
    }

    fn into_hits(self, threads: &Threads) -> Vec<Vec<Hit>> {
        let first = self.rows.start as u64;
        let hits = |group: Group| group.into_hits(first);
        match &threads.pool {
            None => self.groups.into_iter().flat_map(hits).collect(),
            Some(pool) => {
                pool.install(|| self.groups.into_par_iter().flat_map_iter(hits).collect())
            }
        }
    }

    /// Takes blocks until none is left, and compares each with all groups.
    fn scan<G>(
        &self,
        ctx: &Context<'_>,
        thread: usize,
        round: &Round,
        groups: &[G],
        mut compare: impl FnMut(&G, &Block),
    ) -> Result<()> {
        let mut block = Block::default();
        // Threads that begin with different groups do not wait for each other.
        let (before, after) = groups.split_at(thread * groups.len() / self.threads);
        loop {
            let number = round.next.fetch_add(1, Ordering::Relaxed);
            let first = self.rows.start + number * self.block_rows;
            if first >= self.rows.end {
                return Ok(());
            }
            let end = (first + self.block_rows).min(self.rows.end);
            let in_pass = u32::try_from(first - self.rows.start)
                .or_error(ErrorKind::Unexpected, "a pass has too many rows")?;
            block.read(self.scan.vectors(), first..end, in_pass)?;
            if round.prepared {
                block.prepare(self.scan.metric());
            }
            for group in after.iter().chain(before) {
                ctx.check()?;
                compare(group, &block);
            }
            if round.tells_progress {
                let done = round.done.fetch_add(end - first, Ordering::Relaxed) + (end - first);
                ctx.progress(self.rows.start + done, self.scan.len(), "rows");
            }
        }
    }
}

/// The threads of a pass.
struct Threads {
    /// None where the caller's thread does all.
    pool: Option<ThreadPool>,
}

impl Threads {
    fn start(count: usize) -> Result<Self> {
        let pool = || rayon::ThreadPoolBuilder::new().num_threads(count).build();
        let pool = (count > 1).then(pool).transpose();
        let pool =
            pool.or_error(ErrorKind::Unexpected, "cannot start the threads of the search")?;
        Ok(Self { pool })
    }

    /// Does work on each thread, told its number, until all are done.
    fn each(&self, work: impl Fn(usize) -> Result<()> + Sync) -> Result<()> {
        match &self.pool {
            None => work(0),
            Some(pool) => pool.broadcast(|thread| work(thread.index())).into_iter().collect(),
        }
    }

    /// One result for each item, in their order.
    fn map<T: Send, R: Send>(&self, items: Vec<T>, work: impl Fn(T) -> R + Sync + Send) -> Vec<R> {
        match &self.pool {
            None => items.into_iter().map(work).collect(),
            Some(pool) => pool.install(|| items.into_par_iter().map(work).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use deft_core::{VectorType, part_name, write_vectors};

    use super::*;
    use crate::Metric;

    fn gains(dimension: usize, queries: usize, k: usize) -> bool {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let part = dir.path().join(part_name(0, ".safetensors"));
        let numbers = vec![0.0; dimension * 400];
        let rows = Matrix::new(&numbers, dimension).expect("whole rows");
        write_vectors(&part, rows, VectorType::F32, 0, "e").expect("written");
        let scan = Scan::new(VectorStore::open(dir.path()).expect("opened"), Metric::L2);
        let queries = Matrix::new(&numbers[..dimension * queries], dimension).expect("whole rows");
        gains_by_waiting(&Pass::new(&scan, queries, k, 0..400, 1))
    }

    #[test]
    fn rows_wait_where_they_are_wide_and_hits_are_many_and_rows_are_more() {
        assert!(gains(768, 32, 50) && gains(1000, 400, 4));
        assert!(!gains(767, 32, 50), "the dimension");
        assert!(!gains(768, 31, 50) && !gains(768, 399, 4), "hits of all queries");
        assert!(!gains(768, 32, 51), "rows for each hit");
    }
}
