//! The parts of a T5 block.

use std::sync::Arc;

use candle_core::{Result, Tensor, bail};

use super::attention::Attend;
use super::config::{Activation, NetworkConfig};
use super::ops::{Add, GatedGelu, Linear, RmsNorm};
use super::parameters::Part;
use super::{Pass, Tensors, take};

/// Self-attention, in the decoder cross-attention, and a feed-forward, each as `x + f(norm(x))`.
#[derive(Debug)]
pub(crate) struct Block {
    self_attention: Attention,
    cross_attention: Option<Attention>,
    feed_forward: FeedForward,
    norms: Vec<Norm>,
    is_decoder: bool,
}

/// Keys `[inputs, heads, length, d_kv]` and values of the same shape.
#[derive(Debug)]
pub(crate) struct KeysAndValues {
    keys: Tensor,
    values: Tensor,
}

impl Block {
    pub(super) fn new(
        config: &NetworkConfig,
        tensors: &Tensors,
        prefix: &str,
        part: Part,
    ) -> Result<Self> {
        let attention = |name: &str| Attention::new(config, tensors, &format!("{prefix}.{name}"));
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
                &format!("{prefix}.layer.{last}.DenseReluDense"),
            )?,
            norms: (0..=last)
                .map(|n| Norm::new(config, tensors, &format!("{prefix}.layer.{n}.layer_norm")))
                .collect::<Result<_>>()?,
            is_decoder,
        })
    }

    /// `lengths` are the real keys of self-attention, `cross` what a decoder block looks up.
    pub(super) fn forward(
        &self,
        x: Tensor,
        bias: &Tensor,
        lengths: Option<&Arc<[usize]>>,
        cross: Option<(&KeysAndValues, Option<&Arc<[usize]>>)>,
        pass: &Pass,
    ) -> Result<Tensor> {
        let mut norms = self.norms.iter();
        let mut residual = |x: Tensor, f: &dyn Fn(&Tensor) -> Result<Tensor>| match norms.next() {
            Some(norm) => x.apply_op2(&pass.dropout(f(&norm.forward(&x)?)?)?, Add),
            None => bail!("a block with fewer norms than parts"),
        };
        let mut x = residual(x, &|x| {
            let own = self.self_attention.keys_and_values(x)?;
            let attend = Attend { lengths: lengths.cloned(), causal: self.is_decoder };
            self.self_attention.forward(x, &own, Some(bias), attend, pass)
        })?;
        if let (Some(attention), Some((remembered, lengths))) = (&self.cross_attention, cross) {
            x = residual(x, &|x| {
                let attend = Attend { lengths: lengths.cloned(), causal: false };
                attention.forward(x, remembered, None, attend, pass)
            })?;
        }
        residual(x, &|x| self.feed_forward.forward(x, pass))
    }

    /// Keys and values of cross-attention for the encoder's states.
    pub(super) fn remember(&self, states: &Tensor) -> Result<KeysAndValues> {
        match &self.cross_attention {
            Some(attention) => attention.keys_and_values(states),
            None => bail!("an encoder block has no cross-attention"),
        }
    }
}

/// Attention with several heads. T5 does not scale the scores: its initialisation does.
#[derive(Debug)]
struct Attention {
    query: Tensor,
    key: Tensor,
    value: Tensor,
    output: Tensor,
    heads: usize,
    d_kv: usize,
}

impl Attention {
    fn new(config: &NetworkConfig, tensors: &Tensors, prefix: &str) -> Result<Self> {
        let weight = |name: &str| take(tensors, &format!("{prefix}.{name}.weight"));
        Ok(Self {
            query: weight("q")?,
            key: weight("k")?,
            value: weight("v")?,
            output: weight("o")?,
            heads: config.heads,
            d_kv: config.d_kv,
        })
    }

    fn keys_and_values(&self, x: &Tensor) -> Result<KeysAndValues> {
        let inputs = x.dim(0)?;
        Ok(KeysAndValues {
            keys: self.split(&x.apply_op2(&self.key, Linear)?, inputs)?,
            values: self.split(&x.apply_op2(&self.value, Linear)?, inputs)?,
        })
    }

    fn forward(
        &self,
        x: &Tensor,
        memory: &KeysAndValues,
        bias: Option<&Tensor>,
        attend: Attend,
        pass: &Pass,
    ) -> Result<Tensor> {
        let (rows, length, _) = x.dims3()?;
        let inputs = memory.keys.dim(0)?;
        let queries = self.split(&x.apply_op2(&self.query, Linear)?, inputs)?;
        let scores = queries.matmul(&memory.keys.t()?)?;
        let probs = match bias {
            Some(bias) => scores.apply_op2(bias, attend)?,
            None => scores.apply_op1(attend)?,
        };
        let mixed = pass.dropout(probs)?.matmul(&memory.values)?;
        let mixed = mixed.transpose(1, 2)?.reshape((rows, length, self.heads * self.d_kv))?;
        mixed.apply_op2(&self.output, Linear)
    }

    /// `[rows, length, heads · d_kv]` → `[inputs, heads, rows / inputs · length, d_kv]`: the rows
    /// that belong to one input stand behind each other and share its keys.
    fn split(&self, x: &Tensor, inputs: usize) -> Result<Tensor> {
        let x = x.reshape((inputs, (), self.heads, self.d_kv))?.transpose(1, 2)?;
        // A matrix product takes one batch stride: with one input the heads' is enough.
        if inputs == 1 { Ok(x) } else { x.contiguous() }
    }
}

/// The feed-forward, gated or not.
#[derive(Debug)]
struct FeedForward {
    /// One projection, or two when gated.
    inputs: Vec<Tensor>,
    output: Tensor,
    activation: Activation,
}

impl FeedForward {
    fn new(config: &NetworkConfig, tensors: &Tensors, prefix: &str) -> Result<Self> {
        let names: &[&str] = if config.gated { &["wi_0", "wi_1"] } else { &["wi"] };
        let weight = |name: &str| take(tensors, &format!("{prefix}.{name}.weight"));
        Ok(Self {
            inputs: names.iter().map(|name| weight(name)).collect::<Result<_>>()?,
            output: weight("wo")?,
            activation: config.activation,
        })
    }

    fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let projected = |weight: &Tensor| x.apply_op2(weight, Linear);
        let hidden = match (self.inputs.as_slice(), self.activation) {
            ([input], Activation::Relu) => projected(input)?.relu()?,
            ([input], Activation::GeluNew) => projected(input)?.gelu()?,
            ([gate, input], Activation::Relu) => (projected(gate)?.relu()? * projected(input)?)?,
            ([gate, input], Activation::GeluNew) => {
                projected(gate)?.apply_op2(&projected(input)?, GatedGelu)?
            }
            _ => bail!("a feed-forward has one or two input projections"),
        };
        pass.dropout(hidden)?.apply_op2(&self.output, Linear)
    }
}

/// T5's layer norm.
#[derive(Debug)]
pub(crate) struct Norm {
    weight: Tensor,
    epsilon: f32,
}

impl Norm {
    pub(super) fn new(config: &NetworkConfig, tensors: &Tensors, prefix: &str) -> Result<Self> {
        let weight = take(tensors, &format!("{prefix}.weight"))?;
        Ok(Self { weight, epsilon: config.epsilon })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.apply_op2(&self.weight, RmsNorm { epsilon: self.epsilon })
    }
}
