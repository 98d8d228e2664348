//! What [`kernels`](super::kernels) do to one row: loops that the compiler vectorises within a
//! dispatched closure, and `e^x` for them.
//!
//! Sums run over [`LANES`] partial sums whatever the vector width, so that a result does not depend
//! on it.

#![expect(
    clippy::inline_always,
    reason = "a loop is vectorised only within the dispatched closure"
)]

/// Partial sums of a reduction: the floats of the widest vector.
const LANES: usize = 16;

#[inline(always)]
pub(super) fn softmax(row: &mut [f32]) {
    let scale = 1.0 / exp_row(row, max(row));
    for x in row {
        *x *= scale;
    }
}

/// `x = e^(x − max)`; the result is their sum.
#[inline(always)]
pub(super) fn exp_row(row: &mut [f32], max: f32) -> f32 {
    let mut sums = [0.0; LANES];
    let (chunks, rest) = row.as_chunks_mut::<LANES>();
    for chunk in chunks {
        for (x, sum) in chunk.iter_mut().zip(&mut sums) {
            *x = exp(*x - max);
            *sum += *x;
        }
    }
    for (x, sum) in rest.iter_mut().zip(&mut sums) {
        *x = exp(*x - max);
        *sum += *x;
    }
    total(sums)
}

#[inline(always)]
pub(super) fn log_sum_exp(row: &[f32]) -> f32 {
    let max = max(row);
    let mut sums = [0.0; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (x, sum) in chunk.iter().zip(&mut sums) {
            *sum += exp(x - max);
        }
    }
    for (x, sum) in rest.iter().zip(&mut sums) {
        *sum += exp(x - max);
    }
    max + total(sums).ln()
}

#[inline(always)]
pub(super) fn max(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (x, lane) in chunk.iter().zip(&mut lanes) {
            *lane = if *x > *lane { *x } else { *lane };
        }
    }
    rest.iter().chain(&lanes).fold(f32::NEG_INFINITY, |max, &x| max.max(x))
}

#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
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

#[inline(always)]
pub(super) fn inverse_rms(x: &[f32], epsilon: f32) -> f32 {
    1.0 / (dot(x, x) / x.len() as f32 + epsilon).sqrt()
}

#[inline(always)]
fn total(mut sums: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            sums[i] += sums[i + half];
        }
        half /= 2;
    }
    sums[0]
}

/// `2·√(2/π)`: `½(1 + tanh(u)) = 1 / (1 + e^(−2u))` spares the tanh.
pub(super) const GELU_SCALE: f32 = 1.595_769;
pub(super) const GELU_CUBE: f32 = 0.044_715;

#[inline(always)]
pub(super) fn gelu_gate(x: f32) -> f32 {
    1.0 / (1.0 + exp(-GELU_SCALE * (x + GELU_CUBE * x * x * x)))
}

/// `e^x` to about 1e-7 relative, without branches or calls (the polynomial is Cephes').
///
/// Below −69 it is 0: what is under 1e-30 of a sum changes nothing, but its products would be
/// numbers so small that processors take a hundred times as long for them. Above 88 it stays what it
/// is there; NaN stays NaN.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
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
