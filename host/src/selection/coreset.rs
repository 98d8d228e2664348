//! A coreset: candidates that are far from each other.

use deft_core::Matrix;
use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The positions of `count` vectors (or all), in the order in which k-means++ draws its centres
/// (Arthur and Vassilvitskii, 2007): the first uniformly, each further one with a probability in
/// proportion to its squared Euclidean distance from the nearest that was drawn.
///
/// Vectors equal to drawn ones are not drawn: the list is shorter where fewer are different. Time
/// grows with `count` times the vectors.
pub fn coreset(vectors: Matrix<'_>, count: usize, seed: u64) -> Vec<usize> {
    let rows = vectors.rows();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut drawn = Vec::with_capacity(count.min(rows));
    let mut distances = vec![f64::INFINITY; rows];
    while drawn.len() < count.min(rows) {
        let next = if drawn.is_empty() {
            rng.random_range(0..rows)
        } else {
            let total: f64 = distances.iter().sum();
            if total <= 0.0 {
                break;
            }
            place_of(&distances, rng.random::<f64>() * total)
        };
        drawn.push(next);
        let centre = vectors.row(next);
        for (row, distance) in distances.iter_mut().enumerate() {
            *distance = distance.min(squared_distance(centre, vectors.row(row)));
        }
    }
    drawn
}

/// The place at which the running sum passes `at`; never one that adds nothing.
fn place_of(weights: &[f64], at: f64) -> usize {
    let (mut sum, mut last) = (0.0, 0);
    for (place, &weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
        sum += weight;
        last = place;
        if sum > at {
            break;
        }
    }
    last
}

fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&x, &y)| f64::from(x - y) * f64::from(x - y)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(numbers: &[f32]) -> Matrix<'_> {
        Matrix::new(numbers, 1).unwrap()
    }

    #[test]
    fn each_far_cluster_gives_one_before_any_gives_two() {
        let numbers: Vec<f32> =
            (0..60_u8).map(|i| f32::from(i % 3) * 1e6 + f32::from(i) / 100.0).collect();
        for seed in 0..20 {
            let mut clusters: Vec<usize> =
                coreset(matrix(&numbers), 3, seed).iter().map(|place| place % 3).collect();
            clusters.sort_unstable();
            assert_eq!(clusters, [0, 1, 2], "seed {seed}");
        }
    }

    #[test]
    fn draws_are_seeded_distinct_and_end_with_the_last_different_vector() {
        let numbers = [1.0, 1.0, 2.0, 3.0, 3.0];
        let drawn = coreset(matrix(&numbers), 5, 4);
        assert_eq!(drawn, coreset(matrix(&numbers), 5, 4));
        let mut values: Vec<_> = drawn.iter().map(|&place| numbers[place]).collect();
        values.sort_by(f32::total_cmp);
        assert_eq!(values, [1.0, 2.0, 3.0]);
        assert!(coreset(matrix(&[]), 3, 1).is_empty());
    }

    /// The second centre is drawn as often as its squared distance from the first says.
    #[test]
    fn probabilities_are_in_proportion_to_squared_distances() {
        let numbers = [0.0, 1.0, 3.0];
        let (mut pairs, mut far) = (0.0, 0.0);
        for seed in 0..4000 {
            let drawn = coreset(matrix(&numbers), 2, seed);
            if drawn[0] == 0 {
                pairs += 1.0;
                far += f64::from(u8::from(drawn[1] == 2));
            }
        }
        // 9 of 10, with a standard deviation of 0.008.
        assert!((far / pairs - 0.9_f64).abs() < 0.04, "{far} of {pairs}");
    }
}
