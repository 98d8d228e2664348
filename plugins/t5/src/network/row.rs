//! What [`kernels`](super::kernels) do to one row, beside what all networks need
//! ([`deft_neural::row`]).

#![expect(
    clippy::inline_always,
    reason = "a loop gets wide vectors only where it is inlined into a kernel"
)]

use deft_neural::row::{LANES, dot, exp, max, total};

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
pub(super) fn inverse_rms(x: &[f32], epsilon: f32) -> f32 {
    1.0 / (dot(x, x) / x.len() as f32 + epsilon).sqrt()
}

/// `2·√(2/π)`: `½(1 + tanh(u)) = 1 / (1 + e^(−2u))` spares the tanh.
pub(super) const GELU_SCALE: f32 = 1.595_769;
pub(super) const GELU_CUBE: f32 = 0.044_715;

#[inline(always)]
pub(super) fn gelu_gate(x: f32) -> f32 {
    1.0 / (1.0 + exp(-GELU_SCALE * (x + GELU_CUBE * x * x * x)))
}
