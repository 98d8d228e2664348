//! BERT on candle's matrix products.
//!
//! The texts of a batch stand behind each other without padding: projections and feed-forwards see
//! one matrix of all tokens, attention one text after the other. No text sees another, so there is
//! nothing to mask, and nothing is computed for padding.

mod attention;
mod config;
pub(crate) mod kernels;
mod names;

use candle_core::{Device, Result, Tensor};
use deft_neural::{Values, in_place};

use crate::weights::{EMBEDDINGS, Weights};

use attention::Attention;
pub(crate) use config::{Activation, Family, NetworkConfig};
use kernels::Norm;
use names::block_names;

/// A network of BERT's kind, up to its last states.
#[derive(Debug)]
pub(crate) struct Bert {
    config: NetworkConfig,
    /// One row of `width` numbers for each token.
    words: Vec<f32>,
    /// One row for each position, that of the first token type added.
    positions: Vec<f32>,
    norm: Norm,
    blocks: Vec<Block>,
}

/// Self-attention and a feed-forward, each as `norm(x + f(x))`.
#[derive(Debug)]
struct Block {
    attention: Attention,
    mixed: Linear,
    attention_norm: Norm,
    up: Linear,
    activation: Activation,
    down: Linear,
    norm: Norm,
}

/// `x · weightᵀ`, and the bias that is added to it.
#[derive(Debug)]
struct Linear {
    /// `[out, in]`.
    weight: Tensor,
    bias: Vec<f32>,
}

impl Bert {
    /// Takes the weights of a network of this shape.
    pub(crate) fn new(config: &NetworkConfig, weights: &mut Weights) -> deft_core::Result<Self> {
        let table = |rows: usize| vec![rows, config.width];
        let words = weights.take(EMBEDDINGS, &table(config.vocabulary))?;
        let mut positions = weights.take(names::POSITIONS, &table(config.positions))?;
        if config.types > 0 {
            // One text alone has the first type throughout.
            let types = weights.take(names::TYPES, &table(config.types))?;
            kernels::add_rows(&mut positions, &types[..config.width]);
        }
        let norm = norm(config, weights, names::NORM)?;
        let blocks = (0..config.layers)
            .map(|layer| Block::new(config, weights, layer))
            .collect::<deft_core::Result<_>>()?;
        Ok(Self { config: config.clone(), words, positions, norm, blocks })
    }

    /// The last states of some texts, one text behind the other; no text is longer than there are
    /// positions for.
    pub(crate) fn states(&self, texts: &[&[u32]]) -> Result<Vec<f32>> {
        let embedded = self.embedded(texts);
        if embedded.is_empty() {
            return Ok(embedded);
        }
        let lengths: Vec<usize> = texts.iter().map(|ids| ids.len()).collect();
        let rows = embedded.len() / self.config.width;
        let mut states = Tensor::from_vec(embedded, (rows, self.config.width), &Device::Cpu)?;
        for block in &self.blocks {
            states = block.forward(&states, &lengths)?;
        }
        Ok(Values::of(&states).get()?.to_vec())
    }

    fn embedded(&self, texts: &[&[u32]]) -> Vec<f32> {
        let width = self.config.width;
        let tokens = texts.iter().map(|ids| ids.len()).sum::<usize>();
        let mut states = Vec::with_capacity(tokens * width);
        for ids in texts {
            for (&id, position) in ids.iter().zip(self.positions_of(ids)) {
                let word = &self.words[id as usize * width..][..width];
                let position = &self.positions[position * width..][..width];
                states.extend(word.iter().zip(position).map(|(word, position)| word + position));
            }
        }
        kernels::norm_rows(&mut states, &self.norm);
        states
    }

