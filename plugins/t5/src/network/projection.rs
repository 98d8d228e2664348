//! A linear layer, with or without an adapter on it.

use candle_core::{Result, Tensor};

use super::ops::{Add, Linear, Scale, apply2};
use super::{Pass, Tensors, take};

/// `y = x·Wᵀ`, in training with an adapter beside the weight.
#[derive(Debug, Clone)]
pub(crate) struct Projection {
    /// `[out, in]`.
    weight: Tensor,
    adapter: Option<Adapter>,
}

#[derive(Debug, Clone)]
enum Adapter {
    /// `y ⊙ l`, with `l` of `[out, 1]`.
    Ia3(Tensor),
    /// `y + scale · (x·Aᵀ)·Bᵀ`, with `A` of `[rank, in]` and `B` of `[out, rank]`.
    Lora { a: Tensor, b: Tensor, scale: f32, dropout: f32 },
}

/// What the adapters of a network share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Adapting {
    /// What `LoRA`'s product is multiplied with: alpha over rank.
    pub(crate) scale: f32,
    /// Share of the inputs that `LoRA` drops in training.
    pub(crate) dropout: f32,
}

impl Default for Adapting {
    fn default() -> Self {
        Self { scale: 1.0, dropout: 0.0 }
    }
}

/// The names of an adapter's tensors after that of its module, as in PEFT.
pub(crate) const IA3: &str = "ia3_l";
pub(crate) const LORA_A: &str = "lora_A.weight";
pub(crate) const LORA_B: &str = "lora_B.weight";

impl Projection {
    /// The layer of a name: its weight and, where they are among the tensors, its adapter's.
    pub(super) fn new(tensors: &Tensors, name: &str, adapting: Adapting) -> Result<Self> {
        let optional = |of: &str| tensors.get(&format!("{name}.{of}")).cloned();
        let adapter = match (optional(IA3), optional(LORA_A), optional(LORA_B)) {
            (Some(vector), _, _) => Some(Adapter::Ia3(vector)),
            (None, Some(a), Some(b)) => {
                Some(Adapter::Lora { a, b, scale: adapting.scale, dropout: adapting.dropout })
            }
            _ => None,
        };
        Ok(Self { weight: take(tensors, &format!("{name}.weight"))?, adapter })
    }

    /// `[.., in]` → `[.., out]`.
    pub(super) fn forward(&self, x: &Tensor, pass: &Pass<'_>) -> Result<Tensor> {
        let y = apply2(x, &self.weight, Linear)?;
        match &self.adapter {
            None => Ok(y),
            Some(Adapter::Ia3(vector)) => apply2(&y, vector, Scale),
            Some(Adapter::Lora { a, b, scale, dropout }) => {
                let x = pass.dropout_of(x.clone(), *dropout)?;
                let added = apply2(&apply2(&x, a, Linear)?, b, Linear)?;
                apply2(&y, &(added * f64::from(*scale))?, Add)
            }
        }
    }
}
