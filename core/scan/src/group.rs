//! Queries that are compared with a block together.

#![expect(clippy::inline_always, reason = "scores must be compiled for the vectors of `S`")]

use std::sync::{Mutex, MutexGuard, PoisonError};

use deft_core::{Hit, Matrix};
use pulp::{Arch, Simd, WithSimd};

use crate::Metric;
use crate::aligned::Aligned;
use crate::best::{Best, Key};
use crate::block::Block;
use crate::bound::{Bound, length};
use crate::filter::{Panel, Shape, filter};
use crate::passed::Pair;
use crate::score::score_with;

/// Up to so many queries are scored with every row: the product works on a whole vector of queries,
/// and reading takes longer anyway.
const FEW: usize = 4;
/// Queries of a group where there is no vector to fill.
const WITHOUT_VECTORS: usize = 48;

/// Queries, and the best rows of each so far.
#[derive(Debug)]
pub(crate) struct Group {
    queries: Aligned,
    /// Length of each query.
    lengths: Vec<f64>,
    /// The queries packed for the product, unless all rows are scored.
    panel: Option<Panel>,
    best: Mutex<Vec<Best>>,
}

/// What one thread needs for any group.
#[derive(Debug, Default)]
pub(crate) struct Work {
    floors: Vec<Option<Key>>,
    thresholds: Vec<f32>,
    pairs: Vec<Pair>,
    /// Query of the group, and a row that may be one of its best.
    found: Vec<(usize, Key)>,
}

impl Group {
    /// Divides queries into groups, for the best `k` rows of each.
    pub(crate) fn of(queries: Matrix<'_>, k: usize) -> Vec<Self> {
        let Shape { lanes, queries: most } = Shape::of_this_processor();
        let size = if lanes > 1 { most } else { WITHOUT_VECTORS };
        let dimension = queries.dimension();
        let groups = queries.as_slice().chunks(size * dimension);
        groups.map(|numbers| Self::new(numbers, dimension, k, lanes)).collect()
    }

    fn new(numbers: &[f32], dimension: usize, k: usize, lanes: usize) -> Self {
        let each: Vec<_> = numbers.chunks_exact(dimension).collect();
        let mut queries = Aligned::default();
        queries.resize(numbers.len()).copy_from_slice(numbers);
        Self {
            queries,
            lengths: each.iter().map(|query| length(query)).collect(),
            panel: (lanes > 1 && each.len() > FEW).then(|| Panel::new(&each, lanes)),
            best: Mutex::new(each.iter().map(|_| Best::new(k)).collect()),
        }
    }

    /// Whether [`Block::prepare`] is needed.
    pub(crate) fn wants_prepared(&self) -> bool {
        self.panel.is_some()
    }

    /// The queries packed for the product, unless all rows are scored.
    pub(crate) fn panel(&self) -> Option<&Panel> {
        self.panel.as_ref()
    }

    /// Length of each query.
    pub(crate) fn lengths(&self) -> &[f64] {
        &self.lengths
    }

    /// Compares a block with all queries.
    ///
    /// The floors may be out of date when they are used: then more rows are scored than need be.
    pub(crate) fn compare(&self, block: &Block, metric: Metric, bound: &Bound, work: &mut Work) {
        self.begin(work);
        if let Some(panel) = &self.panel {
            self.set_thresholds(block, bound, work);
            filter(block, panel, &work.thresholds, &mut work.pairs);
        }
        self.finish(block, metric, work);
    }

    /// Scores these pairs of a block and a group that has a panel.
    pub(crate) fn score(
        &self,
        block: &Block,
        metric: Metric,
        pairs: impl Iterator<Item = Pair>,
        work: &mut Work,
    ) {
        self.begin(work);
        work.pairs.extend(pairs);
        self.finish(block, metric, work);
    }

    fn begin(&self, work: &mut Work) {
        work.floors.clear();
        work.floors.extend(self.best().iter().map(Best::floor));
        work.found.clear();
        work.pairs.clear();
    }

    fn finish(&self, block: &Block, metric: Metric, work: &mut Work) {
        Arch::new().dispatch(Scoring { group: self, block, metric, work });
        let mut best = self.best();
        for &(query, key) in &work.found {
            best[query].push(key);
        }
    }

    fn set_thresholds(&self, block: &Block, bound: &Bound, work: &mut Work) {
        let threshold = |(&floor, &length): (&Option<Key>, &f64)| {
            let floor = floor.map_or(f32::NEG_INFINITY, Key::score);
            bound.threshold(length, block.longest, floor)
        };
        work.thresholds.clear();
        work.thresholds.extend(work.floors.iter().zip(&self.lengths).map(threshold));
    }

    /// The hits of each query, best first, with `first` added to their row numbers.
    pub(crate) fn into_hits(self, first: u64) -> Vec<Vec<Hit>> {
        let best = self.best.into_inner().unwrap_or_else(PoisonError::into_inner);
        best.into_iter().map(|best| best.into_hits(first)).collect()
    }

    /// A thread that panicked ends the search; until then its half of the work does no harm.
    fn best(&self) -> MutexGuard<'_, Vec<Best>> {
        self.best.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Scores the pairs that the filter let through, or all.
struct Scoring<'a> {
    group: &'a Group,
    block: &'a Block,
    metric: Metric,
    work: &'a mut Work,
}

impl WithSimd for Scoring<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        if self.group.panel.is_some() {
            for i in 0..self.work.pairs.len() {
                let Pair { row, query } = self.work.pairs[i];
                self.score(simd, self.block.row(row as usize), row, query as usize);
            }
        } else {
            for (row, numbers) in (0..).zip(self.block.rows()) {
                for query in 0..self.group.lengths.len() {
                    self.score(simd, numbers, row, query);
                }
            }
        }
    }
}

impl Scoring<'_> {
    #[inline(always)]
    fn score<S: Simd>(&mut self, simd: S, numbers: &[f32], row: u32, query: usize) {
        let start = query * numbers.len();
        let query_numbers = &self.group.queries.as_slice()[start..start + numbers.len()];
        let score = score_with(simd, self.metric, query_numbers, numbers);
        let key = Key::new(score, self.block.first + row);
        if Some(key) >= self.work.floors[query] {
            self.work.found.push((query, key));
        }
    }
}
