//! Row kernels on plain slices: what candle does in several passes, in one.
//!
//! Each public function picks the processor's widest vectors once ([`vectorized!`]) and then runs
//! ordinary loops that the compiler vectorises ([`row`](super::row)). What they do to every number is
//! a function called by its name: through a closure it may stay a call, without those vectors.

#![expect(
    clippy::inline_always,
    reason = "a loop gets wide vectors only where it is inlined into a kernel"
)]

use deft_neural::row::{dot, exp, max};
use deft_neural::vectorized;

use super::row::{GELU_CUBE, GELU_SCALE, exp_row, gelu_gate, inverse_rms, log_sum_exp, softmax};

/// One row of attention: the scores of a query with all keys.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visible {
    /// Keys that may be looked at, from the first; the rest get probability 0.
    pub(crate) keys: usize,
}

/// `out[i] = softmax(scores[i] + bias[i])` over the visible keys of each row.
///
/// `bias` has as many rows as one batch entry of `scores` and is repeated; it may be empty.
pub(crate) fn softmax_rows(
    scores: &[f32],
    bias: &[f32],
    width: usize,
    out: &mut [f32],
    visible: &dyn Fn(usize) -> Visible,
) {
    vectorized!(|scores: &[f32],
                 bias: &[f32],
                 width: usize,
                 out: &mut [f32],
                 visible: &dyn Fn(usize) -> Visible| {
        let rows = scores.chunks_exact(width).zip(out.chunks_exact_mut(width)).enumerate();
        for (row, (scores, out)) in rows {
            let keys = visible(row).keys.min(width);
            let (out, hidden) = out.split_at_mut(keys);
            out.copy_from_slice(&scores[..keys]);
            if !bias.is_empty() {
                let start = row * width % bias.len();
                for (x, b) in out.iter_mut().zip(&bias[start..start + keys]) {
                    *x += b;
                }
            }
            softmax(out);
            hidden.fill(0.0);
        }
    });
}

/// The gradient of scores from probabilities and their gradient: `p · (g − Σ p·g)` by row.
pub(crate) fn softmax_rows_backward(probs: &[f32], grad: &[f32], width: usize, out: &mut [f32]) {
    vectorized!(|probs: &[f32], grad: &[f32], width: usize, out: &mut [f32]| {
        let rows = probs.chunks_exact(width).zip(grad.chunks_exact(width));
        for ((probs, grad), out) in rows.zip(out.chunks_exact_mut(width)) {
            let dot = dot(probs, grad);
            for ((o, p), g) in out.iter_mut().zip(probs).zip(grad) {
                *o = p * (g - dot);
            }
        }
    });
}

/// `out = x / rms(x) · weight` by row: T5's layer norm, without mean and without bias.
pub(crate) fn rms_norm_rows(x: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32]) {
    vectorized!(|x: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32]| {
        let width = weight.len();
        for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
            let scale = inverse_rms(x, epsilon);
            for ((o, x), w) in out.iter_mut().zip(x).zip(weight) {
                *o = x * scale * w;
            }
        }
    });
}

/// The gradients of [`rms_norm_rows`]: of `x` into `grad_x`, of the weight, where one is wanted,
/// added to `grad_weight`.
pub(crate) fn rms_norm_rows_backward(
    x: &[f32],
    weight: &[f32],
    grad: &[f32],
    epsilon: f32,
    grad_x: &mut [f32],
    grad_weight: Option<&mut [f32]>,
) {
    vectorized!(|x: &[f32],
                 weight: &[f32],
                 grad: &[f32],
                 epsilon: f32,
                 grad_x: &mut [f32],
                 grad_weight: Option<&mut [f32]>| {
        let (width, mut grad_weight) = (weight.len(), grad_weight);
        let rows = x.chunks_exact(width).zip(grad.chunks_exact(width));
        for ((x, grad), out) in rows.zip(grad_x.chunks_exact_mut(width)) {
            let scale = inverse_rms(x, epsilon);
            for ((o, g), w) in out.iter_mut().zip(grad).zip(weight) {
                *o = g * w;
            }
            let pull = dot(out, x) * scale * scale / width as f32;
            for (o, x) in out.iter_mut().zip(x) {
                *o = scale * (*o - x * pull);
            }
            if let Some(sums) = grad_weight.as_deref_mut() {
                for ((dw, g), x) in sums.iter_mut().zip(grad).zip(x) {
                    *dw += g * x * scale;
                }
            }
        }
    });
}

