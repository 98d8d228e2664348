//! Loss and gradients of a micro-batch.
//!
//! candle computes the gradients of all parameters but the two tables of the vocabulary's size,
//! the embeddings and the output layer: it would make arrays as large as the tables for every use
//! of them. Of the embeddings only the rows looked up have a gradient, and the output layer's is
//! made once for all micro-batches of a step ([`HeadRows`]).

use std::cell::RefCell;

use candle_core::backprop::GradStore;
use candle_core::{Device, Error, Result, Tensor, Var, bail};

use super::head::{HeadLoss, HeadRows};
use super::ops::Known;
use super::{Batch, Pass, T5};

/// Rows of the embeddings that a micro-batch has looked up.
#[derive(Debug, Clone)]
pub(crate) struct LookedUp {
    pub(crate) ids: Vec<u32>,
    /// `[ids, d_model]`: where the graph begins.
    pub(crate) rows: Var,
}

/// What a micro-batch adds to the gradients of the parameters.
#[derive(Debug)]
pub(crate) struct Gradients {
    store: GradStore,
    looked_up: Vec<LookedUp>,
    /// For the output layer.
    pub(crate) head: HeadRows,
}

impl Gradients {
    /// The gradient of a parameter that is no table of the vocabulary's size.
    pub(crate) fn take(&mut self, variable: &Var) -> Option<Tensor> {
        self.store.remove(variable.as_tensor())
    }

    /// Ids and gradients of the embeddings looked up, encoder before decoder: `[ids, d_model]`.
    pub(crate) fn embeddings(&self) -> Result<Vec<(&[u32], &Tensor)>> {
        let mut gradients = Vec::with_capacity(self.looked_up.len());
        for LookedUp { ids, rows } in &self.looked_up {
            match self.store.get(rows.as_tensor()) {
                Some(gradient) => gradients.push((ids.as_slice(), gradient)),
                None => bail!("the embeddings got no gradient"),
            }
        }
        Ok(gradients)
    }
}

impl T5 {
    /// Mean cross entropy of the targets, `</s>` included and padding not, and its gradients
    /// divided by `divisor`.
    ///
    /// The parameters' tensors must be variables, the pass one of training.
    pub(crate) fn gradients(
        &self,
        inputs: &Batch,
        targets: &[&[u32]],
        pass: Pass,
        divisor: usize,
    ) -> Result<(f64, Gradients)> {
        let states = self.encode(inputs, &pass)?;
        let memory = self.memory(&states, inputs)?;
        let shifted = self.decoder_inputs(targets)?;
        let states = self.decode(&shifted.ids, &memory, &pass)?;
        let states = self.scaled(&without_padding(&states, &shifted, targets)?)?;
        let labels = targets.concat();
        let factor = 1.0 / (labels.len() * divisor) as f32;
        let end = HeadLoss::new(&states.detach(), &self.decoder()?.head, labels, factor)?;
        #[expect(clippy::cast_possible_truncation, reason = "candle's graph is of f32")]
        let known = Known { value: end.loss as f32, gradient: end.gradient };
        let store = states.apply_op1(known)?.backward()?;
        let looked_up = pass.looked_up.map(RefCell::into_inner).unwrap_or_default();
        let loss = end.loss * divisor as f64;
        Ok((loss, Gradients { store, looked_up, head: end.rows }))
    }
}

/// The states of real targets, one after the other: `[tokens, d_model]`.
fn without_padding(states: &Tensor, batch: &Batch, targets: &[&[u32]]) -> Result<Tensor> {
    let states = states.flatten_to(1)?;
    if batch.lengths.is_none() {
        return states.contiguous();
    }
    let row = |(row, target): (usize, &&[u32])| {
        let start = row * batch.length;
        (start..start + target.len()).map(|at| u32::try_from(at).map_err(Error::wrap))
    };
    let rows: Vec<u32> = targets.iter().enumerate().flat_map(row).collect::<Result<_>>()?;
    let count = rows.len();
    states.index_select(&Tensor::from_vec(rows, count, &Device::Cpu)?, 0)
}
