//! The paper's rule: the union of all hits.

use std::collections::{BTreeMap, HashMap};

use super::{Evidence, QueryHits, Selected};

/// Every example that is a hit of some query, in pool order: the paper's rule.
///
/// With a `size`, the last hits of every query are dropped, one rank at a time and alike for all,
/// until no more than `size` examples are left: the rule of the original's two trimming scripts.
/// The evidence counts the hits that are left.
pub fn union(hits: &[QueryHits], size: Option<usize>) -> Vec<Selected> {
    let selected = |(id, evidence)| Selected { id, evidence: Some(evidence) };
    evidence(hits, depth(hits, size)).into_iter().map(selected).collect()
}

/// What the first hits of each query, so many as `depth` says, say about each example.
pub fn evidence(hits: &[QueryHits], depth: usize) -> BTreeMap<u64, Evidence> {
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
    found
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

#[cfg(test)]
mod tests {
    use super::super::testing::{hits, ids};
    use super::*;

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
}