/// `out = gelu(a) · b`: the gated feed-forward's activation, with GELU's tanh approximation.
pub(crate) fn gated_gelu(a: &[f32], b: &[f32], out: &mut [f32]) {
    vectorized!(|a: &[f32], b: &[f32], out: &mut [f32]| {
        for ((o, &a), &b) in out.iter_mut().zip(a).zip(b) {
            *o = a * gelu_gate(a) * b;
        }
    });
}

/// The gradients of [`gated_gelu`].
pub(crate) fn gated_gelu_backward(
    a: &[f32],
    b: &[f32],
    grad: &[f32],
    grad_a: &mut [f32],
    grad_b: &mut [f32],
) {
    vectorized!(|a: &[f32], b: &[f32], grad: &[f32], grad_a: &mut [f32], grad_b: &mut [f32]| {
        let grads = grad_a.iter_mut().zip(grad_b);
        for (((&a, &b), &g), (ga, gb)) in a.iter().zip(b).zip(grad).zip(grads) {
            let gate = gelu_gate(a);
            let slope = gate * (1.0 - gate) * GELU_SCALE * (1.0 + 3.0 * GELU_CUBE * a * a);
            *ga = g * b * (gate + a * slope);
            *gb = g * a * gate;
        }
    });
}

/// `out` is 0 where two random bytes are below `dropped`, else `x · scale`.
pub(crate) fn drop_out(x: &[f32], random: &[[u8; 2]], dropped: u16, scale: f32, out: &mut [f32]) {
    vectorized!(|x: &[f32], random: &[[u8; 2]], dropped: u16, scale: f32, out: &mut [f32]| {
        for ((o, x), &bytes) in out.iter_mut().zip(x).zip(random) {
            *o = if u16::from_le_bytes(bytes) < dropped { 0.0 } else { x * scale };
        }
    });
}

/// The logarithm of `Σ e^x` of each row.
pub(crate) fn log_sum_exp_rows(x: &[f32], width: usize) -> Vec<f32> {
    vectorized!(|x: &[f32], width: usize| -> Vec<f32> {
        let mut sums = vec![0.0; x.len() / width];
        for (sum, row) in sums.iter_mut().zip(x.chunks_exact(width)) {
            *sum = log_sum_exp(row);
        }
        sums
    })
}

/// `x = e^(x − log_sum) · factor`: a row's softmax, scaled, in place of its logits.
pub(crate) fn scaled_softmax(row: &mut [f32], log_sum: f32, factor: f32) {
    vectorized!(|row: &mut [f32], log_sum: f32, factor: f32| {
        for x in row.iter_mut() {
            *x = exp(*x - log_sum) * factor;
        }
    });
}

/// A softmax whose logits come piece by piece.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OnlineSoftmax {
    /// The largest logit so far.
    max: f32,
    /// The sum of `e^(logit − max)` so far.
    pub(crate) sum: f32,
}

impl Default for OnlineSoftmax {
    fn default() -> Self {
        Self { max: f32::NEG_INFINITY, sum: 0.0 }
    }
}

impl OnlineSoftmax {
    /// The logarithm of `Σ e^logit`.
    pub(crate) fn log_sum(self) -> f32 {
        self.max + self.sum.ln()
    }
}

/// Takes the next `width` logits of each row into its softmax and puts `e^(logit − max)` in their
/// place; `mixes`, which were made with an earlier maximum, are scaled to the new one.
pub(crate) fn online_softmax_rows(
    logits: &mut [f32],
    width: usize,
    states: &mut [OnlineSoftmax],
    mixes: &mut [f32],
) {
    vectorized!(|logits: &mut [f32],
                 width: usize,
                 states: &mut [OnlineSoftmax],
                 mixes: &mut [f32]| {
        let mix_width = mixes.len() / states.len().max(1);
        let rows = logits.chunks_exact_mut(width).zip(mixes.chunks_exact_mut(mix_width));
        for ((row, mix), state) in rows.zip(states.iter_mut()) {
            let max = state.max.max(max(row));
            if max > state.max {
                let scale = exp(state.max - max);
                state.sum *= scale;
                for x in mix {
                    *x *= scale;
                }
                state.max = max;
            }
            state.sum += exp_row(row, max);
        }
    });
}

