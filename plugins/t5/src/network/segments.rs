//! Gradient checkpointing: the way forward keeps what each block started from, and the way back
//! computes one block after the other again.
//!
//! Two networks share their values: one whose tensors are variables, and a plain one for the way
//! forward, with which candle keeps no graph. Masks of dropout are drawn by number, so that what is
//! computed again drops the same again.

use std::sync::Arc;

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor, Var, bail};

use super::backward::known;
use super::layers::{Bias, Sees};
use super::pass::MaskNumbers;
use super::{Batch, Lengths, Pass, Stack, T5};

/// A way forward through one stack.
pub(super) struct Forward<'a> {
    ids: &'a Tensor,
    lengths: Option<&'a Arc<Lengths>>,
    /// The encoder's states with the real keys of them, for a decoder.
    looks_up: Option<(Tensor, Option<&'a Arc<Lengths>>)>,
    bias: Tensor,
    /// What the embeddings' dropout, each block and the last norm started from.
    starts: Vec<Start>,
    /// The last states: `[rows, length, d_model]`.
    pub(super) states: Tensor,
}

/// What a segment started from.
struct Start {
    x: Tensor,
    mask: MaskNumbers,
}

/// What goes on back from a block.
struct BlockGradients {
    /// Of the block's input.
    x: Tensor,
    /// Of the bias by position, where its table is trained.
    bias: Option<Tensor>,
    /// Of the states that a decoder's block looks up.
    looked_up: Option<Tensor>,
}

impl<'a> Forward<'a> {
    /// Through the plain encoder.
    pub(super) fn encoder(plain: &T5, inputs: &'a Batch, pass: &Pass<'_>) -> Result<Self> {
        let lengths = inputs.lengths.as_ref();
        Self::through(plain, &plain.encoder, &inputs.ids, lengths, None, pass)
    }

    /// Through the plain decoder, which looks up the states of `encoder`.
    pub(super) fn decoder(
        plain: &T5,
        ids: &'a Tensor,
        encoder: &Forward<'a>,
        pass: &Pass<'_>,
    ) -> Result<Self> {
        let looks_up = Some((encoder.states.clone(), encoder.lengths));
        Self::through(plain, &plain.decoder()?.stack, ids, None, looks_up, pass)
    }

