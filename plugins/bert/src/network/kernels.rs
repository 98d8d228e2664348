//! Row kernels on plain slices: what candle does in several passes, in one.
//!
//! Each public function picks the processor's widest vectors once ([`vectorized!`]) and then runs
//! ordinary loops that the compiler vectorises, on what all networks need ([`deft_neural::row`]).
//! What they do to every number is a function called by its name: through a closure it may stay a
//! call, without those vectors.

#![expect(
    clippy::inline_always,
    reason = "a loop gets wide vectors only where it is inlined into a kernel"
)]

use std::f32::consts::FRAC_1_SQRT_2;

use deft_neural::row::{self, LANES, exp, max, total};
use deft_neural::vectorized;

use super::config::Activation;

/// A layer norm's numbers, of one row's width each.
#[derive(Debug, Clone)]
pub(crate) struct Norm {
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    pub(crate) epsilon: f32,
}

/// `x += bias` by row.
pub(crate) fn add_rows(x: &mut [f32], bias: &[f32]) {
    vectorized!(|x: &mut [f32], bias: &[f32]| {
        for row in x.chunks_exact_mut(bias.len()) {
            add(row, bias);
        }
    });
}

/// `x = norm(x)` by row.
pub(crate) fn norm_rows(x: &mut [f32], norm: &Norm) {
    vectorized!(|x: &mut [f32], norm: &Norm| {
        for row in x.chunks_exact_mut(norm.weight.len()) {
            normalise(row, norm);
        }
    });
}

/// `x = norm(x + bias + residual)` by row.
pub(crate) fn add_norm_rows(x: &mut [f32], bias: &[f32], residual: &[f32], norm: &Norm) {
    vectorized!(|x: &mut [f32], bias: &[f32], residual: &[f32], norm: &Norm| {
        let width = bias.len();
        for (row, residual) in x.chunks_exact_mut(width).zip(residual.chunks_exact(width)) {
            add(row, bias);
            add(row, residual);
            normalise(row, norm);
        }
    });
}

/// `x = activation(x + bias)` by row.
pub(crate) fn activate_rows(x: &mut [f32], bias: &[f32], activation: Activation) {
    vectorized!(|x: &mut [f32], bias: &[f32], activation: Activation| {
        for row in x.chunks_exact_mut(bias.len()) {
            let row = row.iter_mut().zip(bias);
            match activation {
                Activation::Gelu => {
                    for (x, b) in row {
                        *x = gelu(*x + b);
                    }
                }
                Activation::GeluTanh => {
                    for (x, b) in row {
                        *x = gelu_tanh(*x + b);
                    }
                }
                Activation::Relu => {
                    for (x, b) in row {
                        *x = relu(*x + b);
                    }
                }
            }
        }
    });
}

/// `x = softmax(x · scale)` by row.
pub(crate) fn softmax_rows(x: &mut [f32], width: usize, scale: f32) {
    vectorized!(|x: &mut [f32], width: usize, scale: f32| {
        for row in x.chunks_exact_mut(width) {
            softmax(row, scale);
        }
    });
}

/// The inner product of two vectors of one length.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    vectorized!(|a: &[f32], b: &[f32]| -> f32 { row::dot(a, b) })
}

#[inline(always)]
fn add(sum: &mut [f32], x: &[f32]) {
    for (sum, x) in sum.iter_mut().zip(x) {
        *sum += x;
    }
}

#[inline(always)]
fn normalise(row: &mut [f32], norm: &Norm) {
    let width = row.len() as f32;
    let mean = sum(row) / width;
    for x in row.iter_mut() {
        *x -= mean;
    }
    let scale = 1.0 / (row::dot(row, row) / width + norm.epsilon).sqrt();
    for ((x, w), b) in row.iter_mut().zip(&norm.weight).zip(&norm.bias) {
        *x = *x * scale * w + b;
    }
}

