//! The best hits of one query, found in any order.

use deft_core::Hit;

/// Keeps the best `k` of many hits: by sorting out what has come together now and then, which is
/// cheaper than a heap where most of what comes first has to go again.
#[derive(Debug)]
pub(crate) struct Best {
    k: usize,
    hits: Vec<Hit>,
    floor: f32,
}

impl Best {
    pub(crate) fn new(k: usize) -> Self {
        // No score of a hit is 0: what a term adds is more.
        Self { k, hits: Vec::new(), floor: f32::from_bits(1) }
    }

    /// The least score that can still be among the best.
    pub(crate) fn floor(&self) -> f32 {
        self.floor
    }

    /// Offers a hit whose score is at least the floor.
    pub(crate) fn push(&mut self, hit: Hit) {
        self.hits.push(hit);
        if self.hits.len() >= self.k.saturating_mul(4).max(1024) {
            self.cut();
        }
    }

    /// The best hits, best first.
    pub(crate) fn into_hits(mut self) -> Vec<Hit> {
        self.cut();
        self.hits.sort_unstable_by(Hit::rank_order);
        self.hits
    }

    fn cut(&mut self) {
        if self.k == 0 {
            self.hits.clear();
        } else if self.hits.len() > self.k {
            let (_, last, _) = self.hits.select_nth_unstable_by(self.k - 1, Hit::rank_order);
            self.floor = last.score;
            self.hits.truncate(self.k);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_are_those_of_a_sort() {
        for (hits, scores) in [(0, 1), (5, 3), (1500, 7), (20_000, 1), (20_000, 3000)] {
            for k in [0, 1, 10, 500, 30_000] {
                // Scores in disorder, many of them equal.
                let hit = |id: u64| {
                    let score = (id.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) % scores + 1;
                    Hit { id, score: score as f32 }
                };
                let mut wanted: Vec<_> = (0..hits).map(hit).collect();
                let mut best = Best::new(k);
                for &hit in wanted.iter().rev().filter(|hit| hit.score >= 1.0) {
                    if hit.score >= best.floor() {
                        best.push(hit);
                    }
                }
                wanted.sort_by(Hit::rank_order);
                wanted.truncate(k);
                assert_eq!(best.into_hits(), wanted, "{hits} hits of {scores} scores, k {k}");
            }
        }
    }
}
