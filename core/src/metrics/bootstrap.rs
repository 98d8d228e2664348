//! Bootstrap intervals: how much a number depends on which examples were at hand.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{Metric, mean};
use crate::{Error, ErrorKind, Result};

const RESAMPLES: usize = 1000;

/// How much better one arm is than another, with its bootstrap interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The mean of the first less that of the second.
    pub value: f64,
    /// Lower end of the 95 % percentile interval over resampled examples.
    pub low: f64,
    /// Upper end of that interval; a difference whose interval has no 0 is more than chance.
    pub high: f64,
}

/// The difference of two arms' means of a statistic on the same examples in the same order, with
/// the interval of the paired bootstrap: an example is drawn with both its values.
///
/// # Errors
///
/// [`ErrorKind::Unexpected`] when the numbers of examples differ.
pub fn paired(a: &[f64], b: &[f64], seed: u64) -> Result<Difference> {
    if a.len() != b.len() {
        return Err(Error::new(ErrorKind::Unexpected, "the arms have not the same examples")
            .with_context("first", a.len())
            .with_context("second", b.len()));
    }
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let of = |rows: &[usize]| mean(rows.iter().map(|&row| differences[row]));
    let (low, high) = interval(differences.len(), seed, of);
    Ok(Difference { value: mean(differences.iter().copied()), low, high })
}

/// The mean of a statistic over training seeds and examples, named `name`, with an interval over both:
/// each time as many seeds and as many examples are drawn with replacement. `of_seeds` has the
/// examples' statistics in the same order for every seed.
///
/// # Errors
///
/// [`ErrorKind::Unexpected`] when the numbers of examples differ.
pub fn over_seeds(name: &str, of_seeds: &[Vec<f64>], seed: u64) -> Result<Metric> {
    let value = mean(mean_of_seeds(of_seeds)?.into_iter());
    let (seeds, n) = (of_seeds.len(), of_seeds.first().map_or(0, Vec::len));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let resampled = (0..RESAMPLES).map(|_| {
        let drawn: Vec<&[f64]> =
            (0..seeds).map(|_| of_seeds[rng.random_range(0..seeds)].as_slice()).collect();
        mean((0..n).map(|_| {
            let row = rng.random_range(0..n);
            mean(drawn.iter().map(|values| values[row]))
        }))
    });
    let (low, high) = ends(resampled.collect());
    Ok(Metric { name: name.to_owned(), value, low, high })
}

/// For each example the mean over training seeds of a statistic.
///
/// # Errors
///
/// [`ErrorKind::Unexpected`] when the numbers of examples differ.
pub fn mean_of_seeds(of_seeds: &[Vec<f64>]) -> Result<Vec<f64>> {
    let n = of_seeds.first().map_or(0, Vec::len);
    if let Some(other) = of_seeds.iter().find(|values| values.len() != n) {
        return Err(Error::new(ErrorKind::Unexpected, "the seeds have not the same examples")
            .with_context("first", n)
            .with_context("other", other.len()));
    }
    Ok((0..n).map(|row| mean(of_seeds.iter().map(|values| values[row]))).collect())
}

/// The 95 % percentile interval of a number of `n` examples or groups, named by their positions,
/// over 1,000 drawings of as many with replacement.
pub(super) fn interval(n: usize, seed: u64, of: impl Fn(&[usize]) -> f64) -> (f64, f64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut rows = vec![0; n];
    let resampled = (0..RESAMPLES).map(|_| {
        rows.fill_with(|| rng.random_range(0..n));
        of(&rows)
    });
    ends(resampled.collect())
}

/// The ends of the 95 % percentile interval of what was resampled.
fn ends(mut resampled: Vec<f64>) -> (f64, f64) {
    resampled.sort_unstable_by(f64::total_cmp);
    (resampled[RESAMPLES / 40], resampled[RESAMPLES - 1 - RESAMPLES / 40])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_that_every_example_shows_is_certain_however_the_examples_vary() {
        let b: Vec<f64> = (0..50).map(|i| f64::from(i % 7)).collect();
        let a: Vec<f64> = b.iter().map(|value| value + 0.25).collect();
        let found = paired(&a, &b, 1).unwrap();
        assert_eq!(found, Difference { value: 0.25, low: 0.25, high: 0.25 });
    }

    #[test]
    fn arms_that_differ_by_chance_have_an_interval_around_zero() {
        let a: Vec<f64> = (0..100).map(|i| f64::from(i % 2)).collect();
        let b: Vec<f64> = (0..100).map(|i| f64::from((i + 1) % 2)).collect();
        let found = paired(&a, &b, 7).unwrap();
        assert_eq!(found.value, 0.0);
        assert!(found.low < 0.0 && 0.0 < found.high, "{found:?}");
        assert_eq!(paired(&a, &b, 7).unwrap(), found);
        let turned = paired(&b, &a, 7).unwrap();
        assert_eq!((turned.low, turned.high), (-found.high, -found.low));
    }

    #[test]
    fn seeds_that_differ_widen_the_interval_and_seeds_alike_leave_that_of_the_examples() {
        let right: Vec<f64> = (0..200).map(|i| f64::from(i % 2)).collect();
        let alike = over_seeds("a", &[right.clone(), right.clone()], 1).unwrap();
        assert_eq!((alike.value, alike.name.as_str()), (0.5, "a"));
        assert!(0.4 < alike.low && alike.low < 0.5 && 0.5 < alike.high && alike.high < 0.6);
        let (all, none) = (vec![1.0; 200], vec![0.0; 200]);
        let apart = over_seeds("a", &[all, none], 1).unwrap();
        assert_eq!((apart.value, apart.low, apart.high), (0.5, 0.0, 1.0));
        assert_eq!(over_seeds("a", &[right.clone(), right], 1).unwrap(), alike);
    }

    #[test]
    fn the_mean_of_seeds_is_by_example_and_needs_the_same_examples() {
        let found = mean_of_seeds(&[vec![1.0, 0.0], vec![0.0, 0.0]]).unwrap();
        assert_eq!(found, [0.5, 0.0]);
        let error = over_seeds("a", &[vec![1.0], vec![]], 1).unwrap_err();
        assert_eq!(error.context("other"), Some("0"));
        assert_eq!(over_seeds("a", &[], 1).unwrap().value, 0.0);
    }

    #[test]
    fn other_examples_are_no_pairs_and_none_are_no_difference() {
        let error = paired(&[1.0], &[], 1).unwrap_err();
        assert_eq!(error.context("first"), Some("1"));
        assert_eq!(paired(&[], &[], 1).unwrap().value, 0.0);
    }
}
