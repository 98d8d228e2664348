//! A coreset: candidates that are far from each other.

use deft_core::Matrix;
use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The positions of vectors in the order in which k-means++ draws its centres (Arthur and
/// Vassilvitskii, 2007): the first uniformly, each further one with a probability in proportion to its
/// squared Euclidean distance from the nearest that was drawn.
///
/// Vectors equal to drawn ones are not drawn: the order ends where no other is left. Each draw takes
/// time in proportion to all vectors.
pub fn coreset(vectors: Matrix<'_>, seed: u64) -> impl Iterator<Item = usize> {
    let rows = vectors.rows();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut distances = vec![f32::INFINITY; rows];
    let mut last = None;
    std::iter::from_fn(move || {
        let next = match last {
            None if rows == 0 => return None,
            None => rng.random_range(0..rows),
            Some(centre) => {
                approach(&mut distances, vectors, centre);
                let total: f64 = distances.iter().copied().map(f64::from).sum();
                if total <= 0.0 {
                    return None;
                }
                place_of(&distances, rng.random::<f64>() * total)
            }
        };
        last = Some(next);
        last
    })
}

/// Takes a further centre into account.
fn approach(distances: &mut [f32], vectors: Matrix<'_>, centre: usize) {
    let of_centre = vectors.row(centre);
    for (row, distance) in distances.iter_mut().enumerate() {
        *distance = distance.min(squared_distance(of_centre, vectors.row(row)));
    }
    // Whatever its numbers are, it is not drawn again.
    distances[centre] = 0.0;
}

/// The place at which the running sum passes `at`; never one that adds nothing.
fn place_of(weights: &[f32], at: f64) -> usize {
    let (mut sum, mut last) = (0.0, 0);
    for (place, &weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
        sum += f64::from(weight);
        last = place;
        if sum > at {
            break;
        }
    }
    last
}

/// Numbers that are summed side by side: the compiler makes vector instructions of them.
const LANES: usize = 8;

fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0_f32; LANES];
    for (a, b) in a.iter().zip(b) {
        for (sum, (x, y)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += (x - y) * (x - y);
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(x, y)| (x - y) * (x - y)).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matrix(numbers: &[f32]) -> Matrix<'_> {
        Matrix::new(numbers, 1).unwrap()
    }

    fn drawn(numbers: &[f32], count: usize, seed: u64) -> Vec<usize> {
        coreset(matrix(numbers), seed).take(count).collect()
    }

    #[test]
    fn each_far_cluster_gives_one_before_any_gives_two() {
        let numbers: Vec<f32> =
            (0..60_u8).map(|i| f32::from(i % 3) * 1e6 + f32::from(i) / 100.0).collect();
        for seed in 0..20 {
            let mut clusters: Vec<usize> =
                drawn(&numbers, 3, seed).iter().map(|place| place % 3).collect();
            clusters.sort_unstable();
            assert_eq!(clusters, [0, 1, 2], "seed {seed}");
        }
    }

    #[test]
    fn draws_are_seeded_distinct_and_end_with_the_last_different_vector() {
        let numbers = [1.0, 1.0, 2.0, 3.0, 3.0];
        let places = drawn(&numbers, 5, 4);
        assert_eq!(places, drawn(&numbers, 5, 4));
        assert_eq!(places[..2], drawn(&numbers, 2, 4), "fewer are the first of more");
        let mut values: Vec<_> = places.iter().map(|&place| numbers[place]).collect();
        values.sort_by(f32::total_cmp);
        assert_eq!(values, [1.0, 2.0, 3.0]);
        assert!(drawn(&[], 3, 1).is_empty());
    }

    #[test]
    fn what_is_no_number_is_drawn_once_at_most() {
        let places = drawn(&[f32::NAN, 1.0, f32::NAN, 2.0], 9, 3);
        let different: std::collections::BTreeSet<_> = places.iter().collect();
        assert_eq!(different.len(), places.len(), "{places:?}");
    }

    /// The second centre is drawn as often as its squared distance from the first says.
    #[test]
    fn probabilities_are_in_proportion_to_squared_distances() {
        let numbers = [0.0, 1.0, 3.0];
        let (mut pairs, mut far) = (0.0, 0.0);
        for seed in 0..4000 {
            let places = drawn(&numbers, 2, seed);
            if places[0] == 0 {
                pairs += 1.0;
                far += f64::from(u8::from(places[1] == 2));
            }
        }
        // 9 of 10, with a standard deviation of 0.008.
        assert!((far / pairs - 0.9_f64).abs() < 0.04, "{far} of {pairs}");
    }

    /// The same draws, every distance computed anew for each of them.
    fn naive(rows: &[Vec<f32>], seed: u64) -> Vec<usize> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut places: Vec<usize> = Vec::new();
        while places.len() < rows.len() {
            if places.is_empty() {
                places.push(rng.random_range(0..rows.len()));
                continue;
            }
            let distance = |row: &Vec<f32>, place: &usize| -> f64 {
                row.iter().zip(&rows[*place]).map(|(x, y)| f64::from((x - y) * (x - y))).sum()
            };
            let weight = |row: &Vec<f32>| -> f64 {
                places.iter().map(|place| distance(row, place)).fold(f64::INFINITY, f64::min)
            };
            let weights: Vec<f64> = rows.iter().map(weight).collect();
            let total: f64 = weights.iter().sum();
            if total == 0.0 {
                break;
            }
            let (at, mut sum) = (rng.random::<f64>() * total, 0.0);
            let passes = |weight: &f64| {
                sum += weight;
                sum > at
            };
            places.push(weights.iter().position(passes).unwrap());
        }
        places
    }

    proptest! {
        #[test]
        fn draws_are_those_of_distances_computed_anew(
            // Whole numbers: sums of their squares are exact in any order.
            rows in proptest::collection::vec(proptest::collection::vec(-9_i8..9, 11), 0..12),
            seed in 0_u64..100,
        ) {
            let rows: Vec<Vec<f32>> =
                rows.iter().map(|row| row.iter().copied().map(f32::from).collect()).collect();
            let numbers: Vec<f32> = rows.concat();
            let places: Vec<usize> =
                coreset(Matrix::new(&numbers, 11).unwrap(), seed).collect();
            prop_assert_eq!(places, naive(&rows, seed));
        }
    }
}
