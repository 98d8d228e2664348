//! Bootstrap intervals: how much a number depends on which examples were at hand.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::mean;
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

/// The 95 % percentile interval of a number of `n` examples, named by their rows, over 1,000
/// drawings of as many with replacement.
pub(super) fn interval(n: usize, seed: u64, of: impl Fn(&[usize]) -> f64) -> (f64, f64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut rows = vec![0; n];
    let mut resampled: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            rows.fill_with(|| rng.random_range(0..n));
            of(&rows)
        })
        .collect();
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
    fn other_examples_are_no_pairs_and_none_are_no_difference() {
        let error = paired(&[1.0], &[], 1).unwrap_err();
        assert_eq!(error.context("first"), Some("1"));
        assert_eq!(paired(&[], &[], 1).unwrap().value, 0.0);
    }
}
