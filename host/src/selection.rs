//! Which pool examples are trained on: pure functions over hits.

use std::collections::{BTreeMap, HashMap};

use deft_core::Hit;
use rand::SeedableRng;
use rand::seq::{SliceRandom as _, index};
use rand_chacha::ChaCha8Rng;

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

/// Every example that is a hit of some query, in pool order: the paper's rule.
///
/// With a `size`, the last hits of every query are dropped, one rank at a time and alike for all,
/// until no more than `size` examples are left: the rule of the original's two trimming scripts.
/// The evidence counts the hits that are left.
pub fn union(hits: &[QueryHits], size: Option<usize>) -> Vec<Selected> {
    let depth = depth(hits, size);
    let mut found: BTreeMap<u64, Evidence> = BTreeMap::new();
    for query in hits {
        for (hit, rank) in query.iter().take(depth).zip(1..) {
            let evidence =
                found.entry(hit.id).or_insert(Evidence { frequency: 0, score: hit.score, rank });
            evidence.frequency += 1;
            evidence.score = evidence.score.max(hit.score);
            evidence.rank = evidence.rank.min(rank);
        }
    }
    let selected = |(id, evidence)| Selected { id, evidence: Some(evidence) };
    found.into_iter().map(selected).collect()
}

/// How many of the first hits of each query a union takes.
pub fn depth(hits: &[QueryHits], size: Option<usize>) -> usize {
    let deepest = hits.iter().map(Vec::len).max().unwrap_or(0);
    size.map_or(deepest, |size| depth_for(hits, deepest, size))
}

/// The greatest depth at which the union is no larger than `size`.
fn depth_for(hits: &[QueryHits], deepest: usize, size: usize) -> usize {
    let mut best_rank: HashMap<u64, usize> = HashMap::new();
    for query in hits {
        for (rank, hit) in query.iter().enumerate() {
            let best = best_rank.entry(hit.id).or_insert(rank);
            *best = rank.min(*best);
        }
    }
    let mut new_at = vec![0; deepest];
    for rank in best_rank.into_values() {
        new_at[rank] += 1;
    }
    let mut total = 0;
    new_at
        .into_iter()
        .take_while(|new| {
            total += new;
            total <= size
        })
        .count()
}

/// `size` examples (or all, if there are fewer) drawn without replacement, in pool order.
pub fn random(pool: usize, size: usize, seed: u64) -> Vec<Selected> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut ids = index::sample(&mut rng, pool, size.min(pool)).into_vec();
    ids.sort_unstable();
    ids.into_iter().map(|id| Selected { id: id as u64, evidence: None }).collect()
}

/// The whole pool.
pub fn all(pool: usize) -> Vec<Selected> {
    (0..pool as u64).map(|id| Selected { id, evidence: None }).collect()
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

    fn hits(ids: &[&[u64]]) -> Vec<QueryHits> {
        let score = |rank: usize| 1.0 - rank as f32 / 10.0;
        let query = |ids: &&[u64]| {
            ids.iter().enumerate().map(|(rank, &id)| Hit { id, score: score(rank) }).collect()
        };
        ids.iter().map(query).collect()
    }

    fn ids(selected: &[Selected]) -> Vec<u64> {
        selected.iter().map(|one| one.id).collect()
    }

    #[test]
    fn union_counts_queries_and_keeps_the_best_rank_in_pool_order() {
        let selected = union(&hits(&[&[7, 3, 5], &[3, 9]]), None);
        assert_eq!(ids(&selected), [3, 5, 7, 9]);
        let three = selected[0].evidence.unwrap();
        assert_eq!((three.frequency, three.rank, three.score), (2, 1, 1.0));
    }

    #[test]
    fn a_union_is_trimmed_by_whole_ranks_to_at_most_its_size() {
        let all = hits(&[&[1, 2, 3, 4], &[5, 1, 6, 7], &[8, 9, 10]]);
        assert_eq!(ids(&union(&all, Some(5))), [1, 2, 5, 8, 9]);
        assert_eq!(ids(&union(&all, Some(4))), [1, 5, 8]);
        assert_eq!(union(&all, Some(2)), []);
        assert_eq!(union(&all, Some(100)).len(), 10);
        assert_eq!(
            [Some(5), Some(4), Some(2), Some(100), None].map(|size| depth(&all, size)),
            [2, 1, 0, 4, 4]
        );
    }

    /// The original drops the last hit of every list while the union is too large.
    #[test]
    fn trimming_equals_the_original_loop() {
        let lists: Vec<Vec<u64>> =
            (0..9u64).map(|q| (0..12u64).map(|r| (q * q * 31 + r * 17) % 50).collect()).collect();
        let lists: Vec<&[u64]> = lists.iter().map(Vec::as_slice).collect();
        for size in [1, 5, 9, 10, 20, 35, 50] {
            let mut depth = 12;
            let union_of = |depth: usize| {
                lists
                    .iter()
                    .flat_map(|l| l[..depth].iter().copied())
                    .collect::<std::collections::BTreeSet<_>>()
            };
            while union_of(depth).len() > size {
                depth -= 1;
            }
            let expected: Vec<u64> = union_of(depth).into_iter().collect();
            assert_eq!(ids(&union(&hits(&lists), Some(size))), expected, "size {size}");
        }
    }

    #[test]
    fn fewer_queries_are_the_first_of_more() {
        let more = choose_queries(100, 64, 3);
        assert_eq!(choose_queries(100, 32, 3), more[..32]);
        assert_eq!(choose_queries(5, 64, 3), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn random_draws_are_distinct_seeded_and_never_more_than_the_pool() {
        let drawn = ids(&random(100, 10, 7));
        assert_eq!(drawn, ids(&random(100, 10, 7)));
        assert_ne!(drawn, ids(&random(100, 10, 8)));
        assert!(drawn.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(random(5, 10, 1).len(), 5);
    }
}
