//! The parts of a T5 block.

use std::cell::RefCell;
use std::sync::Arc;

use candle_core::{Result, Tensor, bail};

use super::attention::Attend;
use super::config::NetworkConfig;
use super::feed_forward::{FeedForward, Norm};
use super::ops::{Add, apply1, apply2, is_host, product, swap_middle};
use super::parameters::Part;
use super::position::Positions;
use super::projection::{Adapting, Projection};
use super::{Lengths, Pass, Tensors};
use crate::device::{MOST_IN_TENSOR, too_many_numbers};

/// Self-attention, in the decoder cross-attention, and a feed-forward, each as `x + f(norm(x))`.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    self_attention: Attention,
    cross_attention: Option<Attention>,
    feed_forward: FeedForward,
    norms: Vec<Norm>,
    is_decoder: bool,
}

/// Keys `[inputs, heads, length, d_kv]` and values of the same shape.
#[derive(Debug, Clone)]
pub(crate) struct KeysAndValues {
    keys: Tensor,
    values: Tensor,
}

/// The keys and values of all positions so far, in generation.
#[derive(Debug, Default)]
pub(crate) struct Before(RefCell<Option<KeysAndValues>>);

/// Queries of a long text that look at its keys at once: all scores would take memory by the square
/// of the length.
pub(super) const ROWS: usize = 1024;

/// The bias by position of self-attention.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bias<'a> {
    /// Of all queries: `[heads, queries, keys]`.
    Whole(&'a Tensor),
    /// Made for [`ROWS`] queries at a time.
    Rows(&'a Positions),
}

/// What a block's attention looks at.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sees<'a> {
    /// The real keys of self-attention; `None` when all are.
    pub(super) lengths: Option<&'a Arc<Lengths>>,
    /// The positions before these, which are added to them.
    pub(super) before: Option<&'a Before>,
    /// What a decoder block looks up, and the real keys of it.
    pub(super) cross: Option<(&'a KeysAndValues, Option<&'a Arc<Lengths>>)>,
}

impl Before {
    /// Puts the next positions behind those so far and returns all.
    fn append(&self, next: &KeysAndValues) -> Result<KeysAndValues> {
        let mut all = self.0.borrow_mut();
        let (keys, values) = (next.keys.contiguous()?, next.values.contiguous()?);
        let joined = match all.take() {
            None => KeysAndValues { keys, values },
            Some(before) => KeysAndValues {
                keys: Tensor::cat(&[&before.keys, &keys], 2)?,
                values: Tensor::cat(&[&before.values, &values], 2)?,
            },
        };
        *all = Some(joined.clone());
        Ok(joined)
    }

    /// Keeps these rows, in this order, of those so far.
    pub(super) fn keep(&self, rows: &[u32]) -> Result<()> {
        let mut all = self.0.borrow_mut();
        if let Some(before) = all.as_mut() {
            let rows = Tensor::from_slice(rows, rows.len(), before.keys.device())?;
            before.keys = before.keys.index_select(&rows, 0)?;
            before.values = before.values.index_select(&rows, 0)?;
        }
        Ok(())
    }
}

impl Block {
    pub(super) fn new(
        config: &NetworkConfig,
        tensors: &Tensors,
        adapting: Adapting,
        prefix: &str,
        part: Part,
    ) -> Result<Self> {
        let attention =
            |name: &str| Attention::new(config, tensors, adapting, &format!("{prefix}.{name}"));
        let is_decoder = part == Part::Decoder;
        let last = if is_decoder { 2 } else { 1 };
        Ok(Self {
            self_attention: attention("layer.0.SelfAttention")?,
            cross_attention: is_decoder
                .then(|| attention("layer.1.EncDecAttention"))
                .transpose()?,
            feed_forward: FeedForward::new(
                config,
                tensors,
                adapting,
                &format!("{prefix}.layer.{last}.DenseReluDense"),
            )?,
            norms: (0..=last)
                .map(|n| Norm::new(config, tensors, &format!("{prefix}.layer.{n}.layer_norm")))
                .collect::<Result<_>>()?,
            is_decoder,
        })
    }

    pub(super) fn forward(
        &self,
        x: Tensor,
        bias: Bias<'_>,
        sees: Sees<'_>,
        pass: &Pass<'_>,
    ) -> Result<Tensor> {
        pass.check()?;
        let mut norms = self.norms.iter();
        let mut residual = |x: Tensor, f: &dyn Fn(&Tensor) -> Result<Tensor>| match norms.next() {
            Some(norm) => apply2(&x, &pass.dropout(f(&norm.forward(&x)?)?)?, Add),
            None => bail!("a block with fewer norms than parts"),
        };
        let mut x = residual(x, &|x| {
            let own = self.self_attention.keys_and_values(x, pass)?;
            let own = match sees.before {
                Some(before) => before.append(&own)?,
                None => own,
            };
            let attend = Attend { lengths: sees.lengths.cloned(), causal: self.is_decoder };
            self.self_attention.forward(x, &own, Some(bias), attend, pass)
        })?;
        if let (Some(attention), Some((remembered, lengths))) = (&self.cross_attention, sees.cross)
        {
            x = residual(x, &|x| {
                let attend = Attend { lengths: lengths.cloned(), causal: false };
                attention.forward(x, remembered, None, attend, pass)
            })?;
        }
        residual(x, &|x| self.feed_forward.forward(x, pass))
    }

