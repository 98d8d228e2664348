//! The output layer and the loss, without all logits ever being there.
//!
//! A vocabulary is large: the logits of a target and their gradient would be the largest arrays of
//! training, and the layer's gradient is as large as the layer. So the vocabulary goes by in
//! slices, as the keys of attention do in flash attention: on the way forward a running maximum,
//! sum and mix of the layer's rows give the loss and the gradient of the states in one pass. The
//! gradient of the layer itself is made once per step, from the states of all its micro-batches
//! ([`HeadRows`]), again slice by slice.

use candle_core::{Device, Result, Tensor};
use deft_neural::{Values, in_place};

use super::kernels::{self, OnlineSoftmax};

/// Rows of the output layer, which are ids of the vocabulary, in a slice.
pub(crate) const SLICE: usize = 2048;
/// Rows of states that meet a slice at once: 2 MB of logits stay in the processor's cache.
const ROWS: usize = 256;

/// States before the output layer with their wanted ids: all that the layer's gradient needs.
#[derive(Debug, Clone)]
pub(crate) struct HeadRows {
    /// `[rows, d_model]`.
    states: Tensor,
    labels: Vec<u32>,
    /// The logarithm of the sum of each row's exponentials.
    log_sums: Vec<f32>,
    /// What each row's share of the loss is multiplied with.
    factors: Vec<f32>,
}

/// The loss of some rows and its gradient.
#[derive(Debug)]
pub(crate) struct HeadLoss {
    /// The sum over the rows of cross entropy times factor.
    pub(crate) loss: f64,
    /// Of the states: `[rows, d_model]`.
    pub(crate) gradient: Tensor,
    pub(crate) rows: HeadRows,
}

impl HeadLoss {
    /// The cross entropy of states `[rows, d_model]` with the wanted ids under an output layer
    /// `[vocabulary, d_model]`, each row's multiplied with `factor`.
    pub(crate) fn new(
        states: &Tensor,
        weight: &Tensor,
        labels: Vec<u32>,
        factor: f32,
    ) -> Result<Self> {
        let (count, width) = states.dims2()?;
        let (mut loss, mut log_sums) = (0.0, Vec::with_capacity(count));
        let mut gradient = Vec::with_capacity(count * width);
        for start in (0..count).step_by(ROWS) {
            let rows = ROWS.min(count - start);
            let labels = &labels[start..start + rows];
            let Sweep { softmax, mix, wanted } =
                Sweep::over(&states.narrow(0, start, rows)?, weight, labels)?;
            let weights = Values::of(weight);
            let targets = labels.iter().map(|&label| label as usize * width);
            for (((state, mix), wanted), target) in
                softmax.iter().zip(mix.chunks_exact(width)).zip(&wanted).zip(targets)
            {
                loss += f64::from(state.log_sum() - wanted) * f64::from(factor);
                log_sums.push(state.log_sum());
                let (scale, target) = (1.0 / state.sum, &weights.get()?[target..target + width]);
                gradient.extend(mix.iter().zip(target).map(|(x, w)| (x * scale - w) * factor));
            }
        }
        let gradient = Tensor::from_vec(gradient, (count, width), &Device::Cpu)?;
        let factors = vec![factor; count];
        let rows = HeadRows { states: states.clone(), labels, log_sums, factors };
        Ok(Self { loss, gradient, rows })
    }
}

/// What one sweep over the vocabulary finds for some rows of states.
struct Sweep {
    softmax: Vec<OnlineSoftmax>,
    /// The mean of the output layer's rows by their probabilities, not yet divided by the sums.
    mix: Vec<f32>,
    /// The logits of the wanted ids.
    wanted: Vec<f32>,
}

impl Sweep {
    fn over(states: &Tensor, weight: &Tensor, labels: &[u32]) -> Result<Self> {
        let (rows, width) = states.dims2()?;
        let vocabulary = weight.dim(0)?;
        let mut softmax = vec![OnlineSoftmax::default(); rows];
        let (mut mix, mut wanted) = (vec![0.0; rows * width], vec![0.0; rows]);
        for start in (0..vocabulary).step_by(SLICE) {
            let count = SLICE.min(vocabulary - start);
            let weight = weight.narrow(0, start, count)?;
            let logits = states.matmul(&weight.t()?)?;
            in_place(&logits, |logits| {
                for ((wanted, row), &label) in
                    wanted.iter_mut().zip(logits.chunks_exact(count)).zip(labels)
                {
                    if let Some(&logit) = within(label, start).and_then(|at| row.get(at)) {
                        *wanted = logit;
                    }
                }
                kernels::online_softmax_rows(logits, count, &mut softmax, &mut mix);
            })?;
            let share = logits.matmul(&weight)?;
            kernels::add_to(&mut mix, Values::of(&share).get()?);
        }
        Ok(Self { softmax, mix, wanted })
    }
}

