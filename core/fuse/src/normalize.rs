//! Scores of different origin, made comparable.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is divided by is at least this: equal scores all become 0.
const LEAST: f64 = 1e-9;

/// What is done to the scores of a list before they are summed: for each query and list alone.
///
/// An id that a list lacks gets 0 of it. That is the least that a hit can get with `min_max`; with
/// `z_score` it is what a hit of mean score gets, and with `none` it is better than a negative score.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Normalize {
    /// From 0, the list's last score, to 1, its first. Where all are equal, and for one hit, 0.
    #[default]
    MinMax,
    /// Mean 0 and standard deviation 1 (of these scores, not of a sample). Where all are equal, 0.
    ZScore,
    /// Nothing: scores are summed as they are.
    None,
}

impl Normalize {
    /// The scores of a list, in its order.
    pub fn apply(self, scores: &[f64]) -> Vec<f64> {
        let (zero, unit) = match self {
            Self::None => (0.0, 1.0),
            Self::MinMax => {
                let min = scores.iter().copied().fold(f64::INFINITY, f64::min);
                let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                (min, f64::max(max - min, LEAST))
            }
            Self::ZScore => {
                let mean = mean(scores.iter().copied());
                let deviation = mean_square(scores, mean).sqrt();
                (mean, deviation.max(LEAST))
            }
        };
        scores.iter().map(|score| (score - zero) / unit).collect()
    }
}

fn mean(numbers: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = numbers.len() as f64;
    numbers.sum::<f64>() / count
}

fn mean_square(scores: &[f64], center: f64) -> f64 {
    mean(scores.iter().map(|score| (score - center) * (score - center)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn min_max_goes_from_0_to_1() {
        assert_eq!(Normalize::MinMax.apply(&[8.0, 5.0, 4.0]), [1.0, 0.25, 0.0]);
        assert_eq!(Normalize::MinMax.apply(&[-1.0, -2.0, -5.0]), [1.0, 0.75, 0.0]);
    }

    #[test]
    fn z_score_has_mean_0_and_deviation_1() {
        // Mean 5, deviation 2.
        let scores = [9.0, 7.0, 5.0, 5.0, 4.0, 4.0, 4.0, 2.0];
        let wanted = [2.0, 1.0, 0.0, 0.0, -0.5, -0.5, -0.5, -1.5];
        assert_eq!(Normalize::ZScore.apply(&scores), wanted);
    }

    #[test]
    fn equal_scores_one_score_and_none_are_no_special_case() {
        for normalize in [Normalize::MinMax, Normalize::ZScore] {
            assert_eq!(normalize.apply(&[3.0, 3.0]), [0.0, 0.0]);
            assert_eq!(normalize.apply(&[3.0]), [0.0]);
            assert!(normalize.apply(&[]).is_empty());
        }
        assert_eq!(Normalize::None.apply(&[3.0, -1.5]), [3.0, -1.5]);
    }
}
