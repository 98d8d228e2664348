//! What the product may rule out: a proven bound on how far it is off.
//!
//! For a query `a` and a row `b` of `d` components, [`crate::filter`] computes in f32
//!
//! ```text
//! p ≈ a·b − h        h ≈ |b|²/2 for L2, h = 0 for the inner product
//! ```
//!
//! and a row is wanted if its score `s`, by [`crate::score`](crate::score()), is at least `floor`, the
//! score of the `k`-th best row so far. Here is the smallest `p` that a wanted row can have.
//!
//! **Rounding.** Let `u = 2⁻²⁴` and `γ(n) = nu / (1 − nu)`. A sum of products computed in f32 is off
//! by at most `γ(n) Σ|xᵢyᵢ|`, where no term passes through more than `n` roundings: in any order of
//! additions, and with fused multiplications and additions as well, which round less often (Higham,
//! *Accuracy and Stability of Numerical Algorithms*, 2nd ed., Lemma 3.1 and section 3.1, equations
//! 3.3 to 3.5). `Σ|aᵢbᵢ| ≤ |a||b|` by Cauchy and Schwarz. Products that underflow are off by 2⁻¹⁵⁰
//! each beside that (ibid., equation 2.8), sums never. So with `η` for all underflow of one sum,
//! `d + 8` times 2⁻¹⁴⁸:
//!
//! - the product: `|p − (a·b − |b|²/2)| ≤ γ(d+4) (|a||b| + |b|²/2) + η`. `d` products and additions
//!   after `h`, which comes from f64 and is off by less than `2u h`;
//! - the score by L2: `s = −D̂` with `|D̂ − D| ≤ γ(d+2) D + η`, `D = |a − b|²`. Each term has the factor
//!   `(1 + δ)³`, one rounding of the difference, which counts twice, and one of the square;
//! - the score by inner product: `|s − a·b| ≤ γ(d) |a||b| + η`.
//!
//! **Inner product.** `s ≥ floor` implies `a·b ≥ floor − γ|a||b| − η`, hence
//! `p ≥ floor − 2γ|a||b| − 2η`.
//!
//! **L2.** With `R = −floor`, `s ≥ floor` implies `D (1 − γ) ≤ D̂ + η ≤ R + η`, hence
//! `D ≤ (R + η)(1 + 2γ)` as `γ ≤ 1/2`. As `a·b − |b|²/2 = (|a|² − D)/2`,
//! `p ≥ (|a|² − R(1 + 2γ))/2 − γ(|a||b| + |b|²/2) − 2η`, where the bracket is at most
//! `(|a| + |b|)²/2`.
//!
//! **A row that waits** ([`crate::waiting`]) is compared by `p` with others. By inner product
//! `|p − s| ≤ 2γ|a||b| + 2η`. By L2 let `t = (s + |a|²)/2`, which has the order of `s`: as
//! `a·b − |b|²/2 = (|a|² − D)/2`, `|p − t| ≤ γ(|a||b| + |b|²/2) + η + (γD + η)/2`, and with
//! `D ≤ (|a| + |b|)²` that is at most `γ(|a| + |b|)² + 2η`.
//!
//! All grow with `|b|`, so the longest row of a block stands for all of it. `γ(d+16)` stands for
//! each `γ`: what is over covers the rounding of f64 here and in the lengths, which is relative to
//! `(|a| + |b|)²` or `R` and 2²⁹ times finer. The threshold's own rounding to f32 is downwards.
//!
//! **Overflow.** `(|a| + |b|)²` below 10³⁸ keeps every intermediate number finite. Otherwise, with a
//! component that is no finite number, and in dimensions where `γ` means nothing, the threshold is
//! −∞ and there is no bound of the error: nothing is ruled out, and every row is scored.

use crate::Metric;

/// Half the distance from 1 to the next f32: the largest relative error of one rounding.
const UNIT: f64 = 1.0 / (1 << 24) as f64;
/// Squared lengths below it leave room for every sum in f32, whose largest number is 3.4 · 10³⁸.
const LARGEST: f64 = 1.0e38;

/// The bound for vectors of one dimension.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound {
    metric: Metric,
    gamma: f64,
    underflow: f64,
}

impl Bound {
    pub(crate) fn new(metric: Metric, dimension: usize) -> Self {
        let roundings = (dimension as f64 + 16.0) * UNIT;
        let gamma = if roundings < 0.25 { roundings / (1.0 - roundings) } else { f64::INFINITY };
        let underflow = (dimension as f64 + 8.0) * 2.0_f64.powi(-148);
        Self { metric, gamma, underflow }
    }

    /// No row of this length or a shorter one has a score of at least `floor` for a query of length
    /// `query` if its product is smaller than this.
    ///
    /// A length of infinity stands for components that are not finite.
    pub(crate) fn threshold(&self, query: f64, longest_row: f64, floor: f32) -> f32 {
        let Some(reach) = self.reach(query, longest_row).filter(|_| floor.is_finite()) else {
            return f32::NEG_INFINITY;
        };
        let floor = f64::from(floor);
        let least = match self.metric {
            Metric::Ip => floor - 2.0 * self.gamma * query * longest_row,
            Metric::L2 => {
                let farthest = -floor * (1.0 + 2.0 * self.gamma);
                (query * query - farthest) / 2.0 - self.gamma * reach / 2.0
            }
        };
        #[expect(clippy::cast_possible_truncation, reason = "rounded to the nearest, then down")]
        let nearest = (least - 2.0 * self.underflow) as f32;
        nearest.next_down()
    }

