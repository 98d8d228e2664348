//! Loss and gradients of a micro-batch.
//!
//! candle computes the gradients of all parameters but the two tables of the vocabulary's size,
//! the embeddings and the output layer: it would make arrays as large as the tables for every use
//! of them. Of the embeddings only the rows looked up have a gradient, and the output layer's is
//! made once for all micro-batches of a step ([`HeadRows`]).

use candle_core::backend::{BackendDevice, BackendStorage};
use candle_core::backprop::GradStore;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, Error, Layout, Result, Shape, Tensor, Var, bail,
};

use super::head::{HeadLoss, HeadRows};
use super::segments::{self, Forward};
use super::{Batch, Pass, T5};

/// Rows of the embeddings that a micro-batch has looked up.
#[derive(Debug, Clone)]
pub(crate) struct LookedUp {
    pub(crate) ids: Vec<u32>,
    /// `[ids, d_model]`: where the graph begins.
    pub(crate) rows: Var,
}

/// Ids with what their rows of a table get: `[ids, d_model]`.
pub(crate) type Rows = (Vec<u32>, Tensor);

/// What a micro-batch adds to the gradients of the parameters.
#[derive(Debug)]
pub(crate) struct Gradients {
    /// Of each segment that was gone back through.
    stores: Vec<GradStore>,
    looked_up: Vec<LookedUp>,
    /// For the output layer.
    head: HeadRows,
}

impl Gradients {
    /// The gradient of a parameter that is no table of the vocabulary's size.
    pub(crate) fn take(&mut self, variable: &Var) -> Result<Option<Tensor>> {
        let mut sum: Option<Tensor> = None;
        for store in &mut self.stores {
            segments::add(&mut sum, store.remove(variable.as_tensor()))?;
        }
        Ok(sum)
    }

    /// What is left for the two tables of the vocabulary's size, once all else was taken: of the
    /// embeddings looked up ids and gradients `[ids, d_model]`, in the order of that (the encoder's
    /// first, but the decoder's where segments are gone back through), and what the output layer's
    /// gradient is made of. Whatever candle has kept beside them goes.
    pub(crate) fn into_tables(self) -> Result<(Vec<Rows>, HeadRows)> {
        let Self { mut stores, looked_up, head } = self;
        let mut embeddings = Vec::with_capacity(looked_up.len());
        for LookedUp { ids, rows } in looked_up {
            match stores.iter_mut().find_map(|store| store.remove(rows.as_tensor())) {
                Some(gradient) => embeddings.push((ids, gradient)),
                None => bail!("the embeddings got no gradient"),
            }
        }
        Ok((embeddings, head))
    }
}

/// Examples that go through the network at once, and how.
#[derive(Debug)]
pub(crate) struct Work<'a> {
    pub(crate) inputs: &'a Batch,
    pub(crate) targets: &'a [&'a [u32]],
    /// One of training.
    pub(crate) pass: Pass<'a>,
    /// What the gradients are divided by.
    pub(crate) divisor: usize,
}

impl T5 {
    /// Mean cross entropy of the targets, `</s>` included and padding not, and its gradients
    /// divided by the divisor. The parameters' tensors must be variables.
    pub(crate) fn gradients(&self, work: Work<'_>) -> Result<(f64, Gradients)> {
        let Work { inputs, targets, pass, divisor } = work;
        let (states, shifted) = self.target_states(inputs, targets, &pass)?;
        let (end, store) = self.end(&states, &shifted, targets, divisor)?;
        Ok((end.loss * divisor as f64, Gradients::new(vec![store], pass, end.rows)))
    }

