//! The rows that may be among the best of one query, as far as products tell.
//!
//! To score a pair takes several times as long as its share of the product, and most rows that pass
//! while the floor is still low are no hits in the end. So a row waits with its product, and only what
//! is left when all products are known is scored.
//!
//! **No hit is lost.** Let `t` be the score that a row has, in the units of its product:
//! [`Bound::error`](crate::bound::Bound::error) says by how much `p` may differ from `t`, and of two
//! rows the one with the larger `t` has the larger score. Let `floor` be the product of the `k`-th
//! best row so far by products, and `e` the largest error of any row so far. Then `k` rows have a `t`
//! of at least `floor − e`. A row with `p < floor − 2e` has a `t` below that, so `k` rows have larger
//! scores and it is no hit, whatever comes later. All others are kept, so that the `k` best by
//! products are too and `floor` never falls. (`e` may grow with a longer row: what was ruled out
//! before was ruled out by errors that hold for the rows compared then.)
//!
//! **Memory is bounded.** Rows that are equal, or so near that products do not tell them apart, could
//! all wait. A query that has no room for them [is full](Waiting::is_full), and cannot go on so.

use crate::best::Key;

/// The rows that wait for one query.
#[derive(Debug)]
pub(crate) struct Waiting {
    k: usize,
    /// Rows and their products.
    keys: Vec<Key>,
    /// So many are cut.
    cut_at: usize,
    /// The product of the `k`-th best row at the last cut; −∞ before.
    floor: f32,
    /// The largest error of a product so far.
    error: f64,
    /// No hit has a smaller product.
    least: f32,
}

impl Waiting {
    /// For the best `k` rows, at least 1.
    pub(crate) fn new(k: usize) -> Self {
        Self {
            k,
            keys: Vec::new(),
            cut_at: k + spare(k),
            floor: f32::NEG_INFINITY,
            error: 0.0,
            least: f32::NEG_INFINITY,
        }
    }

    /// The smallest product that a hit can have, where products are off by up to `error`, a finite
    /// number; to be asked before rows with such products are pushed.
    pub(crate) fn least(&mut self, error: f64) -> f32 {
        if error > self.error {
            self.error = error;
            self.set_least();
        }
        self.least
    }

    /// Takes a row; the same one never twice.
    pub(crate) fn push(&mut self, product: f32, row: u32) {
        if product < self.least {
            return;
        }
        self.keys.push(Key::new(product, row));
        if self.keys.len() >= self.cut_at {
            self.cut();
        }
    }

    /// Whether more rows wait than there is room for.
    pub(crate) fn is_full(&self) -> bool {
        self.keys.len() > 4 * (self.k + spare(self.k))
    }

    /// The rows that may be hits, in no order.
    pub(crate) fn into_rows(mut self) -> impl Iterator<Item = u32> {
        self.cut();
        self.keys.into_iter().map(Key::row)
    }

    fn cut(&mut self) {
        if self.keys.len() >= self.k {
            let (_, worst, _) = self.keys.select_nth_unstable_by(self.k - 1, |a, b| b.cmp(a));
            self.floor = worst.score();
            self.set_least();
            self.keys.retain(|key| key.score() >= self.least);
        }
        self.cut_at = self.keys.len() + spare(self.k);
    }

    fn set_least(&mut self) {
        #[expect(clippy::cast_possible_truncation, reason = "rounded to the nearest, then down")]
        let nearest = (f64::from(self.floor) - 2.0 * self.error) as f32;
        self.least = nearest.next_down();
    }
}

/// Rows that are taken before the next cut: they pay for it.
fn spare(k: usize) -> usize {
    (k / 2).max(32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers without a pattern, in 0..256.
    fn score(row: u32) -> f32 {
        (row.wrapping_mul(2_654_435_761) >> 16) as f32 / 256.0
    }

    /// A product that is off by up to `error`.
    fn product(row: u32, error: f32) -> f32 {
        score(row) + error * (score(row * 7 + 1) / 128.0 - 1.0)
    }

    /// Lets 3,000 rows wait whose error is that of `error`, and checks that the best `k` are kept.
    fn kept(k: usize, error: impl Fn(u32) -> f32) -> usize {
        let mut waiting = Waiting::new(k);
        for row in 0..3000 {
            let least = waiting.least(f64::from(error(row)) + 1.0e-4);
            let product = product(row, error(row));
            if product >= least {
                waiting.push(product, row);
            }
        }
        let mut rows: Vec<_> = waiting.into_rows().collect();
        rows.sort_unstable();
        let mut best: Vec<_> = (0..3000).map(|row| Key::new(score(row), row)).collect();
        best.sort_unstable_by(|a, b| b.cmp(a));
        best.truncate(k);
        for key in best {
            assert!(rows.binary_search(&key.row()).is_ok(), "k {k}: row {}", key.row());
        }
        rows.len()
    }

    #[test]
    fn the_best_rows_are_kept_whatever_their_errors() {
        for k in [1, 2, 40, 500, 1000, 2999, 3000, 5000] {
            for width in [0.0, 0.01, 1.0, 30.0, 1000.0] {
                kept(k, |_| width);
                kept(k, |row| width * row as f32 / 3000.0);
                kept(k, |row| width * (3000 - row) as f32 / 3000.0);
            }
        }
    }

    #[test]
    fn with_small_errors_little_more_than_the_hits_is_kept() {
        let kept = kept(100, |_| 0.1);
        assert!((100..120).contains(&kept), "{kept}");
    }

    #[test]
    fn a_row_that_is_worse_by_no_more_than_both_errors_is_kept() {
        let mut waiting = Waiting::new(1);
        waiting.least(0.5);
        for (product, row) in [(3.0, 0), (2.0, 1), (1.99, 2), (1.0, 3)] {
            waiting.push(product, row);
        }
        assert_eq!(waiting.into_rows().max(), Some(1));
    }

    #[test]
    fn rows_that_products_do_not_tell_apart_fill_it() {
        let mut waiting = Waiting::new(10);
        waiting.least(1.0);
        let full = (0..1000).find(|&row| {
            waiting.push(2.0, row);
            waiting.is_full()
        });
        assert_eq!(full, Some(4 * (10 + 32)));
        let mut better = Waiting::new(10);
        better.least(1.0e-3);
        (0..1000).for_each(|row| better.push(row as f32, row));
        assert!(!better.is_full(), "each cut leaves little more than ten");
    }
}
