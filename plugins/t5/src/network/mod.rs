//! T5 on candle: encoder, decoder and loss.
//!
//! The same code serves inference and training: with ordinary tensors candle keeps no graph, with
//! trainable variables it does. Batches are padded; a padded key gets no attention, and what stands
//! at padded positions of the result means nothing.

mod attention;
mod backward;
mod config;
pub(crate) mod head;
pub(crate) mod kernels;
mod layers;
pub(crate) mod ops;
mod parameters;
mod position;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Device, Result, Tensor, Var, bail};

use layers::{Block, Norm};
use ops::{Dropout, Linear};
use position::Positions;

pub(crate) use backward::{Gradients, LookedUp};
pub(crate) use config::{Head, NetworkConfig};
pub(crate) use layers::KeysAndValues;
pub(crate) use parameters::{Parameter, Part, parameters};

/// Tensors by their Hugging Face names.
pub(crate) type Tensors = BTreeMap<String, Tensor>;

/// Token ids of several texts, padded to the longest.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    /// `[rows, length]`.
    pub(crate) ids: Tensor,
    pub(crate) rows: usize,
    pub(crate) length: usize,
    /// Ids of each row that are no padding; `None` when there is no padding at all.
    pub(crate) lengths: Option<Arc<[usize]>>,
}

impl Batch {
    /// Pads rows of ids, of which there is at least one and none is empty.
    pub(crate) fn new<'a>(rows: impl IntoIterator<Item = &'a [u32]>, pad: u32) -> Result<Self> {
        let rows: Vec<&[u32]> = rows.into_iter().collect();
        let length = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        let mut ids = Vec::with_capacity(rows.len() * length);
        for row in &rows {
            ids.extend_from_slice(row);
            ids.resize(ids.len() + length - row.len(), pad);
        }
        let is_padded = rows.iter().any(|row| row.len() < length);
        Ok(Self {
            ids: Tensor::from_vec(ids, (rows.len(), length), &Device::Cpu)?,
            rows: rows.len(),
            length,
            lengths: is_padded.then(|| rows.iter().map(|row| row.len()).collect()),
        })
    }
}

/// One way through the network: inference, or training with dropout.
#[derive(Debug, Default)]
pub(crate) struct Pass {
    dropout: Option<Masks>,
    /// In training, the embeddings that were looked up.
    looked_up: Option<RefCell<Vec<LookedUp>>>,
}

#[derive(Debug)]
struct Masks {
    rate: f32,
    seed: u64,
    next: Cell<u64>,
}

impl Pass {
    /// No dropout.
    pub(crate) fn inference() -> Self {
        Self::default()
    }

    /// Dropout with masks that are a function of the seed and the number of the micro-batch.
    pub(crate) fn training(rate: f32, seed: u64, micro_batch: u64) -> Self {
        let masks = Masks { rate, seed, next: Cell::new(micro_batch << 16) };
        Self { dropout: (rate > 0.0).then_some(masks), looked_up: Some(RefCell::default()) }
    }

    /// The embeddings of some ids as the graph sees them: in training they are where it begins.
    fn looked_up(&self, ids: &Tensor, rows: Tensor) -> Result<Tensor> {
        let Some(all) = &self.looked_up else { return Ok(rows) };
        let rows = Var::from_tensor(&rows)?;
        let tensor = rows.as_tensor().clone();
        all.borrow_mut().push(LookedUp { ids: ids.to_vec1()?, rows });
        Ok(tensor)
    }

    fn dropout(&self, x: Tensor) -> Result<Tensor> {
        match &self.dropout {
            None => Ok(x),
            Some(Masks { rate, seed, next }) => {
                let stream = next.replace(next.get() + 1);
                x.contiguous()?.apply_op1(Dropout { rate: *rate, seed: *seed, stream })
            }
        }
    }
}

/// A T5 network, or its encoder alone.
#[derive(Debug)]
pub(crate) struct T5 {
    config: NetworkConfig,
    embeddings: Tensor,
    encoder: Stack,
    decoder: Option<Decoder>,
}

#[derive(Debug)]
struct Decoder {
    stack: Stack,
    head: Tensor,
}

#[derive(Debug)]
struct Stack {
    positions: Positions,
    blocks: Vec<Block>,
    norm: Norm,
}

/// What the decoder looks up of the encoded inputs, computed once.
#[derive(Debug)]
pub(crate) struct Memory {
    /// Of each decoder block.
    keys_and_values: Vec<KeysAndValues>,
    lengths: Option<Arc<[usize]>>,
}

