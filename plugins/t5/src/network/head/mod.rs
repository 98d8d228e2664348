//! The output layer and the loss, without all logits ever being there.
//!
//! A vocabulary is large: the logits of a target and their gradient would be the largest arrays of
//! training, and the layer's gradient is as large as the layer. So the loss and the gradient of the
//! states come in one pass, which keeps of each row of logits the logarithm of its sum, and the
//! gradient of the layer itself is made once per step, from the states of all its micro-batches
//! ([`HeadRows`]).
//!
//! There are two ways, which agree up to rounding: slice by slice of the vocabulary with kernels of
//! our own in main memory ([`host`]), and some rows of states after the other in candle's operations
//! on any device and in any numbers ([`composed`]).

mod composed;
mod host;

use candle_core::{Result, Tensor};

use super::ops::is_host;

pub(crate) use host::SLICE;

/// States before the output layer with their wanted ids: all that the layer's gradient needs.
#[derive(Debug, Clone)]
pub(crate) struct HeadRows {
    /// `[rows, d_model]`.
    states: Tensor,
    labels: Vec<u32>,
    /// The logarithm of the sum of each row's exponentials, in f32, where the states are: `[rows]`.
    log_sums: Tensor,
    /// What each row's share of the loss is multiplied with.
    factors: Vec<f32>,
}

/// The loss of some rows and its gradient.
#[derive(Debug)]
pub(crate) struct HeadLoss {
    /// The sum over the rows of cross entropy times factor.
    pub(crate) loss: f64,
    /// Of the states, in their numbers: `[rows, d_model]`.
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
        if is_host(states) {
            host::loss(states, weight, labels, factor)
        } else {
            composed::loss(states, weight, labels, factor)
        }
    }
}

impl HeadRows {
    /// The rows of several micro-batches in one.
    pub(crate) fn join(all: &[Self]) -> Result<Self> {
        let states: Vec<&Tensor> = all.iter().map(|rows| &rows.states).collect();
        let log_sums: Vec<&Tensor> = all.iter().map(|rows| &rows.log_sums).collect();
        Ok(Self {
            states: Tensor::cat(&states, 0)?,
            labels: all.iter().flat_map(|rows| rows.labels.iter().copied()).collect(),
            log_sums: Tensor::cat(&log_sums, 0)?,
            factors: all.iter().flat_map(|rows| rows.factors.iter().copied()).collect(),
        })
    }

    /// Adds the gradient of a slice of the output layer, from row `start` on, to `sum`; the states
    /// are f32 in main memory.
    pub(crate) fn add_slice(&self, weight: &Tensor, start: usize, sum: &mut [f32]) -> Result<()> {
        host::add_slice(self, weight, start, sum)
    }

    /// Adds the gradient of the whole output layer to `sum`, which is f32, wherever both are.
    pub(crate) fn add_whole(&self, weight: &Tensor, sum: &mut Tensor) -> Result<()> {
        composed::add_whole(self, weight, sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

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

    /// More rows than are computed at once on either way.
    const ROWS: usize = host::ROWS + 3;
    /// More ids than a slice has.
    const VOCABULARY: usize = 2 * SLICE + 5;

    #[test]
    fn slices_give_the_loss_and_the_gradients_of_the_whole() {
        let (states, weight) = (numbers(ROWS, 4), numbers(VOCABULARY, 4));
        let labels: Vec<u32> = (0..515).map(|row| row * 17 % 2053).take(ROWS).collect();
        let found = HeadLoss::new(&states, &weight, labels.clone(), 0.5).expect("a loss");
        let mut sum = vec![0.0; 5 * 4];
        let parts = [found.rows.clone(), found.rows.clone()];
        let rows = HeadRows::join(&parts).expect("joined");
        rows.add_slice(&weight, 2 * SLICE, &mut sum).expect("a gradient");
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

    #[test]
    fn both_ways_agree_in_f32_and_the_composed_one_in_other_numbers() {
        // Small enough for bf16 to tell the logits apart.
        let states = (numbers(ROWS, 8) * 0.25).expect("states");
        let weight = numbers(VOCABULARY, 8);
        let labels: Vec<u32> = (0..515).map(|row| row * 31 % 4100).take(ROWS).collect();
        let wanted = host::loss(&states, &weight, labels.clone(), 0.5).expect("a loss");
        let mut wanted_sum = vec![0.0; VOCABULARY * 8];
        wanted.rows.add_slice(&weight, 0, &mut wanted_sum).expect("a gradient");
        // bf16 has 8 bits of precision, and the numbers themselves are rounded to it.
        for (dtype, share) in [(DType::F32, 1e-5), (DType::F64, 1e-5), (DType::BF16, 0.05)] {
            let cast = |tensor: &Tensor| tensor.to_dtype(dtype).expect("other numbers");
            let (states, weight) = (cast(&states), cast(&weight));
            let found = composed::loss(&states, &weight, labels.clone(), 0.5).expect("a loss");
            assert!((found.loss - wanted.loss).abs() < f64::from(share) * wanted.loss, "{dtype:?}");
            assert_eq!(found.gradient.dtype(), dtype);
            assert_near(&found.gradient, &wanted.gradient, share);
            let mut sum = Tensor::zeros((VOCABULARY, 8), DType::F32, &Device::Cpu).expect("zeros");
            found.rows.add_whole(&weight, &mut sum).expect("a gradient");
            let wanted_sum = Tensor::from_slice(&wanted_sum, (VOCABULARY, 8), &Device::Cpu);
            assert_near(&sum, &wanted_sum.expect("a tensor"), share);
        }
    }

    /// No element is further off than a share of the largest wanted one.
    #[track_caller]
    fn assert_near(found: &Tensor, wanted: &Tensor, share: f32) {
        let largest = |tensor: &Tensor| -> f32 {
            let largest = tensor.abs().and_then(|tensor| tensor.flatten_all()?.max(0));
            largest.and_then(|largest| largest.to_scalar()).expect("a number")
        };
        let found = found.to_dtype(DType::F32).expect("f32");
        let off = largest(&(&found - wanted).expect("one shape"));
        assert!(off <= share * largest(wanted), "{off} of {}", largest(wanted));
    }
}
