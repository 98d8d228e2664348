//! Policies that put all hits into one order; ties always go to the smaller id.

use std::collections::HashSet;

use super::{QueryHits, Selected, union};

/// Every hit once, in the order in which queries give them in turn: in each round every query, in
/// their order, gives its best hit that none has given yet.
pub fn round_robin(hits: &[QueryHits]) -> Vec<Selected> {
    let evidence = super::evidence(hits, usize::MAX);
    let mut rest: Vec<_> = hits.iter().map(|hits| hits.iter().map(|hit| hit.id)).collect();
    let (mut given, mut order) = (HashSet::new(), Vec::with_capacity(evidence.len()));
    while order.len() < evidence.len() {
        for query in &mut rest {
            if let Some(id) = query.find(|&id| given.insert(id)) {
                order.push(Selected { id, evidence: evidence.get(&id).copied() });
            }
        }
    }
    order
}

/// Every hit once: those of the most queries first, among them those with the best score.
pub fn frequency(hits: &[QueryHits]) -> Vec<Selected> {
    let mut order = union(hits, None);
    // The union is in pool order, which a stable sort keeps among equals.
    order.sort_by(|a, b| {
        let of = |one: &Selected| one.evidence.map_or((0, f32::NAN), |e| (e.frequency, e.score));
        let ((more, better), (fewer, worse)) = (of(a), of(b));
        fewer.cmp(&more).then(worse.total_cmp(&better))
    });
    order
}

/// Every hit once: those with the best score for some query first.
pub fn top_score(hits: &[QueryHits]) -> Vec<Selected> {
    let mut order = union(hits, None);
    let score = |one: &Selected| one.evidence.map_or(f32::NEG_INFINITY, |e| e.score);
    order.sort_by(|a, b| score(b).total_cmp(&score(a)));
    order
}

/// Every hit once, by the best of its ranks: the order in which a union gives ranks up from the end.
pub fn by_rank(hits: &[QueryHits]) -> Vec<Selected> {
    let mut order = union(hits, None);
    order.sort_by_key(|one| one.evidence.map_or(u32::MAX, |e| e.rank));
    order
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::testing::{hits, ids, random_hits};
    use super::*;

    #[test]
    fn queries_give_their_best_hit_that_is_left_in_turn() {
        let all = hits(&[&[1, 2, 3], &[2, 1, 4], &[5]]);
        assert_eq!(ids(&round_robin(&all)), [1, 2, 5, 3, 4]);
    }

    #[test]
    fn the_hits_of_most_queries_come_first_and_then_the_better() {
        let all = hits(&[&[9, 1, 2], &[8, 2, 3], &[7, 3]]);
        assert_eq!(ids(&frequency(&all)), [2, 3, 7, 8, 9, 1]);
        assert_eq!(ids(&top_score(&all)), [7, 8, 9, 1, 2, 3]);
    }

    /// Frequency and best score of every id, counted one by one.
    fn counted(hits: &[QueryHits]) -> BTreeMap<u64, (u32, f32)> {
        let mut counted = BTreeMap::new();
        for hit in hits.iter().flatten() {
            let (count, best) = counted.entry(hit.id).or_insert((0, f32::NEG_INFINITY));
            *count += 1;
            *best = best.max(hit.score);
        }
        counted
    }

    proptest! {
        #[test]
        fn orders_are_those_of_a_naive_sort(hits in random_hits()) {
            let counted = counted(&hits);
            let mut by_frequency: Vec<_> = counted.iter().collect();
            by_frequency.sort_by(|(a, (n, x)), (b, (m, y))| {
                m.cmp(n).then(y.total_cmp(x)).then(a.cmp(b))
            });
            let wanted: Vec<u64> = by_frequency.iter().map(|(id, _)| **id).collect();
            prop_assert_eq!(ids(&frequency(&hits)), wanted);
            let mut by_score: Vec<_> = counted.iter().collect();
            by_score.sort_by(|(a, (_, x)), (b, (_, y))| y.total_cmp(x).then(a.cmp(b)));
            let wanted: Vec<u64> = by_score.iter().map(|(id, _)| **id).collect();
            prop_assert_eq!(ids(&top_score(&hits)), wanted);
        }

        #[test]
        fn turns_are_those_of_lists_that_are_crossed_out(hits in random_hits()) {
            let mut lists: Vec<Vec<u64>> =
                hits.iter().map(|hits| hits.iter().map(|hit| hit.id).collect()).collect();
            let mut wanted = Vec::new();
            while lists.iter().any(|list| !list.is_empty()) {
                for query in 0..lists.len() {
                    let Some(&id) = lists[query].first() else { continue };
                    wanted.push(id);
                    for list in &mut lists {
                        list.retain(|&other| other != id);
                    }
                }
            }
            prop_assert_eq!(ids(&round_robin(&hits)), wanted);
        }
    }
}