    /// The same with memory for the activations of one block: see [`super::segments`]. `plain` is this
    /// network without variables.
    pub(crate) fn gradients_by_segments(
        &self,
        plain: &Self,
        work: Work<'_>,
    ) -> Result<(f64, Gradients)> {
        let Work { inputs, targets, pass, divisor } = work;
        let encoder = Forward::encoder(plain, inputs, &pass)?;
        let shifted = self.decoder_inputs(targets)?;
        let decoder = Forward::decoder(plain, &shifted.ids, &encoder, &pass)?;
        let states = Var::from_tensor(&decoder.states)?;
        let (end, mut store) = self.end(states.as_tensor(), &shifted, targets, divisor)?;
        let Some(gradient) = store.remove(states.as_tensor()) else {
            bail!("the decoder's states got no gradient")
        };
        let (mut stores, stack) = (Vec::new(), &self.decoder()?.stack);
        let Some(gradient) = decoder.back(self, stack, gradient, &pass, &mut stores)? else {
            bail!("the encoder's states got no gradient")
        };
        encoder.back(self, &self.encoder, gradient, &pass, &mut stores)?;
        Ok((end.loss * divisor as f64, Gradients::new(stores, pass, end.rows)))
    }

    /// The decoder's last states for the targets, and these as the decoder reads them.
    fn target_states(
        &self,
        inputs: &Batch,
        targets: &[&[u32]],
        pass: &Pass<'_>,
    ) -> Result<(Tensor, Batch)> {
        let memory = self.memory(&self.encode(inputs, pass)?, inputs, pass)?;
        let shifted = self.decoder_inputs(targets)?;
        Ok((self.decode(&shifted.ids, &memory, pass)?, shifted))
    }

    /// The loss from the decoder's states, and the gradients up to where these come from.
    fn end(
        &self,
        states: &Tensor,
        shifted: &Batch,
        targets: &[&[u32]],
        divisor: usize,
    ) -> Result<(HeadLoss, GradStore)> {
        let states = self.scaled(&without_padding(states, shifted, targets)?)?;
        let labels = targets.concat();
        let factor = 1.0 / (labels.len() * divisor) as f32;
        let end = HeadLoss::new(&states.detach(), &self.decoder()?.head, labels, factor)?;
        let store = known(&states, end.gradient.clone())?.backward()?;
        Ok((end, store))
    }

    /// Mean cross entropy of the targets' tokens, and how many there are.
    pub(crate) fn loss(&self, inputs: &Batch, targets: &[&[u32]]) -> Result<(f64, usize)> {
        let (states, shifted) = self.target_states(inputs, targets, &Pass::inference())?;
        let states = self.scaled(&without_padding(&states, &shifted, targets)?)?;
        let (labels, head) = (targets.concat(), &self.decoder()?.head);
        let (tokens, factor) = (labels.len(), 1.0 / labels.len() as f32);
        Ok((HeadLoss::new(&states, head, labels, factor)?.loss, tokens))
    }
}

impl Gradients {
    fn new(stores: Vec<GradStore>, pass: Pass<'_>, head: HeadRows) -> Self {
        Self { stores, looked_up: pass.into_looked_up(), head }
    }
}

/// A scalar whose gradient by `x` is known beforehand: the end of a graph that is computed elsewhere.
/// Its own value means nothing.
pub(super) fn known(x: &Tensor, gradient: Tensor) -> Result<Tensor> {
    x.apply_op1(Known { gradient })
}

/// See [`known`]. The sum of `x · gradient` has the same gradient, but candle would make that of
/// `gradient`, too, and keep it.
#[derive(Debug)]
struct Known {
    /// In the shape and the numbers of the argument.
    gradient: Tensor,
}

impl CustomOp1 for Known {
    fn name(&self) -> &'static str {
        "t5-known"
    }

    fn cpu_fwd(&self, x: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        scalar(x)
    }

    fn cuda_fwd(&self, x: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        scalar(x)
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(self.gradient.clone()))
    }
}

/// A zero on the device and in the numbers of `x`.
fn scalar<S>(x: &S) -> Result<(S, Shape)>
where
    S: BackendStorage,
    S::Device: BackendDevice<Storage = S>,
{
    let shape = Shape::from(());
    Ok((x.device().zeros_impl(&shape, x.dtype())?, shape))
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
    states.index_select(&Tensor::from_vec(rows, count, states.device())?, 0)
}
