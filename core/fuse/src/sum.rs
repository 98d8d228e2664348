//! The two sums.

use std::collections::HashMap;
use std::hash::Hash;

use crate::Normalize;

/// What each id gets from every list by its rank there, `weight / (constant + rank)`, summed
/// (Cormack, Clarke and Büttcher, 2009).
///
/// Lists have their best hit first, which has rank 1, and no id twice; there is a weight for each. An
/// id that a list lacks gets nothing from it, and a list of weight 0 does not count: what it alone has
/// is not among the results. These come in no order that means anything.
pub fn reciprocal_rank<I: Copy + Eq + Hash>(
    lists: &[Vec<(I, f64)>],
    weights: &[f64],
    constant: f64,
) -> Vec<(I, f64)> {
    sum(lists, weights, |list| {
        (1..=list.len()).map(|rank| 1.0 / (constant + rank as f64)).collect()
    })
}

/// What each id gets from every list by its normalized score there, `weight × score`, summed.
///
/// As for [`reciprocal_rank`], an id that a list lacks gets nothing from it, and a list of weight 0
/// does not count. Scores are finite.
pub fn weighted_sum<I: Copy + Eq + Hash>(
    lists: &[Vec<(I, f64)>],
    weights: &[f64],
    normalize: Normalize,
) -> Vec<(I, f64)> {
    sum(lists, weights, |list| {
        let scores: Vec<f64> = list.iter().map(|(_, score)| *score).collect();
        normalize.apply(&scores)
    })
}