/// `out = x · vector` by row.
pub(crate) fn scale_rows(x: &[f32], vector: &[f32], out: &mut [f32]) {
    vectorized!(|x: &[f32], vector: &[f32], out: &mut [f32]| {
        let width = vector.len();
        for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
            for ((o, x), v) in out.iter_mut().zip(x).zip(vector) {
                *o = x * v;
            }
        }
    });
}

/// `sums += a · b` over all rows.
pub(crate) fn add_products(a: &[f32], b: &[f32], sums: &mut [f32]) {
    vectorized!(|a: &[f32], b: &[f32], sums: &mut [f32]| {
        let width = sums.len();
        for (a, b) in a.chunks_exact(width).zip(b.chunks_exact(width)) {
            for ((s, a), b) in sums.iter_mut().zip(a).zip(b) {
                *s += a * b;
            }
        }
    });
}

/// `sum += x`.
pub(crate) fn add_to(sum: &mut [f32], x: &[f32]) {
    vectorized!(|sum: &mut [f32], x: &[f32]| {
        for (s, x) in sum.iter_mut().zip(x) {
            *s += x;
        }
    });
}

/// What is done to a step's gradients before they are used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// They are multiplied with this: below 1 where their length is limited.
    pub(crate) scale: f32,
    /// Then every element is limited to ± this.
    pub(crate) clip: f32,
}

impl Limits {
    #[inline(always)]
    pub(crate) fn apply(self, gradient: f32) -> f32 {
        (gradient * self.scale).clamp(-self.clip, self.clip)
    }
}

/// The position of the largest value, the first of equal ones; `None` if one is not finite.
pub(crate) fn largest(values: &[f32]) -> Option<u32> {
    let mut best = 0;
    for (at, value) in values.iter().enumerate() {
        if !value.is_finite() {
            return None;
        }
        if *value > values[best] {
            best = at;
        }
    }
    u32::try_from(best).ok()
}

/// The numbers of one step of Adam.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AdamUpdate {
    pub(crate) limits: Limits,
    /// What is left of a parameter after weight decay.
    pub(crate) decay: f32,
    /// Share of the gradient in the new mean: one less β, which f32 would round.
    pub(crate) new_mean: f32,
    /// Share of the old squares that stays, and that of the new ones.
    pub(crate) old_square: f32,
    pub(crate) new_square: f32,
    /// Learning rate over the bias correction of the mean.
    pub(crate) step: f32,
    /// Root of the bias correction of the squares.
    pub(crate) root_bias: f32,
    pub(crate) epsilon: f32,
}

/// One step of Adam on a parameter's values; the gradient is zero afterwards.
pub(crate) fn adam(
    values: &mut [f32],
    gradient: &mut [f32],
    mean: &mut [f32],
    square: &mut [f32],
    update: &AdamUpdate,
) {
    vectorized!(|values: &mut [f32],
                 gradient: &mut [f32],
                 mean: &mut [f32],
                 square: &mut [f32],
                 update: &AdamUpdate| {
        let u = *update;
        let state = gradient.iter_mut().zip(mean.iter_mut().zip(square.iter_mut()));
        for (value, (gradient, (mean, square))) in values.iter_mut().zip(state) {
            let g = u.limits.apply(*gradient);
            *gradient = 0.0;
            *mean += (g - *mean) * u.new_mean;
            *square = *square * u.old_square + g * g * u.new_square;
            *value = *value * u.decay - u.step * *mean / (square.sqrt() / u.root_bias + u.epsilon);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_adds_the_bias_and_hides_keys() {
        let mut out = [9.0; 3];
        softmax_rows(&[0.0, 1.0, 5.0], &[1.0, 0.0, 0.0], 3, &mut out, &|_| Visible { keys: 2 });
        assert_eq!(out, [0.5, 0.5, 0.0]);
    }

    #[test]
    fn the_largest_of_numbers_that_are_none_is_none() {
        assert_eq!(largest(&[1.0, 3.0, 3.0]), Some(1));
        assert_eq!(largest(&[f32::NAN, 3.0]), None);
        assert_eq!(largest(&[4.0, f32::INFINITY]), None);
    }

    #[test]
    fn log_sum_exp_of_equal_values_is_their_logarithmic_count() {
        let sums = log_sum_exp_rows(&[100.0; 40], 20);
        assert!((sums[0] - (100.0 + 20f32.ln())).abs() < 1e-5);
        assert_eq!(sums[0], sums[1]);
    }
}