    /// By how much the product of a query of this length and a row of this length or a shorter one
    /// may differ from what stands for the score: the score itself for the inner product, half the sum
    /// of the score and `|a|²` for L2. None where nothing is known.
    pub(crate) fn error(&self, query: f64, longest_row: f64) -> Option<f64> {
        let reach = self.reach(query, longest_row)?;
        let size = match self.metric {
            Metric::Ip => 2.0 * query * longest_row,
            Metric::L2 => reach,
        };
        Some(self.gamma * size + 2.0 * self.underflow)
    }

    /// `(|a| + |b|)²`, where it and the dimension leave the bound a meaning.
    fn reach(&self, query: f64, longest_row: f64) -> Option<f64> {
        let reach = (query + longest_row) * (query + longest_row);
        (reach < LARGEST && self.gamma.is_finite()).then_some(reach)
    }
}

/// The length of a vector; infinity if a component is not finite.
#[inline(always)]
pub(crate) fn length(vector: &[f32]) -> f64 {
    /// Independent sums, as in [`crate::score`](crate::score()).
    const LANES: usize = 16;
    let (blocks, rest) = vector.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for block in blocks {
        for (sum, &x) in sums.iter_mut().zip(block) {
            *sum += f64::from(x) * f64::from(x);
        }
    }
    let rest: f64 = rest.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    let square = sums.iter().sum::<f64>() + rest;
    if square.is_finite() { square.sqrt() } else { f64::INFINITY }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score;

    /// What [`crate::filter`] computes, in one of its orders and without fused operations: the more
    /// roundings, the harder the test.
    fn product(metric: Metric, a: &[f32], b: &[f32]) -> f32 {
        #[expect(clippy::cast_possible_truncation, reason = "as a block does")]
        let start = match metric {
            Metric::L2 => (-length(b) * length(b) / 2.0) as f32,
            Metric::Ip => 0.0,
        };
        a.iter().zip(b).fold(start, |sum, (x, y)| sum + x * y)
    }

    #[test]
    fn a_row_is_never_ruled_out_by_its_own_score_and_its_product_is_off_by_no_more_than_said() {
        let mut checked = 0;
        for dimension in [1, 2, 16, 70, 2048] {
            for (scale, offset) in [
                (1.0, 0.0),
                (1.0, 1.0e4),
                (1.0e-23, 0.0),
                (1.0e-42, 0.0),
                (3.0e17, 0.0),
                (0.0, 7.0),
            ] {
                let vector = |salt: f32| -> Vec<f32> {
                    (0..dimension)
                        .map(|i| (i as f32 * 1.618 + salt).sin() * scale + offset)
                        .collect()
                };
                let (a, b) = (vector(0.3), vector(1.1));
                for metric in [Metric::L2, Metric::Ip] {
                    let floor = score(metric, &a, &b);
                    let threshold =
                        Bound::new(metric, dimension).threshold(length(&a), length(&b), floor);
                    let product = product(metric, &a, &b);
                    assert!(product >= threshold, "{metric} {dimension} {scale} {offset}");
                    let known = threshold > f32::NEG_INFINITY;
                    checked += i32::from(known);
                    let error = Bound::new(metric, dimension).error(length(&a), length(&b));
                    assert_eq!(error.is_some(), known);
                    let meant = match metric {
                        Metric::L2 => f64::midpoint(f64::from(floor), length(&a) * length(&a)),
                        Metric::Ip => f64::from(floor),
                    };
                    let off = (f64::from(product) - meant).abs();
                    assert!(error.is_none_or(|error| off <= error), "{off} {error:?}");
                }
            }
        }
        assert!(checked > 50, "the bound must mean something: {checked}");
    }

    #[test]
    fn the_bound_is_tight_where_vectors_are_of_one_scale() {
        // At 256 components of unit vectors: 273 roundings, 1.6e-5 each of which counts twice.
        let threshold = Bound::new(Metric::Ip, 256).threshold(1.0, 1.0, 0.5);
        assert!((0.5 - threshold) < 4.0e-5 && threshold < 0.5, "{threshold}");
        let threshold = Bound::new(Metric::L2, 256).threshold(1.0, 1.0, -1.0);
        assert!(threshold.abs() < 6.0e-5 && threshold < 0.0, "{threshold}");
        for metric in [Metric::Ip, Metric::L2] {
            let error = Bound::new(metric, 256).error(1.0, 1.0).expect("known");
            assert!(error < 7.0e-5, "{metric} {error}");
        }
    }

    #[test]
    fn nothing_is_ruled_out_where_f32_overflows_or_nothing_is_known() {
        let bound = Bound::new(Metric::L2, 8);
        for (query, row, floor) in [
            (1.0e19, 1.0, -1.0),
            (1.0, 1.0e19, -1.0),
            (f64::INFINITY, 1.0, -1.0),
            (1.0, f64::INFINITY, -1.0),
            (1.0, 1.0, f32::NEG_INFINITY),
            (1.0, 1.0, f32::NAN),
        ] {
            assert_eq!(bound.threshold(query, row, floor), f32::NEG_INFINITY);
            assert_eq!(bound.error(query, row).is_some(), query == 1.0 && row == 1.0);
        }
        assert_eq!(Bound::new(Metric::Ip, 1 << 23).threshold(1.0, 1.0, 0.0), f32::NEG_INFINITY);
        assert_eq!(length(&[1.0, f32::NAN]), f64::INFINITY);
    }
}