/// Sums, in the order of the lists, what each gives to its ids.
fn sum<I: Copy + Eq + Hash>(
    lists: &[Vec<(I, f64)>],
    weights: &[f64],
    give: impl Fn(&[(I, f64)]) -> Vec<f64>,
) -> Vec<(I, f64)> {
    let mut places: HashMap<I, usize> = HashMap::new();
    let mut sums: Vec<(I, f64)> = Vec::new();
    for (list, weight) in lists.iter().zip(weights).filter(|(_, weight)| **weight > 0.0) {
        for (&(id, _), given) in list.iter().zip(give(list)) {
            let place = *places.entry(id).or_insert_with(|| {
                sums.push((id, 0.0));
                sums.len() - 1
            });
            sums[place].1 += weight * given;
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use rand::{RngExt as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    type List = Vec<(u64, f64)>;

    fn by_id(sums: List) -> BTreeMap<u64, f64> {
        let count = sums.len();
        let map: BTreeMap<_, _> = sums.into_iter().collect();
        assert_eq!(map.len(), count, "an id is there twice");
        map
    }

    #[test]
    fn reciprocal_ranks_of_two_lists_are_added() {
        let lists = [vec![(7, 9.0), (3, 8.0)], vec![(3, 0.2), (5, 0.1)]];
        let found = by_id(reciprocal_rank(&lists, &[1.0, 1.0], 60.0));
        let wanted = [(3, 1.0 / 62.0 + 1.0 / 61.0), (5, 1.0 / 62.0), (7, 1.0 / 61.0)];
        assert_eq!(found, BTreeMap::from(wanted));
        let weighted = by_id(reciprocal_rank(&lists, &[2.0, 0.5], 0.0));
        assert_eq!(weighted, BTreeMap::from([(3, 1.0 + 0.5), (5, 0.25), (7, 2.0)]));
    }

    #[test]
    fn scores_of_different_scales_are_added_once_they_are_normalized() {
        let lists = [vec![(7, 30.0), (3, 20.0), (5, 10.0)], vec![(3, -0.1), (9, -0.5)]];
        let found = by_id(weighted_sum(&lists, &[1.0, 3.0], Normalize::MinMax));
        assert_eq!(found, BTreeMap::from([(3, 0.5 + 3.0), (5, 0.0), (7, 1.0), (9, 0.0)]));
        let plain = by_id(weighted_sum(&lists, &[1.0, 10.0], Normalize::None));
        assert_eq!(plain, BTreeMap::from([(3, 19.0), (5, 10.0), (7, 30.0), (9, -5.0)]));
    }

    #[test]
    fn a_list_of_weight_0_and_one_without_hits_add_nothing() {
        let lists = [vec![(7, 2.0)], vec![(3, 1.0)], Vec::new()];
        let found = by_id(reciprocal_rank(&lists, &[1.0, 0.0, 1.0], 9.0));
        assert_eq!(found, BTreeMap::from([(7, 0.1)]));
    }

    #[test]
    fn a_list_alone_keeps_its_order() {
        let list = vec![(4, 3.0), (9, 2.5), (1, 0.5)];
        let is_falling = |sums: &List| sums.is_sorted_by(|a, b| a.1 > b.1);
        for sums in [
            reciprocal_rank(std::slice::from_ref(&list), &[0.3], 60.0),
            weighted_sum(std::slice::from_ref(&list), &[0.3], Normalize::MinMax),
            weighted_sum(std::slice::from_ref(&list), &[0.3], Normalize::ZScore),
        ] {
            assert!(is_falling(&sums), "{sums:?}");
            assert_eq!(sums.iter().map(|sum| sum.0).collect::<Vec<_>>(), [4, 9, 1]);
        }
    }

    /// Lists of any length, none among them, over few ids, with many ties.
    fn random_lists(random: &mut ChaCha8Rng) -> Vec<List> {
        let list = |random: &mut ChaCha8Rng| {
            let share = random.random_range(0..4);
            let ids = (0..20).filter(|_| random.random_range(0..4) < share).collect::<Vec<u64>>();
            let mut list: List = ids
                .into_iter()
                .map(|id| (id, f64::from(random.random_range(-8..8)) / 4.0))
                .collect();
            list.sort_by(|a, b| b.1.total_cmp(&a.1));
            list
        };
        (0..random.random_range(1..5)).map(|_| list(random)).collect()
    }

    /// The score of one id, list by list, from the definition.
    fn naive(lists: &[List], weights: &[f64], id: u64, of: impl Fn(&List, usize) -> f64) -> f64 {
        let place = |list: &List| list.iter().position(|hit| hit.0 == id);
        let found = lists.iter().zip(weights).filter_map(|(list, w)| Some((list, w, place(list)?)));
        found.map(|(list, weight, place)| weight * of(list, place)).sum()
    }

    #[test]
    fn sums_are_those_of_the_definitions_on_random_lists() {
        let mut random = ChaCha8Rng::seed_from_u64(6);
        for _ in 0..500 {
            let lists = random_lists(&mut random);
            let weights: Vec<f64> =
                lists.iter().map(|_| f64::from(random.random_range(0..3))).collect();
            let counted = lists.iter().zip(&weights).filter(|(_, weight)| **weight > 0.0);
            let ids: BTreeSet<u64> = counted.flat_map(|(list, _)| list).map(|hit| hit.0).collect();
            let check = |found: List, of: &dyn Fn(&List, usize) -> f64| {
                let found = by_id(found);
                assert!(found.keys().eq(&ids), "{found:?} of {lists:?}, {weights:?}");
                for (id, sum) in found {
                    let wanted = naive(&lists, &weights, id, of);
                    assert!((sum - wanted).abs() < 1e-12, "{id}: {sum}, not {wanted}");
                }
            };
            check(reciprocal_rank(&lists, &weights, 60.0), &|_, place| 1.0 / (61.0 + place as f64));
            check(weighted_sum(&lists, &weights, Normalize::None), &|list, place| list[place].1);
            check(weighted_sum(&lists, &weights, Normalize::MinMax), &|list, place| {
                let (first, last) = (list[0].1, list[list.len() - 1].1);
                if first == last { 0.0 } else { (list[place].1 - last) / (first - last) }
            });
        }
    }
}
