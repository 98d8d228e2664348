//! T5 on candle: encoder, decoder and loss.
//!
//! The same code serves inference and training: with ordinary tensors candle keeps no graph, with
//! trainable variables it does. Batches are padded; a padded key gets no attention, and what stands
//! at padded positions of the result means nothing.

mod attention;
mod backward;
mod batch;
mod config;
pub(crate) mod dropout;
mod feed_forward;
mod generation;
pub(crate) mod head;
pub(crate) mod kernels;
mod layers;
pub(crate) mod ops;
mod parameters;
mod pass;
mod position;
pub(crate) mod projection;
mod row;
mod segments;
mod sizes;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{D, DType, Device, Result, Tensor, bail};
use deft_neural::Values;

use crate::gpu_kernels;
use feed_forward::Norm;
use layers::{Bias, Block, ROWS, Sees};
use ops::{Linear, apply2};
use position::Positions;
use projection::Adapting;

pub(crate) use backward::{Gradients, LookedUp, Work};
pub(crate) use batch::{Batch, Lengths};
pub(crate) use config::{Head, NetworkConfig};
pub(crate) use generation::Generated;
pub(crate) use layers::KeysAndValues;
pub(crate) use parameters::{Initial, Parameter, Part, parameters};
pub(crate) use pass::Pass;

/// Tensors by their Hugging Face names.
pub(crate) type Tensors = BTreeMap<String, Tensor>;

/// A T5 network, or its encoder alone.
#[derive(Debug, Clone)]
pub(crate) struct T5 {
    config: NetworkConfig,
    embeddings: Tensor,
    encoder: Stack,
    decoder: Option<Decoder>,
}

#[derive(Debug, Clone)]
struct Decoder {
    stack: Stack,
    head: Tensor,
}

#[derive(Debug, Clone)]
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
    lengths: Option<Arc<Lengths>>,
}

/// What lengths should be a multiple of, in main memory with f32 or elsewhere: a GPU's tensor cores
/// take rows of 16 bytes.
pub(crate) fn multiple(is_host: bool) -> usize {
    if is_host { 1 } else { 8 }
}

impl T5 {
    /// Builds the network from its tensors; without decoder tensors it is the encoder alone.
    pub(crate) fn new(config: &NetworkConfig, tensors: &Tensors) -> Result<Self> {
        Self::adapted(config, tensors, Adapting::default())
    }

    /// The same with the tensors of adapters among the others, under the names of [`projection`].
    pub(crate) fn adapted(
        config: &NetworkConfig,
        tensors: &Tensors,
        adapting: Adapting,
    ) -> Result<Self> {
        // Detached: their gradients are not left to candle (see `backward`).
        let embeddings = take(tensors, "shared.weight")?.detach();
        let has_decoder = tensors.contains_key("decoder.final_layer_norm.weight");
        let decoder = if has_decoder {
            let head = tensors.get("lm_head.weight").unwrap_or(&embeddings).detach();
            let stack = Stack::new(config, tensors, adapting, Part::Decoder)?;
            Some(Decoder { stack, head })
        } else {
            None
        };
        let encoder = Stack::new(config, tensors, adapting, Part::Encoder)?;
        Ok(Self { config: config.clone(), embeddings, encoder, decoder })
    }

    /// The same for weights that do not change any more: what follows from them alone is kept.
    pub(crate) fn remembering(mut self) -> Self {
        self.encoder.positions = self.encoder.positions.remembering();
        if let Some(decoder) = self.decoder.take() {
            let positions = decoder.stack.positions.remembering();
            let stack = Stack { positions, ..decoder.stack };
            self.decoder = Some(Decoder { stack, ..decoder });
        }
        self
    }

    pub(crate) fn config(&self) -> &NetworkConfig {
        &self.config
    }

    /// What the length of a batch should be a multiple of.
    pub(crate) fn multiple(&self) -> usize {
        multiple(ops::is_host(&self.embeddings))
    }

    /// Where it computes.
    pub(crate) fn device(&self) -> &Device {
        self.embeddings.device()
    }

    /// The encoder's last states: `[rows, length, d_model]`.
    pub(crate) fn encode(&self, batch: &Batch, pass: &Pass<'_>) -> Result<Tensor> {
        let positions = &self.encoder.positions;
        let whole = (batch.length <= ROWS || !pass.is_inference())
            .then(|| positions.bias(batch.length, batch.length))
            .transpose()?;
        let bias = whole.as_ref().map_or(Bias::Rows(positions), Bias::Whole);
        let mut x = pass.dropout(self.embed(&batch.ids, pass)?)?;
        let sees = Sees { lengths: batch.lengths.as_ref(), ..Sees::default() };
        for block in &self.encoder.blocks {
            x = block.forward(x, bias, sees, pass)?;
        }
        pass.dropout(self.encoder.norm.forward(&x)?)
    }

    /// What the decoder needs of the encoder's states.
    pub(crate) fn memory(
        &self,
        states: &Tensor,
        inputs: &Batch,
        pass: &Pass<'_>,
    ) -> Result<Memory> {
        let blocks = &self.decoder()?.stack.blocks;
        let remember = |block: &Block| block.remember(states, pass);
        let keys_and_values = blocks.iter().map(remember).collect::<Result<_>>()?;
        Ok(Memory { keys_and_values, lengths: inputs.lengths.clone() })
    }