    /// The rows of a text's positions. `RoBERTa` does not count a token of padding, which a text may
    /// spell out.
    fn positions_of(&self, ids: &[u32]) -> Vec<usize> {
        if self.config.family != Family::Roberta {
            return (0..ids.len()).collect();
        }
        let (pad, mut next) = (self.config.pad, self.config.first_position());
        let position = |&id: &u32| {
            if id == pad {
                return pad as usize;
            }
            next += 1;
            next - 1
        };
        ids.iter().map(position).collect()
    }
}

impl Block {
    fn new(config: &NetworkConfig, weights: &mut Weights, layer: usize) -> deft_core::Result<Self> {
        let names = block_names(config.family, layer);
        let (width, hidden) = (config.width, config.hidden);
        Ok(Self {
            attention: Attention {
                projections: Linear::joined(weights, &names.projections, width)?,
                heads: config.heads,
            },
            mixed: Linear::joined(weights, &[names.mixed], width)?,
            attention_norm: norm(config, weights, &names.attention_norm)?,
            up: Linear::new(weights, &names.up, hidden, width)?,
            activation: config.activation,
            down: Linear::new(weights, &names.down, width, hidden)?,
            norm: norm(config, weights, &names.norm)?,
        })
    }

    fn forward(&self, x: &Tensor, lengths: &[usize]) -> Result<Tensor> {
        let mixed = self.mixed.times(&self.attention.forward(x, lengths)?)?;
        add_norm(&mixed, &self.mixed.bias, x, &self.attention_norm)?;
        let hidden = self.up.times(&mixed)?;
        in_place(&hidden, |x| kernels::activate_rows(x, &self.up.bias, self.activation))?;
        let out = self.down.times(&hidden)?;
        add_norm(&out, &self.down.bias, &mixed, &self.norm)?;
        Ok(out)
    }
}

impl Linear {
    fn new(
        weights: &mut Weights,
        name: &str,
        outputs: usize,
        inputs: usize,
    ) -> deft_core::Result<Self> {
        let weight = weights.take(&format!("{name}.weight"), &[outputs, inputs])?;
        let bias = weights.take(&format!("{name}.bias"), &[outputs])?;
        Ok(Self { weight: matrix(weight, inputs)?, bias })
    }

    /// Square layers with the same input, as one: their outputs stand side by side.
    fn joined(weights: &mut Weights, names: &[String], width: usize) -> deft_core::Result<Self> {
        let (mut weight, mut bias) = (Vec::new(), Vec::new());
        for name in names {
            weight.extend(weights.take(&format!("{name}.weight"), &[width, width])?);
            bias.extend(weights.take(&format!("{name}.bias"), &[width])?);
        }
        Ok(Self { weight: matrix(weight, width)?, bias })
    }

    /// The product alone: what follows adds the bias on its way.
    fn times(&self, x: &Tensor) -> Result<Tensor> {
        x.matmul(&self.weight.t()?)
    }
}

fn matrix(values: Vec<f32>, width: usize) -> deft_core::Result<Tensor> {
    let rows = values.len() / width;
    Tensor::from_vec(values, (rows, width), &Device::Cpu).map_err(|e| defect(&e))
}

fn norm(config: &NetworkConfig, weights: &mut Weights, name: &str) -> deft_core::Result<Norm> {
    Ok(Norm {
        weight: weights.take(&format!("{name}.weight"), &[config.width])?,
        bias: weights.take(&format!("{name}.bias"), &[config.width])?,
        epsilon: config.epsilon,
    })
}

/// `x = norm(x + bias + residual)`.
fn add_norm(x: &Tensor, bias: &[f32], residual: &Tensor, norm: &Norm) -> Result<()> {
    let residual = Values::of(residual);
    let residual = residual.get()?;
    in_place(x, |x| kernels::add_norm_rows(x, bias, residual, norm))
}

/// An error of candle's that only a defect of ours explains.
pub(crate) fn defect(error: &candle_core::Error) -> deft_core::Error {
    deft_core::Error::new(deft_core::ErrorKind::Unexpected, "the network cannot be computed")
        .with_source(error)
}