    fn through(
        plain: &T5,
        stack: &Stack,
        ids: &'a Tensor,
        lengths: Option<&'a Arc<Lengths>>,
        looks_up: Option<(Tensor, Option<&'a Arc<Lengths>>)>,
        pass: &Pass<'_>,
    ) -> Result<Self> {
        let (_, length) = ids.dims2()?;
        let bias = stack.positions.bias(length, length)?;
        let mut starts = Vec::with_capacity(stack.blocks.len() + 2);
        let mut start = |x: &Tensor| starts.push(Start { x: x.clone(), mask: pass.mask() });
        let embedded = plain.look_up(ids)?;
        start(&embedded);
        let mut x = pass.dropout(embedded)?;
        for n in 0..stack.blocks.len() {
            start(&x);
            let states = looks_up.as_ref().map(|(states, lengths)| (states, *lengths));
            x = stack.block(n, x, &bias, lengths, states, pass)?;
        }
        start(&x);
        let states = pass.dropout(stack.norm.forward(&x)?)?;
        Ok(Self { ids, lengths, looks_up, bias, starts, states })
    }

    /// The way back, from the gradient of the last states. Adds what the parameters get to `stores`
    /// and returns the gradient of the states that were looked up.
    pub(super) fn back(
        mut self,
        network: &T5,
        stack: &Stack,
        gradient: Tensor,
        pass: &Pass<'_>,
        stores: &mut Vec<GradStore>,
    ) -> Result<Option<Tensor>> {
        let (mut of_bias, mut of_looked_up) = (None, None);
        let mut starts = std::mem::take(&mut self.starts).into_iter();
        let (Some(first), Some(last)) = (starts.next(), starts.next_back()) else {
            bail!("a way back without a way forward")
        };
        let x = last.begin(pass)?;
        let y = pass.dropout(stack.norm.forward(x.as_tensor())?)?;
        let mut gradient = segment(&y, gradient, &x, stores)?;
        for (n, start) in starts.enumerate().rev() {
            let back = self.block_back(stack, (n, &start), gradient, pass, stores)?;
            gradient = back.x;
            add(&mut of_bias, back.bias)?;
            add(&mut of_looked_up, back.looked_up)?;
        }
        if let Some(gradient) = of_bias {
            let (_, length) = self.ids.dims2()?;
            let bias = stack.positions.bias(length, length)?;
            stores.push(known(&bias, gradient)?.backward()?);
        }
        if pass.trains_embeddings() {
            pass.go_on_with(first.mask);
            let y = pass.dropout(network.embed(self.ids, pass)?)?;
            stores.push(known(&y, gradient)?.backward()?);
        }
        Ok(of_looked_up)
    }

    /// The way back through a block of this number, computed again from its start.
    fn block_back(
        &self,
        stack: &Stack,
        (n, start): (usize, &Start),
        gradient: Tensor,
        pass: &Pass<'_>,
        stores: &mut Vec<GradStore>,
    ) -> Result<BlockGradients> {
        let (x, bias) = (start.begin(pass)?, stack.positions.begin(&self.bias)?);
        let (looked_up, lengths) = match &self.looks_up {
            Some((states, lengths)) => (Some(Var::from_tensor(states)?), *lengths),
            None => (None, None),
        };
        let states = looked_up.as_ref().map(|states| (states.as_tensor(), lengths));
        let y = stack.block(n, x.as_tensor().clone(), &bias, self.lengths, states, pass)?;
        let of_x = segment(&y, gradient, &x, stores)?;
        let Some(store) = stores.last_mut() else { bail!("a segment without gradients") };
        Ok(BlockGradients {
            x: of_x,
            bias: store.remove(&bias),
            looked_up: looked_up.and_then(|states| store.remove(states.as_tensor())),
        })
    }
}

impl Start {
    /// The segment's input as a variable, with the masks that it had.
    fn begin(&self, pass: &Pass<'_>) -> Result<Var> {
        pass.go_on_with(self.mask);
        Var::from_tensor(&self.x)
    }
}

/// Goes back through a segment that was computed again from `x`; returns the gradient of `x`.
fn segment(y: &Tensor, gradient: Tensor, x: &Var, stores: &mut Vec<GradStore>) -> Result<Tensor> {
    let mut store = known(y, gradient)?.backward()?;
    let Some(gradient) = store.remove(x.as_tensor()) else {
        bail!("a segment's input got no gradient")
    };
    stores.push(store);
    Ok(gradient)
}

/// Adds a gradient, if there is one.
pub(super) fn add(sum: &mut Option<Tensor>, next: Option<Tensor>) -> Result<()> {
    *sum = match (sum.take(), next) {
        (Some(sum), Some(next)) => Some((sum + next)?),
        (sum, next) => sum.or(next),
    };
    Ok(())
}

impl Stack {
    /// One block; a decoder's looks up the encoder's states.
    fn block(
        &self,
        n: usize,
        x: Tensor,
        bias: &Tensor,
        lengths: Option<&Arc<Lengths>>,
        states: Option<(&Tensor, Option<&Arc<Lengths>>)>,
        pass: &Pass<'_>,
    ) -> Result<Tensor> {
        let block = &self.blocks[n];
        let remembered = states.map(|(states, _)| block.remember(states, pass)).transpose()?;
        let cross = remembered.as_ref().zip(states).map(|(kv, (_, lengths))| (kv, lengths));
        block.forward(x, Bias::Whole(bias), Sees { lengths, before: None, cross }, pass)
    }
}
