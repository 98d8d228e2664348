//! The score of one pair of vectors, in f32: what every other way to find neighbours is held to.
//!
//! A sum over one accumulator is a chain of dependent additions, which no compiler may reorder and
//! so none can vectorise. Sixteen accumulators, each for every sixteenth component, are sixteen
//! independent chains: the compiler turns them into vector instructions of whatever width the
//! target has, and the result stays the same for each, since the order of additions is written
//! here and not chosen by it.

use deft_core::Metric;

/// Number of independent sums.
const LANES: usize = 16;

/// The score of two vectors of one length (of different lengths: of what they have in common, by
/// their first components); larger is closer.
///
/// This function defines the score: it is computed in f32 in a fixed order of additions, so its bits
/// are the same on every processor and whatever vectors are compared in the same call.
pub fn score(metric: Metric, a: &[f32], b: &[f32]) -> f32 {
    match metric {
        // The differences are squared and summed as they are: computing |a|² − 2ab + |b|² would
        // be a little faster and cancel where it matters most, at close neighbours.
        Metric::L2 => -sum_of(a, b, |x, y| {
            let difference = x - y;
            difference * difference
        }),
        Metric::Ip => sum_of(a, b, |x, y| x * y),
    }
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "the closure must be inlined into the vectorised loop")]
fn sum_of(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (x, y) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..LANES {
            sums[lane] += term(x[lane], y[lane]);
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(&x, &y)| term(x, y)).sum();
    fold(sums) + rest
}

/// Adds the lanes in pairs: a tree of additions loses less than a chain.
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

    #[test]
    fn close_vectors_far_from_the_origin_keep_their_distance() {
        let a = vec![1000.0; 64];
        let mut b = a.clone();
        b[5] = 1000.5;
        assert_eq!(score(Metric::L2, &a, &b).to_bits(), (-0.25_f32).to_bits());
    }
}
