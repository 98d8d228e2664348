//! Loops over one row of numbers that the compiler vectorises within a kernel
//! ([`vectorized!`](crate::vectorized)), and `e^x` for them.
//!
//! Sums run over [`LANES`] partial sums whatever the vector width, so that a result does not depend
//! on it.

#![expect(
    clippy::inline_always,
    reason = "a loop gets wide vectors only where it is inlined into a kernel"
)]

/// Partial sums of a reduction: the floats of the widest vector.
pub const LANES: usize = 16;

/// `e^x` to about 1e-7 relative, without branches or calls (the polynomial is Cephes').
///
/// Below −69 it is 0: what is under 1e-30 of a sum changes nothing, but its products would be
/// numbers so small that processors take a hundred times as long for them. Above 88 it stays what it
/// is there; NaN stays NaN.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    /// 1.5·2²³: adding it rounds to the nearest integer, which stands in the low bits then.
    const ROUND: f32 = 12_582_912.0;
    let is_nothing = x < -69.0;
    let x = x.clamp(-69.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    let power = if is_nothing { 0.0 } else { power };
    (p * r * r + r + 1.0) * power
}

/// The largest of some numbers, or −∞.
#[inline(always)]
pub fn max(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (x, lane) in chunk.iter().zip(&mut lanes) {
            *lane = if *x > *lane { *x } else { *lane };
        }
    }
    let mut max = f32::NEG_INFINITY;
    for &x in rest.iter().chain(&lanes) {
        max = max.max(x);
    }
    max
}

/// The inner product of two vectors of one length.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for ((a, b), sum) in a.iter().zip(b).zip(&mut sums) {
            *sum += a * b;
        }
    }
    for ((a, b), sum) in a_rest.iter().zip(b_rest).zip(&mut sums) {
        *sum += a * b;
    }
    total(sums)
}

/// The sum of partial sums, added in pairs: a tree of additions loses less than a chain.
#[inline(always)]
pub fn total(mut sums: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            sums[i] += sums[i + half];
        }
        half /= 2;
    }
    sums[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_is_accurate_over_its_range_and_keeps_nan() {
        for step in -6900..8700 {
            let x = step as f32 / 100.0;
            let (found, wanted) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((found / wanted - 1.0).abs() < 3e-7, "exp({x}) = {found}, not {wanted}");
        }
        assert!([-69.1, -1e9, f32::NEG_INFINITY].iter().all(|&x| exp(x) == 0.0));
        assert!(exp(f32::NAN).is_nan());
    }
}
