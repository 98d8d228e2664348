//! What makes one vector of a text's states.

use deft_core::{Error, ErrorKind, Result};

use crate::config::Pooling;
use crate::folder::{DenseConfig, Step};
use crate::network::kernels;
use crate::weights::Weights;

/// Pooling, and what follows it.
#[derive(Debug)]
pub(crate) struct Head {
    pooling: Vec<Pooling>,
    layers: Vec<Layer>,
    /// Components of a vector.
    dimension: usize,
}

#[derive(Debug)]
enum Layer {
    Dense(Dense),
    Normalize,
}

/// A linear layer.
#[derive(Debug)]
struct Dense {
    /// `[out, in]`, one row behind the other.
    weight: Vec<f32>,
    bias: Vec<f32>,
    tanh: bool,
}

impl Head {
    /// The head for states of a width; what it reads is added to `fingerprints`.
    pub(crate) fn new(
        pooling: Vec<Pooling>,
        steps: &[Step],
        width: usize,
        fingerprints: &mut Vec<String>,
    ) -> Result<Self> {
        let mut dimension = width * pooling.len();
        let mut layers = Vec::with_capacity(steps.len());
        for step in steps {
            layers.push(match step {
                Step::Normalize => Layer::Normalize,
                Step::Dense(config) => {
                    let dense = Dense::read(config, dimension, fingerprints)?;
                    dimension = config.outputs;
                    Layer::Dense(dense)
                }
            });
        }
        Ok(Self { pooling, layers, dimension })
    }

    pub(crate) fn dimension(&self) -> usize {
        self.dimension
    }

    /// The vector of a text with these states, of `width` numbers each.
    pub(crate) fn vector(&self, states: &[f32], width: usize) -> Vec<f32> {
        let mut vector = vec![0.0; width * self.pooling.len()];
        for (pooling, part) in self.pooling.iter().zip(vector.chunks_exact_mut(width)) {
            pool(*pooling, states.chunks_exact(width), part);
        }
        for layer in &self.layers {
            match layer {
                Layer::Dense(dense) => vector = dense.forward(&vector),
                Layer::Normalize => normalise(&mut vector),
            }
        }
        vector
    }
}

impl Dense {
    fn read(config: &DenseConfig, inputs: usize, fingerprints: &mut Vec<String>) -> Result<Self> {
        if config.inputs != inputs {
            let message = format!(
                "a Dense module takes {} components, the vectors before it have {inputs}",
                config.inputs
            );
            return Err(Error::new(ErrorKind::Model, message)
                .with_context("folder", config.dir.display())
                .with_hint("leave `pooling` as the folder has it"));
        }
        let mut weights = Weights::open(&config.dir)?;
        let weight = weights.take("linear.weight", &[config.outputs, inputs])?;
        let bias = if config.bias {
            weights.take("linear.bias", &[config.outputs])?
        } else {
            vec![0.0; config.outputs]
        };
        fingerprints.push(format!("{} {}", weights.fingerprint().short(), config.tanh));
        Ok(Self { weight, bias, tanh: config.tanh })
    }

    fn forward(&self, vector: &[f32]) -> Vec<f32> {
        let rows = self.weight.chunks_exact(vector.len());
        let sums = rows.zip(&self.bias).map(|(row, bias)| kernels::dot(row, vector) + bias);
        if self.tanh { sums.map(f32::tanh).collect() } else { sums.collect() }
    }
}

/// Makes one vector, which is zero so far, of a text's states; without any it stays zero.
fn pool<'a>(
    pooling: Pooling,
    mut states: impl ExactSizeIterator<Item = &'a [f32]>,
    vector: &mut [f32],
) {
    let length = states.len();
    if length == 0 {
        return;
    }
    match pooling {
        Pooling::First => vector.copy_from_slice(states.next().unwrap_or_default()),
        Pooling::Last => vector.copy_from_slice(states.last().unwrap_or_default()),
        Pooling::Max => {
            vector.fill(f32::NEG_INFINITY);
            for state in states {
                vector.iter_mut().zip(state).for_each(|(max, x)| *max = max.max(*x));
            }
        }
        Pooling::Mean => {
            add_weighted(states.map(|state| (1.0, state)), vector);
            scale(vector, 1.0 / length as f32);
        }
        Pooling::MeanSqrtLen => {
            add_weighted(states.map(|state| (1.0, state)), vector);
            scale(vector, 1.0 / (length as f32).sqrt());
        }
        Pooling::WeightedMean => {
            add_weighted((1..).map(|weight| weight as f32).zip(states), vector);
            scale(vector, 2.0 / (length * (length + 1)) as f32);
        }
    }
}

