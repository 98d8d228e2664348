//! Which pool examples are trained on: pure functions over hits and pool.
//!
//! A policy is an order in which examples are offered ([`rank`], [`draw`], [`coreset`]); [`take`]
//! takes those that are admitted until there are enough. [`union`](mod@union) is the paper's rule,
//! which takes whole ranks instead.

mod coreset;
mod draw;
mod ids;
mod rank;
mod summary;
mod take;
#[cfg(test)]
mod testing;
mod union;

use deft_core::Hit;
use rand::SeedableRng;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

pub use coreset::coreset;
pub use draw::{Balanced, Drawn, random};
pub use ids::{check_ids, read_ids};
pub use rank::{by_rank, frequency, round_robin, top_score};
pub use summary::{ContaminationSummary, Dropped, Mix, SelectionSummary};
pub use take::{Admit, Wanted, take, target_words};
pub use union::{depth, evidence, union};

/// The hits of one query, best first.
pub type QueryHits = Vec<Hit>;

/// A selected example, with the evidence for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Selected {
    /// Its position in the pool.
    pub id: u64,
    /// Why it was selected; nothing where it was drawn at random or the whole pool is taken.
    pub evidence: Option<Evidence>,
}

/// What the hits say about an example.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    /// In how many queries' hits it is.
    pub frequency: u32,
    /// The best of its scores.
    pub score: f32,
    /// The best of its ranks, from 1.
    pub rank: u32,
}

impl Selected {
    /// An example for which nothing speaks but the policy.
    pub fn without_evidence(id: u64) -> Self {
        Self { id, evidence: None }
    }
}

/// The positions of `count` queries (or all) of `available`: the first of a seeded shuffle.
pub fn choose_queries(available: usize, count: usize, seed: u64) -> Vec<usize> {
    let mut positions: Vec<usize> = (0..available).collect();
    if count < available {
        positions.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        positions.truncate(count);
    }
    positions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_queries_are_the_first_of_more() {
        let more = choose_queries(100, 64, 3);
        assert_eq!(choose_queries(100, 32, 3), more[..32]);
        assert_eq!(choose_queries(5, 64, 3), [0, 1, 2, 3, 4]);
    }
}
