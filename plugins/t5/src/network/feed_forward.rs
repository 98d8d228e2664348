//! What a T5 block has beside attention: the feed-forward and the layer norm.

use candle_core::{Result, Tensor, bail};

use super::config::{Activation, NetworkConfig};
use super::ops::{GatedGelu, RmsNorm, apply2};
use super::projection::{Adapting, Projection};
use super::{Pass, Tensors, take};

/// The feed-forward, gated or not.
#[derive(Debug, Clone)]
pub(super) struct FeedForward {
    /// One projection, or two when gated.
    inputs: Vec<Projection>,
    output: Projection,
    activation: Activation,
}

impl FeedForward {
    pub(super) fn new(
        config: &NetworkConfig,
        tensors: &Tensors,
        adapting: Adapting,
        prefix: &str,
    ) -> Result<Self> {
        let names: &[&str] = if config.gated { &["wi_0", "wi_1"] } else { &["wi"] };
        let layer = |name: &str| Projection::new(tensors, &format!("{prefix}.{name}"), adapting);
        Ok(Self {
            inputs: names.iter().map(|name| layer(name)).collect::<Result<_>>()?,
            output: layer("wo")?,
            activation: config.activation,
        })
    }

    pub(super) fn forward(&self, x: &Tensor, pass: &Pass<'_>) -> Result<Tensor> {
        let projected = |layer: &Projection| layer.forward(x, pass);
        let hidden = match (self.inputs.as_slice(), self.activation) {
            ([input], Activation::Relu) => projected(input)?.relu()?,
            ([input], Activation::GeluNew) => projected(input)?.gelu()?,
            ([gate, input], Activation::Relu) => (projected(gate)?.relu()? * projected(input)?)?,
            ([gate, input], Activation::GeluNew) => {
                apply2(&projected(gate)?, &projected(input)?, GatedGelu)?
            }
            _ => bail!("a feed-forward has one or two input projections"),
        };
        self.output.forward(&pass.dropout(hidden)?, pass)
    }
}

/// T5's layer norm.
#[derive(Debug, Clone)]
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
        apply2(x, &self.weight, RmsNorm { epsilon: self.epsilon })
    }
}
