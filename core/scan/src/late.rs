//! Scoring after all products are known: the way of wide vectors.
//!
//! All blocks are read twice. The first time rows only wait with their products ([`Late`]), the second
//! time those that still wait are scored ([`Settled`]). A group whose products do not tell rows apart
//! does nothing more the first time, and is compared the second time as if there had been none.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Metric;
use crate::block::Block;
use crate::bound::Bound;
use crate::filter::filter;
use crate::group::{Group, Work};
use crate::passed::Pair;
use crate::waiting::Waiting;

/// A group, and the rows that wait for each of its queries.
#[derive(Debug)]
pub(crate) struct Late<'a> {
    group: &'a Group,
    /// None where products are of no use.
    waiting: Mutex<Option<Vec<Waiting>>>,
}

/// What one thread needs for any group.
#[derive(Debug, Default)]
pub(crate) struct LateWork {
    thresholds: Vec<f32>,
    passed: Vec<(Pair, f32)>,
}

impl<'a> Late<'a> {
    /// For the best `k` rows of each query.
    pub(crate) fn new(group: &'a Group, k: usize) -> Self {
        let each = || group.lengths().iter().map(|_| Waiting::new(k)).collect();
        Self { group, waiting: Mutex::new(group.panel().map(|_| each())) }
    }

    /// Compares a prepared block with all queries.
    pub(crate) fn compare(&self, block: &Block, bound: &Bound, work: &mut LateWork) {
        let Some(panel) = self.group.panel() else { return };
        if !self.set_thresholds(block, bound, work) {
            return;
        }
        work.passed.clear();
        filter(block, panel, &work.thresholds, &mut work.passed);
        let mut all = self.waiting();
        if let Some(waiting) = &mut *all {
            for &(Pair { row, query }, product) in &work.passed {
                waiting[query as usize].push(product, block.first + row);
            }
            if waiting.iter().any(Waiting::is_full) {
                *all = None;
            }
        }
    }

    /// False where products are of no use.
    fn set_thresholds(&self, block: &Block, bound: &Bound, work: &mut LateWork) -> bool {
        work.thresholds.clear();
        let mut all = self.waiting();
        for (waiting, &length) in all.iter_mut().flatten().zip(self.group.lengths()) {
            let error = bound.error(length, block.longest);
            work.thresholds.extend(error.map(|error| waiting.least(error)));
        }
        let known = work.thresholds.len() == self.group.lengths().len();
        if !known {
            *all = None;
        }
        known
    }

    /// Once all blocks, of so many rows, were compared: which rows are to be scored.
    pub(crate) fn settle(self, block_rows: usize) -> Settled<'a> {
        let waiting = self.waiting.into_inner().unwrap_or_else(PoisonError::into_inner);
        let pairs = waiting.map(|each| {
            let of = |(query, waiting): (u32, Waiting)| {
                waiting.into_rows().map(move |row| Pair { row, query })
            };
            let mut pairs: Vec<_> = (0..).zip(each).flat_map(of).collect();
            // Stable: within a block the pairs of a query follow each other, and it stays in the cache.
            pairs.sort_by_cached_key(|pair| pair.row as usize / block_rows);
            pairs
        });
        Settled { group: self.group, pairs }
    }

    /// A thread that panicked ends the search; until then its half of the work does no harm.
    fn waiting(&self) -> MutexGuard<'_, Option<Vec<Waiting>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A group, and what is to be scored for it.
#[derive(Debug)]
pub(crate) struct Settled<'a> {
    group: &'a Group,
    /// Row numbers of the pass and queries, in the order of blocks; none where all rows are to be
    /// compared.
    pairs: Option<Vec<Pair>>,
}

impl Settled<'_> {
    /// Whether [`Block::prepare`] is needed.
    pub(crate) fn wants_prepared(&self) -> bool {
        self.pairs.is_none() && self.group.wants_prepared()
    }

    /// Scores the rows of a block.
    pub(crate) fn score(&self, block: &Block, metric: Metric, bound: &Bound, work: &mut Work) {
        match &self.pairs {
            Some(pairs) => self.group.score(block, metric, pairs_of(block, pairs), work),
            None => self.group.compare(block, metric, bound, work),
        }
    }
}

/// Of pairs in the order of blocks those of one, with rows counted from its first.
fn pairs_of<'a>(block: &Block, pairs: &'a [Pair]) -> impl Iterator<Item = Pair> + 'a {
    let (first, rows) = (block.first, block.len());
    let rest = &pairs[pairs.partition_point(|pair| pair.row < first)..];
    let counted = rest.iter().map(move |pair| Pair { row: pair.row - first, query: pair.query });
    counted.take_while(move |pair| (pair.row as usize) < rows)
}

#[cfg(test)]
mod tests {
    use deft_core::Matrix;

    use super::*;

    const DIMENSION: usize = 8;

    /// How many pairs of these rows of one block and eight queries are left to be scored; none where
    /// products are of no use.
    fn waiting(rows: &[f32], k: usize) -> Option<usize> {
        let block = Block::of_rows(rows, DIMENSION, Metric::L2);
        let queries: Vec<_> = (0..8 * DIMENSION).map(|i| (i as f32).cos()).collect();
        let queries = Matrix::new(&queries, DIMENSION).expect("whole rows");
        let [group] = &Group::of(queries, k)[..] else { panic!("one group") };
        let late = Late::new(group, k);
        late.compare(&block, &Bound::new(Metric::L2, DIMENSION), &mut LateWork::default());
        let settled = late.settle(500);
        assert_eq!(settled.wants_prepared(), settled.pairs.is_none());
        settled.pairs.map(|pairs| pairs.len())
    }

    #[test]
    fn rows_wait_unless_products_do_not_tell_them_apart_or_say_nothing() {
        if Group::of(Matrix::new(&[0.0; 8], 1).expect("whole rows"), 1)[0].panel().is_none() {
            return; // This processor has no vectors: all rows are scored.
        }
        let mut rows: Vec<_> = (0..500 * DIMENSION).map(|i| (i as f32 * 0.7).sin()).collect();
        let pairs = waiting(&rows, 10).expect("products tell them apart");
        assert!((80..90).contains(&pairs), "{pairs}");
        rows[400 * DIMENSION] = 1.0e25;
        assert_eq!(waiting(&rows, 10), None);
        assert_eq!(waiting(&[0.5; 500 * DIMENSION], 10), None);
        assert_eq!(waiting(&[0.5; 100 * DIMENSION], 10), Some(800));
    }

    #[test]
    fn the_pairs_of_a_block_are_those_of_its_rows() {
        let mut block = Block::of_rows(&[0.5; 3 * DIMENSION], DIMENSION, Metric::L2);
        block.first = 10;
        let of = |rows: &[u32]| -> Vec<_> {
            let pairs: Vec<_> = rows.iter().map(|&row| Pair { row, query: row * 2 }).collect();
            pairs_of(&block, &pairs).map(|pair| (pair.row, pair.query)).collect()
        };
        assert_eq!(of(&[9, 0, 12, 10, 12, 20, 13]), [(2, 24), (0, 20), (2, 24)]);
        assert_eq!(of(&[11]), [(1, 22)]);
        assert!(of(&[]).is_empty() && of(&[9, 13]).is_empty());
    }
}
