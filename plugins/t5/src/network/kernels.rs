//! Row kernels on plain slices: what candle does in several passes, in one.
//!
//! Each public function picks the processor's widest vectors once ([`pulp::Arch`]) and then runs
//! ordinary loops that the compiler vectorises. Sums run over [`LANES`] partial sums whatever the
//! vector width, so that a result does not depend on it.

#![expect(
    clippy::inline_always,
    reason = "a loop is vectorised only within the dispatched closure"
)]

use pulp::Arch;

/// Partial sums of a reduction: the floats of the widest vector.
const LANES: usize = 16;

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
    visible: impl Fn(usize) -> Visible,
) {
    Arch::new().dispatch(|| {
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
    Arch::new().dispatch(|| {
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
    let width = weight.len();
    Arch::new().dispatch(|| {
        for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
            let scale = inverse_rms(x, epsilon);
            for ((o, x), w) in out.iter_mut().zip(x).zip(weight) {
                *o = x * scale * w;
            }
        }
    });
}

/// The gradients of [`rms_norm_rows`]: of `x` into `grad_x`, of the weight added to `grad_weight`.
pub(crate) fn rms_norm_rows_backward(
    x: &[f32],
    weight: &[f32],
    grad: &[f32],
    epsilon: f32,
    grad_x: &mut [f32],
    grad_weight: &mut [f32],
) {
    let width = weight.len();
    Arch::new().dispatch(|| {
        let rows = x.chunks_exact(width).zip(grad.chunks_exact(width));
        for ((x, grad), out) in rows.zip(grad_x.chunks_exact_mut(width)) {
            let scale = inverse_rms(x, epsilon);
            for ((o, g), w) in out.iter_mut().zip(grad).zip(weight) {
                *o = g * w;
            }
            let pull = dot(out, x) * scale * scale / width as f32;
            for ((o, x), (g, dw)) in
                out.iter_mut().zip(x).zip(grad.iter().zip(grad_weight.iter_mut()))
            {
                *o = scale * (*o - x * pull);
                *dw += g * x * scale;
            }
        }
    });
}

/// `out = gelu(a) · b`: the gated feed-forward's activation, with GELU's tanh approximation.
pub(crate) fn gated_gelu(a: &[f32], b: &[f32], out: &mut [f32]) {
    Arch::new().dispatch(|| {
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
    Arch::new().dispatch(|| {
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
    Arch::new().dispatch(|| {
        for ((o, x), &bytes) in out.iter_mut().zip(x).zip(random) {
            *o = if u16::from_le_bytes(bytes) < dropped { 0.0 } else { x * scale };
        }
    });
}

/// The logarithm of `Σ e^x` of each row.
pub(crate) fn log_sum_exp_rows(x: &[f32], width: usize) -> Vec<f32> {
    Arch::new().dispatch(|| x.chunks_exact(width).map(log_sum_exp).collect())
}

/// `x = e^(x − log_sum) · factor`: a row's softmax, scaled, in place of its logits.
pub(crate) fn scaled_softmax(row: &mut [f32], log_sum: f32, factor: f32) {
    Arch::new().dispatch(|| {
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
    let mix_width = mixes.len() / states.len().max(1);
    Arch::new().dispatch(|| {
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
    let width = vector.len();
    Arch::new().dispatch(|| {
        for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
            for ((o, x), v) in out.iter_mut().zip(x).zip(vector) {
                *o = x * v;
            }
        }
    });
}

/// `sums += a · b` over all rows.
pub(crate) fn add_products(a: &[f32], b: &[f32], sums: &mut [f32]) {
    let width = sums.len();
    Arch::new().dispatch(|| {
        for (a, b) in a.chunks_exact(width).zip(b.chunks_exact(width)) {
            for ((s, a), b) in sums.iter_mut().zip(a).zip(b) {
                *s += a * b;
            }
        }
    });
}

/// `sum += x`.
pub(crate) fn add_to(sum: &mut [f32], x: &[f32]) {
    Arch::new().dispatch(|| {
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
    let u = *update;
    Arch::new().dispatch(|| {
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

#[inline(always)]
fn softmax(row: &mut [f32]) {
    let scale = 1.0 / exp_row(row, max(row));
    for x in row {
        *x *= scale;
    }
}

/// `x = e^(x − max)`; the result is their sum.
#[inline(always)]
fn exp_row(row: &mut [f32], max: f32) -> f32 {
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
fn log_sum_exp(row: &[f32]) -> f32 {
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
fn max(row: &[f32]) -> f32 {
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
fn dot(a: &[f32], b: &[f32]) -> f32 {
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
fn inverse_rms(x: &[f32], epsilon: f32) -> f32 {
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
const GELU_SCALE: f32 = 1.595_769;
const GELU_CUBE: f32 = 0.044_715;

#[inline(always)]
fn gelu_gate(x: f32) -> f32 {
    1.0 / (1.0 + exp(-GELU_SCALE * (x + GELU_CUBE * x * x * x)))
}

/// `e^x` to about 1e-7 relative, without branches or calls (the polynomial is Cephes').
///
/// Below −69 it is 0: what is under 1e-30 of a sum changes nothing, but its products would be
/// numbers so small that processors take a hundred times as long for them. Above 88 it stays what it
/// is there; NaN stays NaN.
#[inline(always)]
fn exp(x: f32) -> f32 {
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

    #[test]
    fn softmax_adds_the_bias_and_hides_keys() {
        let mut out = [9.0; 3];
        softmax_rows(&[0.0, 1.0, 5.0], &[1.0, 0.0, 0.0], 3, &mut out, |_| Visible { keys: 2 });
        assert_eq!(out, [0.5, 0.5, 0.0]);
    }

    #[test]
    fn log_sum_exp_of_equal_values_is_their_logarithmic_count() {
        let sums = log_sum_exp_rows(&[100.0; 40], 20);
        assert!((sums[0] - (100.0 + 20f32.ln())).abs() < 1e-5);
        assert_eq!(sums[0], sums[1]);
    }
}
