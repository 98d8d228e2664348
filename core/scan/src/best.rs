//! The best rows of one query so far.

use deft_core::Hit;

/// A row and its score as one number: the larger, the better by [`Hit::rank_order`].
///
/// Numbers are compared and partitioned several times faster than hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(u64);

const SIGN: u32 = 1 << 31;

impl Key {
    pub(crate) fn new(score: f32, row: u32) -> Self {
        // The order of `f32::total_cmp` in the order of integers: of negative numbers, the one with
        // the larger bits is the smaller.
        let bits = score.to_bits();
        let ordered = if bits & SIGN == 0 { bits | SIGN } else { !bits };
        // Of equal scores the smaller row is the better.
        Self(u64::from(ordered) << 32 | u64::from(!row))
    }

    pub(crate) fn score(self) -> f32 {
        let [ordered, _] = self.halves();
        f32::from_bits(if ordered & SIGN == 0 { !ordered } else { ordered ^ SIGN })
    }

    pub(crate) fn row(self) -> u32 {
        let [_, row] = self.halves();
        !row
    }

    fn halves(self) -> [u32; 2] {
        #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
        let lower = self.0 as u32;
        [(self.0 >> 32) as u32, lower]
    }
}

/// Keeps the best `k` of many rows, in memory for half as many again.
#[derive(Debug)]
pub(crate) struct Best {
    k: usize,
    keys: Vec<Key>,
    floor: Option<Key>,
}

impl Best {
    /// Keeps the best `k`, at least 1.
    pub(crate) fn new(k: usize) -> Self {
        Self { k, keys: Vec::new(), floor: None }
    }

    /// The worst of the `k` best at the last cut, once there were so many: nothing below it can be
    /// among the best any more.
    pub(crate) fn floor(&self) -> Option<Key> {
        self.floor
    }

    /// Takes one row; the same one never twice.
    pub(crate) fn push(&mut self, key: Key) {
        if Some(key) < self.floor {
            return;
        }
        self.keys.push(key);
        // To cut at every row is what a heap does. With room for k/2 more, k/2 rows pay for one
        // partition of 1.5 k, and the floor is still fresh enough to keep most rows away.
        if self.keys.len() >= self.k + (self.k / 2).max(32) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let (_, worst, _) = self.keys.select_nth_unstable_by(self.k - 1, |a, b| b.cmp(a));
        self.floor = Some(*worst);
        self.keys.truncate(self.k);
    }

    /// The rows kept, best first, with `first` added to their numbers.
    pub(crate) fn into_hits(mut self, first: u64) -> Vec<Hit> {
        if self.keys.len() > self.k {
            self.cut();
        }
        self.keys.sort_unstable_by(|a, b| b.cmp(a));
        let hit = |key: &Key| Hit { id: first + u64::from(key.row()), score: key.score() };
        self.keys.iter().map(hit).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_order_of_hits_and_give_back_what_they_were_made_of() {
        let scores = [
            f32::NAN,
            f32::INFINITY,
            f32::MAX,
            1.0,
            f32::MIN_POSITIVE,
            1.0e-45,
            0.0,
            -0.0,
            -1.0e-45,
            -1.0,
            f32::MIN,
            f32::NEG_INFINITY,
            -f32::NAN,
        ];
        let rows = [0, 1, 77, u32::MAX];
        let all: Vec<_> = scores.iter().flat_map(|&s| rows.map(|row| (s, row))).collect();
        for &(score, row) in &all {
            let key = Key::new(score, row);
            assert_eq!((key.score().to_bits(), key.row()), (score.to_bits(), row));
            for &(other_score, other_row) in &all {
                let hit = Hit { id: row.into(), score };
                let other = Hit { id: other_row.into(), score: other_score };
                let order = Key::new(other_score, other_row).cmp(&key);
                assert_eq!(order, hit.rank_order(&other), "{hit:?} {other:?}");
            }
        }
    }

    #[test]
    fn the_best_of_many_are_those_of_a_sort() {
        for k in [1, 2, 33, 64, 500, 2000] {
            let score = |row: u32| (row.wrapping_mul(2_654_435_761) >> 20) as f32;
            let mut best = Best::new(k);
            let mut all = Vec::new();
            for row in 0..1500 {
                best.push(Key::new(score(row), row));
                all.push(Hit { id: u64::from(row) + 7, score: score(row) });
                assert!(best.keys.len() < k + (k / 2).max(32));
            }
            all.sort_unstable_by(Hit::rank_order);
            all.truncate(k);
            assert_eq!(best.into_hits(7), all);
        }
    }
}