    /// Keys and values of cross-attention for the encoder's states.
    pub(super) fn remember(&self, states: &Tensor, pass: &Pass<'_>) -> Result<KeysAndValues> {
        pass.check()?;
        match &self.cross_attention {
            Some(attention) => pass.for_memory(|| attention.keys_and_values(states, pass)),
            None => bail!("an encoder block has no cross-attention"),
        }
    }
}

/// Attention with several heads. T5 does not scale the scores: its initialisation does.
#[derive(Debug, Clone)]
struct Attention {
    query: Projection,
    key: Projection,
    value: Projection,
    output: Projection,
    heads: usize,
    d_kv: usize,
}

impl Attention {
    fn new(
        config: &NetworkConfig,
        tensors: &Tensors,
        adapting: Adapting,
        prefix: &str,
    ) -> Result<Self> {
        let layer = |name: &str| Projection::new(tensors, &format!("{prefix}.{name}"), adapting);
        Ok(Self {
            query: layer("q")?,
            key: layer("k")?,
            value: layer("v")?,
            output: layer("o")?,
            heads: config.heads,
            d_kv: config.d_kv,
        })
    }

    fn keys_and_values(&self, x: &Tensor, pass: &Pass<'_>) -> Result<KeysAndValues> {
        let inputs = x.dim(0)?;
        Ok(KeysAndValues {
            keys: self.split(&self.key.forward(x, pass)?, inputs)?,
            values: self.split(&self.value.forward(x, pass)?, inputs)?,
        })
    }

    fn forward(
        &self,
        x: &Tensor,
        memory: &KeysAndValues,
        bias: Option<Bias<'_>>,
        attend: Attend,
        pass: &Pass<'_>,
    ) -> Result<Tensor> {
        let (rows, length, _) = x.dims3()?;
        let inputs = memory.keys.dim(0)?;
        let queries = self.split(&self.query.forward(x, pass)?, inputs)?;
        let mixed = match bias {
            Some(Bias::Rows(positions)) => mix_by_rows(&queries, memory, positions, &attend, pass)?,
            Some(Bias::Whole(bias)) => mix(&queries, memory, Some(bias), attend, pass)?,
            None => mix(&queries, memory, None, attend, pass)?,
        };
        let mixed = swap_middle(&mixed)?.reshape((rows, length, self.heads * self.d_kv))?;
        self.output.forward(&mixed, pass)
    }

    /// `[rows, length, heads · d_kv]` → `[inputs, heads, rows / inputs · length, d_kv]`: the rows
    /// that belong to one input stand behind each other and share its keys.
    fn split(&self, x: &Tensor, inputs: usize) -> Result<Tensor> {
        let x = swap_middle(&x.reshape((inputs, (), self.heads, self.d_kv))?)?;
        // A matrix product takes one batch stride: with one input the heads' is enough.
        if inputs == 1 && is_host(&x) { Ok(x) } else { x.contiguous() }
    }
}

/// The values, mixed for each query by its probabilities.
fn mix(
    queries: &Tensor,
    memory: &KeysAndValues,
    bias: Option<&Tensor>,
    attend: Attend,
    pass: &Pass<'_>,
) -> Result<Tensor> {
    check_size(queries, memory)?;
    let scores = product(queries, &memory.keys.t()?)?;
    let probs = match bias {
        Some(bias) => apply2(&scores, bias, attend)?,
        None => apply1(&scores, attend)?,
    };
    product(&pass.dropout(probs)?, &memory.values)
}

/// Fails where there were more scores than a GPU's kernels can count: it is answered with smaller
/// batches.
fn check_size(queries: &Tensor, memory: &KeysAndValues) -> Result<()> {
    let (inputs, heads, count, _) = queries.dims4()?;
    let scores =
        [inputs, heads, count, memory.keys.dim(2)?].into_iter().fold(1, usize::saturating_mul);
    if scores <= MOST_IN_TENSOR || queries.device().is_cpu() {
        return Ok(());
    }
    Err(too_many_numbers(scores))
}

/// The same for some queries after the other, in inference.
fn mix_by_rows(
    queries: &Tensor,
    memory: &KeysAndValues,
    positions: &Positions,
    attend: &Attend,
    pass: &Pass<'_>,
) -> Result<Tensor> {
    let (count, keys) = (queries.dim(2)?, memory.keys.dim(2)?);
    let mut mixed = Vec::with_capacity(count.div_ceil(ROWS));
    for first in (0..count).step_by(ROWS) {
        pass.check()?;
        let rows = ROWS.min(count - first);
        let some = queries.narrow(2, first, rows)?.contiguous()?;
        let bias = positions.bias_from(first, rows, keys)?;
        mixed.push(mix(&some, memory, Some(&bias), attend.clone(), pass)?);
    }
    Tensor::cat(&mixed, 2)
}
