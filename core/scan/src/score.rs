//! The score of one pair of vectors, in f32: what every other way to find neighbours is held to.
//!
//! A sum over one accumulator is a chain of dependent additions, which no compiler may reorder and
//! so none can vectorise. Sixteen accumulators, each for every sixteenth component, are sixteen
//! independent chains, in as many vectors as the processor needs for them. The result stays the same
//! for each width, since the order of additions is written here and no product is fused with one.

#![expect(clippy::inline_always, reason = "the sums must be compiled with the loop around them")]

use deft_core::Metric;
use pulp::{Arch, Simd, WithSimd};

/// Number of independent sums.
const LANES: usize = 16;

/// The score of two vectors of one length (of different lengths: of what they have in common, by
/// their first components); larger is closer.
///
/// This function defines the score: it is computed in f32 in a fixed order of additions, so its bits
/// are the same on every processor and whatever vectors are compared in the same call.
pub fn score(metric: Metric, a: &[f32], b: &[f32]) -> f32 {
    struct Score<'a>(Metric, &'a [f32], &'a [f32]);
    impl WithSimd for Score<'_> {
        type Output = f32;
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> f32 {
            score_with(simd, self.0, self.1, self.2)
        }
    }
    Arch::new().dispatch(Score(metric, a, b))
}

/// [`score`] for loops that are compiled for the vectors of `S`.
#[inline(always)]
pub(crate) fn score_with<S: Simd>(simd: S, metric: Metric, a: &[f32], b: &[f32]) -> f32 {
    match metric {
        // The differences are squared and summed as they are: |a|² − 2ab + |b|² cancels where it
        // matters most, at close neighbours.
        Metric::L2 => -sum_of(
            simd,
            a,
            b,
            |x, y| {
                let difference = simd.sub_f32s(x, y);
                simd.mul_f32s(difference, difference)
            },
            |x, y| (x - y) * (x - y),
        ),
        Metric::Ip => sum_of(simd, a, b, |x, y| simd.mul_f32s(x, y), |x, y| x * y),
    }
}

/// The sum of the terms of all components; `vector` and `term` compute the same.
#[inline(always)]
fn sum_of<S: Simd>(
    simd: S,
    a: &[f32],
    b: &[f32],
    vector: impl Fn(S::f32s, S::f32s) -> S::f32s,
    term: impl Fn(f32, f32) -> f32,
) -> f32 {
    let (a_blocks, a_rest) = a.as_chunks();
    let (b_blocks, b_rest) = b.as_chunks();
    let sums = match S::F32_LANES {
        16 => sums_of::<S, 1>(simd, a_blocks, b_blocks, vector),
        8 => sums_of::<S, 2>(simd, a_blocks, b_blocks, vector),
        4 => sums_of::<S, 4>(simd, a_blocks, b_blocks, vector),
        _ => {
            let mut sums = [0.0; LANES];
            for (x, y) in a_blocks.iter().zip(b_blocks) {
                for lane in 0..LANES {
                    sums[lane] += term(x[lane], y[lane]);
                }
            }
            sums
        }
    };
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(&x, &y)| term(x, y)).sum();
    fold(sums) + rest
}

/// The sums of the lanes, in `N` vectors.
#[inline(always)]
fn sums_of<S: Simd, const N: usize>(
    simd: S,
    a: &[[f32; LANES]],
    b: &[[f32; LANES]],
    term: impl Fn(S::f32s, S::f32s) -> S::f32s,
) -> [f32; LANES] {
    let mut vectors = [simd.splat_f32s(0.0); N];
    for (x, y) in a.iter().zip(b) {
        let (x, y) = (S::as_simd_f32s(x).0, S::as_simd_f32s(y).0);
        for ((sum, &x), &y) in vectors.iter_mut().zip(x).zip(y) {
            *sum = simd.add_f32s(*sum, term(x, y));
        }
    }
    let mut sums = [0.0; LANES];
    for (sums, vector) in S::as_mut_simd_f32s(&mut sums).0.iter_mut().zip(vectors) {
        *sums = vector;
    }
    sums
}

/// Adds the lanes in pairs: a tree of additions loses less than a chain.
#[inline(always)]
fn fold(mut sums: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
        width /= 2;
    }
    sums[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors of any length with values in −1..=1 that have no pattern in common.
    fn vector(length: usize, salt: f32) -> Vec<f32> {
        (0..length).map(|i| (i as f32 * 1.618 + salt).sin()).collect()
    }

    #[test]
    fn scores_equal_those_in_f64_at_every_length() {
        for length in [1, 7, 15, 16, 17, 64, 1000] {
            let (a, b) = (vector(length, 0.1), vector(length, 2.3));
            let pairs = || a.iter().zip(&b).map(|(&x, &y)| (f64::from(x), f64::from(y)));
            let l2: f64 = -pairs().map(|(x, y)| (x - y) * (x - y)).sum::<f64>();
            let ip: f64 = pairs().map(|(x, y)| x * y).sum();
            let tolerance = 1e-6 * length as f64;
            assert!((f64::from(score(Metric::L2, &a, &b)) - l2).abs() <= tolerance, "{length}");
            assert!((f64::from(score(Metric::Ip, &a, &b)) - ip).abs() <= tolerance, "{length}");
        }
    }

    /// The definition without vectors.
    fn defined(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
        let whole = a.len() / LANES * LANES;
        let mut sums = [0.0; LANES];
        for i in 0..whole {
            sums[i % LANES] += term(a[i], b[i]);
        }
        for width in [8, 4, 2, 1] {
            for lane in 0..width {
                sums[lane] += sums[lane + width];
            }
        }
        sums[0] + (whole..a.len()).map(|i| term(a[i], b[i])).sum::<f32>()
    }

    #[test]
    fn vectors_of_every_width_give_the_same_bits() {
        for length in (0..70).chain([256, 1000]) {
            let (a, b) = (vector(length, 0.1), vector(length, 2.3));
            let l2 = -defined(&a, &b, |x, y| (x - y) * (x - y));
            let ip = defined(&a, &b, |x, y| x * y);
            let check = |score: &dyn Fn(Metric) -> f32| {
                assert_eq!(score(Metric::L2).to_bits(), l2.to_bits(), "{length}");
                assert_eq!(score(Metric::Ip).to_bits(), ip.to_bits(), "{length}");
            };
            check(&|metric| score(metric, &a, &b));
            check(&|metric| score_with(pulp::Scalar::new(), metric, &a, &b));
            check(&|metric| score_with(pulp::Scalar128b, metric, &a, &b));
            check(&|metric| score_with(pulp::Scalar256b, metric, &a, &b));
            check(&|metric| score_with(pulp::Scalar512b, metric, &a, &b));
        }
    }

    #[test]
    fn close_vectors_far_from_the_origin_keep_their_distance() {
        let a = vec![1000.0; 64];
        let mut b = a.clone();
        b[5] = 1000.5;
        assert_eq!(score(Metric::L2, &a, &b).to_bits(), (-0.25_f32).to_bits());
    }
}
