//! The states of texts as one vector each.

use candle_core::{Result, Tensor};
use deft_neural::Values;

use crate::config::Pooling;
use crate::network::{Batch, kernels, ops};

/// The vectors of a batch's states `[rows, length, d_model]`: `rows · d_model` numbers by rows.
/// Padding has no share in them.
pub(crate) fn pooled(states: &Tensor, batch: &Batch, pooling: Pooling) -> Result<Vec<f32>> {
    if !ops::is_host(states) {
        return on_device(states, batch, pooling);
    }
    let (_, length, width) = states.dims3()?;
    let values = Values::of(states);
    let mut vectors = vec![0.0; batch.rows * width];
    let rows = values.get()?.chunks_exact(length * width);
    for (row, (states, vector)) in rows.zip(vectors.chunks_exact_mut(width)).enumerate() {
        pool(pooling, states.chunks_exact(width).take(batch.length_of(row)), vector);
    }
    Ok(vectors)
}

/// The same as one product of matrices, so that only vectors leave the device.
///
/// In TF32 the product rounds what it takes to 11 bits: whole numbers are among those that stay as
/// they are, and what they are divided by is left to main memory.
fn on_device(states: &Tensor, batch: &Batch, pooling: Pooling) -> Result<Vec<f32>> {
    let (rows, length, width) = states.dims3()?;
    let mut weights = vec![0.0; rows * length];
    for (row, weights) in weights.chunks_exact_mut(length).enumerate() {
        set_weights(pooling, &mut weights[..batch.length_of(row)]);
    }
    let states = ops::wide(states)?;
    let weights = Tensor::from_vec(weights, (rows, 1, length), states.device())?;
    let sums = ops::product(&weights.to_dtype(states.dtype())?, &states)?;
    let mut vectors: Vec<f32> = ops::to_host(&sums.flatten_all()?)?.to_vec1()?;
    for (row, vector) in vectors.chunks_exact_mut(width).enumerate() {
        scale(vector, share(pooling, batch.length_of(row)));
    }
    Ok(vectors)
}

/// How often each of a text's states counts in the sum that its vector is made of.
fn set_weights(pooling: Pooling, weights: &mut [f32]) {
    match pooling {
        Pooling::First => weights[0] = 1.0,
        Pooling::Last => weights[weights.len() - 1] = 1.0,
        Pooling::Mean => weights.fill(1.0),
        Pooling::WeightedMean => {
            for (position, weight) in (1..).zip(weights) {
                *weight = position as f32;
            }
        }
    }
}

/// What the sum of so many states is multiplied with.
fn share(pooling: Pooling, length: usize) -> f32 {
    match pooling {
        Pooling::First | Pooling::Last => 1.0,
        Pooling::Mean => 1.0 / length as f32,
        Pooling::WeightedMean => 2.0 / (length * (length + 1)) as f32,
    }
}

/// Makes one vector, which is zero so far, of a text's states, of which there is at least one.
fn pool<'a>(
    pooling: Pooling,
    mut states: impl ExactSizeIterator<Item = &'a [f32]>,
    vector: &mut [f32],
) {
    let length = states.len();
    match pooling {
        Pooling::First => vector.copy_from_slice(states.next().expect("a text has a token")),
        Pooling::Last => vector.copy_from_slice(states.last().expect("a text has a token")),
        Pooling::Mean => {
            states.for_each(|state| kernels::add_to(vector, state));
            scale(vector, share(pooling, length));
        }
        Pooling::WeightedMean => {
            for (weight, state) in (1..).zip(states) {
                for (sum, x) in vector.iter_mut().zip(state) {
                    *sum += weight as f32 * x;
                }
            }
            scale(vector, share(pooling, length));
        }
    }
}

/// Gives vectors of this width length 1.
pub(crate) fn normalise(vectors: &mut [f32], width: usize) {
    for vector in vectors.chunks_exact_mut(width) {
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        // A vector of zeros has no direction.
        scale(vector, 1.0 / length.max(f32::MIN_POSITIVE));
    }
}

fn scale(vector: &mut [f32], factor: f32) {
    for x in vector {
        *x *= factor;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    #[test]
    fn pooling_is_what_it_says() {
        let (states, mut found) = ([[1.0, 0.0], [2.0, 6.0], [6.0, 0.0]], Vec::new());
        for pooling in [Pooling::Mean, Pooling::WeightedMean, Pooling::First, Pooling::Last] {
            let mut vector = [0.0; 2];
            pool(pooling, states.iter().map(<[f32; 2]>::as_slice), &mut vector);
            found.push(vector);
        }
        assert_eq!(found[0], [3.0, 2.0]);
        assert!((found[1][0] - 23.0 / 6.0).abs() < 1e-6 && found[1][1] == 2.0, "{found:?}");
        assert_eq!(found[2..], [[1.0, 0.0], [6.0, 0.0]]);
    }

    #[test]
    fn what_a_product_takes_is_whole_numbers_that_tf32_leaves_alone() {
        for pooling in [Pooling::Mean, Pooling::WeightedMean, Pooling::First, Pooling::Last] {
            let mut weights = [0.0; 700];
            set_weights(pooling, &mut weights);
            assert!(weights.iter().all(|weight| weight.fract() == 0.0 && *weight < 2048.0));
            let sum = weights.iter().sum::<f32>() * share(pooling, weights.len());
            assert!((sum - 1.0).abs() < 1e-5, "{pooling:?}: {sum}");
        }
    }

    #[test]
    fn a_product_of_matrices_pools_as_the_sums_do() {
        let rows: [&[u32]; 3] = [&[2, 3, 4, 5], &[2], &[2, 3, 4]];
        let batch = Batch::new(rows, 0).expect("a batch");
        let values = (0..3 * 4 * 2).map(|n| (n * 37 % 23) as f32 - 11.0).collect();
        let states = Tensor::from_vec(values, (3, 4, 2), &Device::Cpu).expect("states");
        let wide = states.to_dtype(DType::F64).expect("states");
        for pooling in [Pooling::Mean, Pooling::WeightedMean, Pooling::First, Pooling::Last] {
            let wanted = pooled(&states, &batch, pooling).expect("vectors");
            let found = pooled(&wide, &batch, pooling).expect("vectors");
            let near = found.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-5);
            assert!(near, "{pooling:?}: {found:?}, not {wanted:?}");
        }
    }
}