#[inline(always)]
fn softmax(row: &mut [f32], scale: f32) {
    let max = max(row);
    let mut sums = [0.0; LANES];
    let (chunks, rest) = row.as_chunks_mut::<LANES>();
    for chunk in chunks {
        for (x, sum) in chunk.iter_mut().zip(&mut sums) {
            *x = exp((*x - max) * scale);
            *sum += *x;
        }
    }
    for (x, sum) in rest.iter_mut().zip(&mut sums) {
        *x = exp((*x - max) * scale);
        *sum += *x;
    }
    let factor = 1.0 / total(sums);
    for x in row {
        *x *= factor;
    }
}

#[inline(always)]
fn sum(row: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (x, sum) in chunk.iter().zip(&mut sums) {
            *sum += x;
        }
    }
    for (x, sum) in rest.iter().zip(&mut sums) {
        *sum += x;
    }
    total(sums)
}

/// `x · Φ(x)`, with the error function of Abramowitz and Stegun (7.1.26), off by 1.5e-7 at most.
///
/// Its tail is what is approximated, so that no digits are lost where `Φ` is almost 0.
#[inline(always)]
fn gelu(x: f32) -> f32 {
    let z = x.abs() * FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let mut p = 1.061_405_4;
    p = p * t - 1.453_152_1;
    p = p * t + 1.421_413_8;
    p = p * t - 0.284_496_72;
    p = p * t + 0.254_829_6;
    let tail = 0.5 * p * t * exp(-z * z);
    x * if x < 0.0 { tail } else { 1.0 - tail }
}

/// GELU's tanh approximation (“`gelu_new`”): `½(1 + tanh(u)) = 1 / (1 + e^(−2u))` spares the tanh.
#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    /// `2·√(2/π)`.
    const SCALE: f32 = 1.595_769;
    x / (1.0 + exp(-SCALE * (x + 0.044_715 * x * x * x)))
}

/// NaN stays NaN.
#[inline(always)]
fn relu(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Φ(x)` by its series, which converges for any x and is exact here up to |x| = 6.
    fn normal_distribution(x: f64) -> f64 {
        let (mut term, mut sum, mut n) = (x, x, 1.0);
        while term.abs() > 1e-18 {
            n += 2.0;
            term *= x * x / n;
            sum += term;
        }
        0.5 + sum * (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
    }

    #[test]
    fn gelu_is_the_exact_one() {
        for step in -600..600 {
            let x = step as f32 / 100.0;
            let wanted = f64::from(x) * normal_distribution(f64::from(x));
            let found = f64::from(gelu(x));
            assert!((found - wanted).abs() < 1e-6, "gelu({x}) = {found}, not {wanted}");
        }
        assert!(gelu(f32::NAN).is_nan() && gelu(-1e9) == 0.0 && gelu(1e9) == 1e9);
    }

    #[test]
    fn gelu_tanh_is_the_other_one() {
        for step in -600..600 {
            let x = f64::from(step) / 100.0;
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
            let wanted = 0.5 * x * (1.0 + inner.tanh());
            #[expect(clippy::cast_possible_truncation, reason = "that is what is tested")]
            let found = f64::from(gelu_tanh(x as f32));
            assert!((found - wanted).abs() < 1e-6, "gelu_tanh({x}) = {found}, not {wanted}");
        }
    }

    #[test]
    fn a_norm_takes_mean_and_deviation_out_and_puts_its_own_in() {
        let norm = Norm { weight: vec![2.0; 3], bias: vec![1.0, 0.0, 0.0], epsilon: 0.0 };
        let mut x = [0.0, 1.0, 2.0];
        add_norm_rows(&mut x, &[1.0, 1.0, 1.0], &[0.0; 3], &norm);
        let deviation = (2.0f32 / 3.0).sqrt();
        let wanted = [1.0 - 2.0 / deviation, 0.0, 2.0 / deviation];
        assert!(x.iter().zip(wanted).all(|(x, y)| (x - y).abs() < 1e-6), "{x:?}");
    }

    #[test]
    fn a_softmax_scales_first_and_sums_to_one() {
        let mut x = [0.0, 2.0 * 3f32.ln(), 0.0, 0.0];
        softmax_rows(&mut x, 2, 0.5);
        assert!(x.iter().zip([0.25, 0.75, 0.5, 0.5]).all(|(x, y)| (x - y).abs() < 1e-6), "{x:?}");
    }
}
