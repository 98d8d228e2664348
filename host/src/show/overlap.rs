//! How alike selections are.

use std::cmp::Ordering;

use serde::Serialize;

/// How alike the selections of two arms are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ArmOverlap {
    /// The arms.
    pub arms: [String; 2],
    /// Examples that both select.
    pub both: usize,
    /// They as a share of the examples that either selects; 1 where neither selects any.
    pub jaccard: f64,
}

/// Each two arms, of ids in order.
pub(super) fn of_pairs(arms: &[(&str, Vec<u64>)]) -> Vec<ArmOverlap> {
    let mut found = Vec::new();
    for (place, (arm, ids)) in arms.iter().enumerate() {
        for (other, other_ids) in &arms[place + 1..] {
            let both = common(ids, other_ids);
            let either = ids.len() + other_ids.len() - both;
            let jaccard = if either == 0 { 1.0 } else { both as f64 / either as f64 };
            let arms = [(*arm).to_owned(), (*other).to_owned()];
            found.push(ArmOverlap { arms, both, jaccard });
        }
    }
    found
}

/// How many numbers two ordered lists share.
fn common(one: &[u64], other: &[u64]) -> usize {
    let (mut i, mut j, mut both) = (0, 0, 0);
    while let (Some(a), Some(b)) = (one.get(i), other.get(j)) {
        match a.cmp(b) {
            Ordering::Less => i += 1,
            Ordering::Greater => j += 1,
            Ordering::Equal => (i, j, both) = (i + 1, j + 1, both + 1),
        }
    }
    both
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_two_arms_are_compared_by_what_they_share() {
        let arms = [("a", vec![1, 2, 3, 9]), ("b", vec![2, 3, 4]), ("c", vec![])];
        let found = of_pairs(&arms);
        let names: Vec<[&str; 2]> =
            found.iter().map(|one| [one.arms[0].as_str(), one.arms[1].as_str()]).collect();
        assert_eq!(names, [["a", "b"], ["a", "c"], ["b", "c"]]);
        assert_eq!((found[0].both, found[0].jaccard), (2, 0.4));
        assert_eq!(found[1].jaccard, 0.0);
        assert_eq!(of_pairs(&[("c", vec![]), ("d", vec![])])[0].jaccard, 1.0);
    }
}