    /// The decoder's last states for decoder inputs `[rows, length]`: `[rows, length, d_model]`.
    ///
    /// There may be several rows for each input of the memory, the same number for each: those of
    /// the first input, then those of the second. Padding must be at the end, where causal
    /// attention never looks.
    pub(crate) fn decode(&self, ids: &Tensor, memory: &Memory, pass: &Pass<'_>) -> Result<Tensor> {
        let stack = &self.decoder()?.stack;
        let (_, length) = ids.dims2()?;
        let bias = stack.positions.bias(length, length)?;
        let mut x = pass.dropout(self.embed(ids, pass)?)?;
        for (block, remembered) in stack.blocks.iter().zip(&memory.keys_and_values) {
            let cross = Some((remembered, memory.lengths.as_ref()));
            x = block.forward(x, Bias::Whole(&bias), Sees { cross, ..Sees::default() }, pass)?;
        }
        pass.dropout(stack.norm.forward(&x)?)
    }

    /// Logits over the vocabulary for decoder states of any shape `[.., d_model]`: f32 in main memory.
    pub(crate) fn logits(&self, states: &Tensor) -> Result<Tensor> {
        ops::to_host(&self.head(states)?)
    }

    /// The likeliest id after each of the decoder's states `[states, d_model]`, the first of equal
    /// ones; `None` where a logit is not finite.
    pub(crate) fn likeliest(&self, states: &Tensor) -> Result<Vec<Option<u32>>> {
        let logits = self.head(states)?;
        if gpu_kernels::are_for(&logits) {
            return gpu_kernels::largest(&logits);
        }
        let logits = ops::to_host(&logits)?;
        let values = Values::of(&logits);
        let rows = values.get()?.chunks_exact(self.config.vocabulary);
        Ok(rows.map(kernels::largest).collect())
    }

    /// The log-probabilities of the `wanted` ids, one for each of the decoder's states
    /// `[states, d_model]`.
    pub(crate) fn log_probs(&self, states: &Tensor, wanted: &[u32]) -> Result<Vec<f32>> {
        let logits = self.head(states)?;
        if ops::is_host(&logits) {
            let (values, width) = (Values::of(&logits), self.config.vocabulary);
            let values = values.get()?;
            let sums = kernels::log_sum_exp_rows(values, width);
            let rows = values.chunks_exact(width).zip(wanted).zip(sums);
            return Ok(rows.map(|((row, &id), sum)| row[id as usize] - sum).collect());
        }
        let logits = ops::wide(&logits)?;
        let ids = Tensor::from_slice(wanted, (wanted.len(), 1), logits.device())?;
        let sums = logits.log_sum_exp(D::Minus1)?;
        let found = (logits.gather(&ids, D::Minus1)?.squeeze(D::Minus1)? - sums)?;
        found.to_dtype(DType::F32)?.to_vec1()
    }

    /// The logits of decoder states, where these are.
    fn head(&self, states: &Tensor) -> Result<Tensor> {
        apply2(&self.scaled(states)?, &self.decoder()?.head, Linear)
    }

    /// The decoder's states as the output layer takes them.
    fn scaled(&self, states: &Tensor) -> Result<Tensor> {
        if !self.config.scale_logits {
            return Ok(states.clone());
        }
        // The factor itself is of more bits than a number may have.
        let scaled = (ops::wide(states)? * (self.config.d_model as f64).powf(-0.5))?;
        scaled.to_dtype(states.dtype())
    }

    /// Targets shifted right by the start id, as the decoder reads them.
    pub(crate) fn decoder_inputs(&self, targets: &[&[u32]]) -> Result<Batch> {
        let shift = |target: &&[u32]| {
            let kept = target.len().saturating_sub(1);
            [&[self.config.decoder_start], &target[..kept]].concat()
        };
        let rows: Vec<Vec<u32>> = targets.iter().map(shift).collect();
        Batch::padded(rows.iter().map(Vec::as_slice), self.config.pad, self.multiple())
    }

    fn embed(&self, ids: &Tensor, pass: &Pass<'_>) -> Result<Tensor> {
        let (rows, length) = ids.dims2()?;
        let x = pass.looked_up(&ids.flatten_all()?, self.look_up(ids)?.flatten_to(1)?)?;
        x.reshape((rows, length, self.config.d_model))
    }

    /// The embeddings of ids `[rows, length]`: `[rows, length, d_model]`.
    fn look_up(&self, ids: &Tensor) -> Result<Tensor> {
        let (rows, length) = ids.dims2()?;
        let ids = ids.flatten_all()?.to_device(self.device())?;
        let found = self.embeddings.index_select(&ids, 0)?;
        found.reshape((rows, length, self.config.d_model))
    }

    fn decoder(&self) -> Result<&Decoder> {
        match &self.decoder {
            Some(decoder) => Ok(decoder),
            None => bail!("the network was loaded without its decoder"),
        }
    }
}

impl Stack {
    fn new(
        config: &NetworkConfig,
        tensors: &Tensors,
        adapting: Adapting,
        part: Part,
    ) -> Result<Self> {
        let prefix = part.prefix();
        let table =
            format!("{prefix}.block.0.layer.0.SelfAttention.relative_attention_bias.weight");
        let positions = Positions::new(config, take(tensors, &table)?, part == Part::Encoder);
        let blocks = (0..part.layers(config))
            .map(|n| Block::new(config, tensors, adapting, &format!("{prefix}.block.{n}"), part))
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
