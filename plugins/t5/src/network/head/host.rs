//! Loss and gradients slice by slice of the vocabulary, with kernels of our own.
//!
//! The vocabulary goes by in slices, as the keys of attention do in flash attention: on the way
//! forward a running maximum, sum and mix of the layer's rows give the loss and the gradient of the
//! states in one pass. The gradient of the layer is made slice by slice, too: each is a task for a
//! thread.

use candle_core::{Device, Result, Tensor};
use deft_neural::{Values, in_place};

use super::{HeadLoss, HeadRows};
use crate::network::kernels::{self, OnlineSoftmax};

/// Rows of the output layer, which are ids of the vocabulary, in a slice.
pub(crate) const SLICE: usize = 2048;
/// Rows of states that meet a slice at once: 2 MB of logits stay in the processor's cache.
pub(super) const ROWS: usize = 256;

/// The loss of states in f32 in main memory: see [`HeadLoss::new`].
pub(super) fn loss(
    states: &Tensor,
    weight: &Tensor,
    labels: Vec<u32>,
    factor: f32,
) -> Result<HeadLoss> {
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
    let log_sums = Tensor::from_vec(log_sums, count, &Device::Cpu)?;
    let factors = vec![factor; count];
    let rows = HeadRows { states: states.clone(), labels, log_sums, factors };
    Ok(HeadLoss { loss, gradient, rows })
}

/// Adds the gradient of a slice of the output layer: see [`HeadRows::add_slice`].
pub(super) fn add_slice(
    of: &HeadRows,
    weight: &Tensor,
    start: usize,
    sum: &mut [f32],
) -> Result<()> {
    let (rows, width) = of.states.dims2()?;
    let count = sum.len() / width;
    let weight = weight.narrow(0, start, count)?.t()?;
    let log_sums = Values::of(&of.log_sums);
    let log_sums = log_sums.get()?;
    for first in (0..rows).step_by(ROWS) {
        let rows = ROWS.min(rows - first);
        let states = of.states.narrow(0, first, rows)?;
        let probs = states.matmul(&weight)?;
        in_place(&probs, |probs| {
            for (row, probs) in (first..).zip(probs.chunks_exact_mut(count)) {
                let factor = of.factors[row];
                kernels::scaled_softmax(probs, log_sums[row], factor);
                let label = within(of.labels[row], start);
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

/// The place of an id in a slice that starts at `start`, if it is not before it.
fn within(label: u32, start: usize) -> Option<usize> {
    (label as usize).checked_sub(start)
}