impl HeadRows {
    /// The rows of several micro-batches in one.
    pub(crate) fn join(all: &[Self]) -> Result<Self> {
        let states: Vec<&Tensor> = all.iter().map(|rows| &rows.states).collect();
        Ok(Self {
            states: Tensor::cat(&states, 0)?,
            labels: all.iter().flat_map(|rows| rows.labels.iter().copied()).collect(),
            log_sums: all.iter().flat_map(|rows| rows.log_sums.iter().copied()).collect(),
            factors: all.iter().flat_map(|rows| rows.factors.iter().copied()).collect(),
        })
    }

    /// Adds the gradient of a slice of the output layer, from row `start` on, to `sum`.
    pub(crate) fn add_gradient(
        &self,
        weight: &Tensor,
        start: usize,
        sum: &mut [f32],
    ) -> Result<()> {
        let (rows, width) = self.states.dims2()?;
        let count = sum.len() / width;
        let weight = weight.narrow(0, start, count)?.t()?;
        for first in (0..rows).step_by(ROWS) {
            let rows = ROWS.min(rows - first);
            let states = self.states.narrow(0, first, rows)?;
            let probs = states.matmul(&weight)?;
            in_place(&probs, |probs| {
                for (row, probs) in (first..).zip(probs.chunks_exact_mut(count)) {
                    let factor = self.factors[row];
                    kernels::scaled_softmax(probs, self.log_sums[row], factor);
                    let label = within(self.labels[row], start);
                    if let Some(p) = label.and_then(|at| probs.get_mut(at)) {
                        *p -= factor;
                    }
                }
            })?;
            let share = probs.t()?.matmul(&states)?;
            kernels::add_to(sum, Values::of(&share).get()?);
        }
        Ok(())
    }
}

/// The place of an id in a slice that starts at `start`, if it is not before it.
fn within(label: u32, start: usize) -> Option<usize> {
    (label as usize).checked_sub(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers without a pattern, of mean 0 and about 1 apart.
    fn numbers(rows: usize, columns: usize) -> Tensor {
        let number = |n: usize| ((n * 7919 + 13) % 1009) as f32 / 250.0 - 2.0;
        let values: Vec<f32> = (0..rows * columns).map(number).collect();
        Tensor::from_vec(values, (rows, columns), &Device::Cpu).expect("a tensor")
    }

    fn values(tensor: &Tensor) -> Vec<Vec<f32>> {
        tensor.to_vec2().expect("values")
    }

    /// Probabilities and loss of one row, by the textbook.
    fn softmax(state: &[f32], weight: &[Vec<f32>], label: usize) -> (Vec<f64>, f64) {
        let logit = |w: &Vec<f32>| -> f64 {
            w.iter().zip(state).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        let exps: Vec<f64> = weight.iter().map(|w| logit(w).exp()).collect();
        let sum: f64 = exps.iter().sum();
        (exps.iter().map(|e| e / sum).collect(), (sum / exps[label]).ln())
    }

    #[test]
    fn slices_give_the_loss_and_the_gradients_of_the_whole() {
        let (states, weight) = (numbers(ROWS + 3, 4), numbers(2 * SLICE + 5, 4));
        let labels: Vec<u32> = (0..515).map(|row| row * 17 % 2053).collect();
        let found = HeadLoss::new(&states, &weight, labels.clone(), 0.5).expect("a loss");
        let mut sum = vec![0.0; 5 * 4];
        let parts = [found.rows.clone(), found.rows.clone()];
        let rows = HeadRows::join(&parts).expect("joined");
        rows.add_gradient(&weight, 2 * SLICE, &mut sum).expect("a gradient");
        let (states, weight) = (values(&states), values(&weight));
        let (mut loss, mut wanted_sum) = (0.0, [0.0; 20]);
        for ((state, &label), gradient) in states.iter().zip(&labels).zip(values(&found.gradient)) {
            let (mut probs, row_loss) = softmax(state, &weight, label as usize);
            loss += 0.5 * row_loss;
            probs[label as usize] -= 1.0;
            for (column, found) in gradient.into_iter().enumerate() {
                let mix = probs.iter().zip(&weight).map(|(p, w)| p * f64::from(w[column]));
                let wanted = 0.5 * mix.sum::<f64>();
                assert!((f64::from(found) - wanted).abs() < 1e-5, "{found}, not {wanted}");
            }
            for (at, sum) in wanted_sum.iter_mut().enumerate() {
                *sum += 2.0 * 0.5 * probs[2 * SLICE + at / 4] * f64::from(state[at % 4]);
            }
        }
        assert!((found.loss - loss).abs() < 1e-5 * loss, "{}, not {loss}", found.loss);
        for (found, wanted) in sum.into_iter().zip(wanted_sum) {
            assert!((f64::from(found) - wanted).abs() < 1e-4, "{found}, not {wanted}");
        }
    }
}