impl T5 {
    /// Builds the network from its tensors; without decoder tensors it is the encoder alone.
    pub(crate) fn new(config: &NetworkConfig, tensors: &Tensors) -> Result<Self> {
        // Detached: their gradients are not left to candle (see `backward`).
        let embeddings = take(tensors, "shared.weight")?.detach();
        let has_decoder = tensors.contains_key("decoder.final_layer_norm.weight");
        let decoder = if has_decoder {
            let head = tensors.get("lm_head.weight").unwrap_or(&embeddings).detach();
            Some(Decoder { stack: Stack::new(config, tensors, Part::Decoder)?, head })
        } else {
            None
        };
        let encoder = Stack::new(config, tensors, Part::Encoder)?;
        Ok(Self { config: config.clone(), embeddings, encoder, decoder })
    }

    pub(crate) fn config(&self) -> &NetworkConfig {
        &self.config
    }

    /// The encoder's last states: `[rows, length, d_model]`.
    pub(crate) fn encode(&self, batch: &Batch, pass: &Pass) -> Result<Tensor> {
        let bias = self.encoder.positions.bias(batch.length, batch.length)?;
        let mut x = pass.dropout(self.embed(&batch.ids, pass)?)?;
        for block in &self.encoder.blocks {
            x = block.forward(x, &bias, batch.lengths.as_ref(), None, pass)?;
        }
        pass.dropout(self.encoder.norm.forward(&x)?)
    }

    /// What the decoder needs of the encoder's states.
    pub(crate) fn memory(&self, states: &Tensor, inputs: &Batch) -> Result<Memory> {
        let blocks = &self.decoder()?.stack.blocks;
        let keys_and_values =
            blocks.iter().map(|block| block.remember(states)).collect::<Result<_>>()?;
        Ok(Memory { keys_and_values, lengths: inputs.lengths.clone() })
    }

    /// The decoder's last states for decoder inputs `[rows, length]`: `[rows, length, d_model]`.
    ///
    /// There may be several rows for each input of the memory, the same number for each: those of
    /// the first input, then those of the second. Padding must be at the end, where causal
    /// attention never looks.
    pub(crate) fn decode(&self, ids: &Tensor, memory: &Memory, pass: &Pass) -> Result<Tensor> {
        let stack = &self.decoder()?.stack;
        let (_, length) = ids.dims2()?;
        let bias = stack.positions.bias(length, length)?;
        let mut x = pass.dropout(self.embed(ids, pass)?)?;
        for (block, remembered) in stack.blocks.iter().zip(&memory.keys_and_values) {
            let cross = Some((remembered, memory.lengths.as_ref()));
            x = block.forward(x, &bias, None, cross, pass)?;
        }
        pass.dropout(stack.norm.forward(&x)?)
    }

    /// Logits over the vocabulary for decoder states of any shape `[.., d_model]`.
    pub(crate) fn logits(&self, states: &Tensor) -> Result<Tensor> {
        self.scaled(states)?.apply_op2(&self.decoder()?.head, Linear)
    }

    /// The decoder's states as the output layer takes them.
    fn scaled(&self, states: &Tensor) -> Result<Tensor> {
        if self.config.scale_logits {
            states * (self.config.d_model as f64).powf(-0.5)
        } else {
            Ok(states.clone())
        }
    }

    /// Targets shifted right by the start id, as the decoder reads them.
    pub(crate) fn decoder_inputs(&self, targets: &[&[u32]]) -> Result<Batch> {
        let shift = |target: &&[u32]| {
            let kept = target.len().saturating_sub(1);
            [&[self.config.decoder_start], &target[..kept]].concat()
        };
        let rows: Vec<Vec<u32>> = targets.iter().map(shift).collect();
        Batch::new(rows.iter().map(Vec::as_slice), self.config.pad)
    }

    fn embed(&self, ids: &Tensor, pass: &Pass) -> Result<Tensor> {
        let (rows, length) = ids.dims2()?;
        let ids = ids.flatten_all()?;
        let x = pass.looked_up(&ids, self.embeddings.index_select(&ids, 0)?)?;
        x.reshape((rows, length, self.config.d_model))
    }

    fn decoder(&self) -> Result<&Decoder> {
        match &self.decoder {
            Some(decoder) => Ok(decoder),
            None => bail!("the network was loaded without its decoder"),
        }
    }
}

impl Stack {
    fn new(config: &NetworkConfig, tensors: &Tensors, part: Part) -> Result<Self> {
        let prefix = part.prefix();
        let table =
            format!("{prefix}.block.0.layer.0.SelfAttention.relative_attention_bias.weight");
        let positions = Positions::new(config, take(tensors, &table)?, part == Part::Encoder);
        let blocks = (0..part.layers(config))
            .map(|n| Block::new(config, tensors, &format!("{prefix}.block.{n}"), part))
            .collect::<Result<_>>()?;
        let norm = Norm::new(config, tensors, &format!("{prefix}.final_layer_norm"))?;
        Ok(Self { positions, blocks, norm })
    }
}

/// The tensor of a name; loading has checked that all are there.
fn take(tensors: &Tensors, name: &str) -> Result<Tensor> {
    match tensors.get(name) {
        Some(tensor) => Ok(tensor.clone()),
        None => bail!("the network has no tensor `{name}`"),
    }
}