fn add_weighted<'a>(states: impl Iterator<Item = (f32, &'a [f32])>, vector: &mut [f32]) {
    for (weight, state) in states {
        vector.iter_mut().zip(state).for_each(|(sum, x)| *sum += weight * x);
    }
}

fn normalise(vector: &mut [f32]) {
    let length = kernels::dot(vector, vector).sqrt();
    // A vector of zeros has no direction.
    scale(vector, 1.0 / length.max(f32::MIN_POSITIVE));
}

fn scale(vector: &mut [f32], factor: f32) {
    for x in vector {
        *x *= factor;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::write_tensors;

    const STATES: [f32; 6] = [1.0, 0.0, 2.0, 6.0, 6.0, 0.0];

    fn vector(pooling: &[Pooling], steps: &[Step]) -> Vec<f32> {
        let head = Head::new(pooling.to_vec(), steps, 2, &mut Vec::new()).expect("a head");
        head.vector(&STATES, 2)
    }

    fn check(pooling: Pooling, wanted: [f32; 2]) {
        let found = vector(&[pooling], &[]);
        let is_near = found.iter().zip(wanted).all(|(x, y)| (x - y).abs() < 1e-6);
        assert!(is_near, "{pooling:?}: {found:?}, not {wanted:?}");
    }

    #[test]
    fn pooling_is_what_it_says() {
        check(Pooling::Mean, [3.0, 2.0]);
        check(Pooling::WeightedMean, [23.0 / 6.0, 2.0]);
        check(Pooling::MeanSqrtLen, [9.0 / 3f32.sqrt(), 6.0 / 3f32.sqrt()]);
        check(Pooling::Max, [6.0, 6.0]);
        check(Pooling::First, [1.0, 0.0]);
        check(Pooling::Last, [6.0, 0.0]);
    }

    #[test]
    fn several_poolings_stand_side_by_side_and_are_normalised_together() {
        assert_eq!(vector(&[Pooling::First, Pooling::Max], &[]), [1.0, 0.0, 6.0, 6.0]);
        let unit = vector(&[Pooling::First, Pooling::Max], &[Step::Normalize]);
        assert!((unit.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_text_without_tokens_is_zero() {
        let head = Head::new(vec![Pooling::Max], &[Step::Normalize], 2, &mut Vec::new());
        assert_eq!(head.expect("a head").vector(&[], 2), [0.0, 0.0]);
    }

    #[test]
    fn a_dense_layer_is_read_and_must_fit() {
        let dir = tempfile::tempdir().expect("a folder");
        let tensors = vec![
            ("linear.weight".to_owned(), vec![1, 2], vec![0.5, -0.25]),
            ("linear.bias".to_owned(), vec![1], vec![0.25]),
        ];
        write_tensors(&dir.path().join("model.safetensors"), &tensors);
        let config = DenseConfig {
            dir: dir.path().to_owned(),
            inputs: 2,
            outputs: 1,
            bias: true,
            tanh: true,
        };
        let step = Step::Dense(config.clone());
        assert_eq!(vector(&[Pooling::Mean], std::slice::from_ref(&step)), [1.25f32.tanh()]);
        let linear = Step::Dense(DenseConfig { bias: false, tanh: false, ..config });
        assert_eq!(vector(&[Pooling::Mean], &[linear]), [1.0]);
        let two = vec![Pooling::Mean, Pooling::Max];
        let error = Head::new(two, &[step], 2, &mut Vec::new()).expect_err("too wide");
        let wanted = "a Dense module takes 2 components, the vectors before it have 4";
        assert_eq!(error.message(), wanted);
    }
}
