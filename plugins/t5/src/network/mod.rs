//! T5 on candle: encoder, decoder and loss.
//!
//! The same code serves inference and training: with ordinary tensors candle keeps no graph, with
//! trainable variables it does. Batches are padded; a padded key gets no attention, and what stands
//! at padded positions of the result means nothing.

mod attention;
mod backward;
mod config;
pub(crate) mod dropout;
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

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Device, Result, Tensor, bail};

use layers::{Before, Bias, Block, Norm, ROWS, Sees};
use ops::Linear;
use position::Positions;
use projection::Adapting;

pub(crate) use backward::{Gradients, LookedUp, Work};
pub(crate) use config::{Head, NetworkConfig};
pub(crate) use layers::KeysAndValues;
pub(crate) use parameters::{Initial, Parameter, Part, parameters};
pub(crate) use pass::Pass;

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

/// The decoder's positions so far, in generation.
#[derive(Debug)]
pub(crate) struct Generated {
    /// Of each decoder block.
    before: Vec<Before>,
    length: usize,
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

    pub(crate) fn config(&self) -> &NetworkConfig {
        &self.config
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

    /// Generation that has not begun.
    pub(crate) fn begin(&self) -> Result<Generated> {
        let blocks = &self.decoder()?.stack.blocks;
        let before = blocks.iter().map(|_| Before::default()).collect();
        Ok(Generated { before, length: 0 })
    }

    /// The decoder's last states for the next id of each row: `[rows, d_model]`.
    ///
    /// There may be several rows for each input of the memory, as in [`T5::decode`].
    pub(crate) fn decode_next(
        &self,
        ids: &[u32],
        memory: &Memory,
        generated: &mut Generated,
        pass: &Pass<'_>,
    ) -> Result<Tensor> {
        let stack = &self.decoder()?.stack;
        generated.length += 1;
        let bias = stack.positions.bias_from(generated.length - 1, 1, generated.length)?;
        let ids = Tensor::from_slice(ids, (ids.len(), 1), &Device::Cpu)?;
        let mut x = self.embed(&ids, pass)?;
        let remembered = memory.keys_and_values.iter().zip(&generated.before);
        for (block, (remembered, before)) in stack.blocks.iter().zip(remembered) {
            let cross = Some((remembered, memory.lengths.as_ref()));
            let sees = Sees { before: Some(before), cross, lengths: None };
            x = block.forward(x, Bias::Whole(&bias), sees, pass)?;
        }
        stack.norm.forward(&x)?.squeeze(1)
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

    fn embed(&self, ids: &Tensor, pass: &Pass<'_>) -> Result<Tensor> {
        let (rows, length) = ids.dims2()?;
        let x = pass.looked_up(&ids.flatten_all()?, self.look_up(ids)?.flatten_to(1)?)?;
        x.reshape((rows, length, self.config.d_model))
    }

    /// The embeddings of ids `[rows, length]`: `[rows, length, d_model]`.
    fn look_up(&self, ids: &Tensor) -> Result<Tensor> {
        let (rows, length) = ids.dims2()?;
        let found = self.embeddings.index_select(&ids.flatten_all()?, 0)?;
        found.reshape((rows, length, self.config.d_model))
    }

    fn decoder(&self) -> Result<&Decoder> {
        match &self.decoder {
            Some(decoder) => Ok(decoder),
            None => bail!("the network was loaded without its decoder"),
        }
    }
}

impl Generated {
    /// Keeps these rows, in this order.
    pub(crate) fn keep(&self, rows: &[u32]) -> Result<()> {
        let rows = Tensor::from_slice(rows, rows.len(), &Device::Cpu)?;
        self.before.iter().try_for_each(|before| before.keep(&rows))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Model, WHOLE, Weights};
    use crate::testing::{context, model_dir};
    use serde_json::json;

    #[test]
    fn queries_in_rows_give_the_states_of_all_at_once() {
        let dir = model_dir(&json!({}));
        let weights = Weights::Random(3);
        let model = Model::open_dir(&context(1), dir.path(), None, weights).expect("a model");
        let tensors = model.tensors(&context(1), &WHOLE).expect("weights");
        let network = model.network(&tensors).expect("a network");
        let ids = |count: u32| (0..count).map(|n| 2 + n * 7 % 38).collect::<Vec<u32>>();
        // Three runs of `ROWS` queries, the last one short.
        let rows = [ids(2148), ids(1300)];
        let batch = Batch::new(rows.iter().map(Vec::as_slice), 0).expect("a batch");
        let in_rows = network.encode(&batch, &Pass::inference()).expect("states");
        // Training computes all at once.
        let pass = Pass::training(0.0, 0, 0).with_frozen_embeddings();
        let whole = network.encode(&batch, &pass).expect("states");
        let values = |states: &Tensor| states.to_vec3::<f32>().expect("values");
        let (in_rows, whole) = (values(&in_rows), values(&whole));
        for (row, ids) in rows.iter().enumerate() {
            for (found, wanted) in in_rows[row].iter().zip(&whole[row]).take(ids.len()) {
                assert!(found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-4));
            }
        }
    }
}
