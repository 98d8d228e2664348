//! What options choose from.

use std::fmt;

use candle_core::DType;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is trained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// All weights.
    #[default]
    Full,
    /// Vectors that the outputs of projections are multiplied with (Liu et al., 2022).
    Ia3,
    /// Products of two small matrices, added to projections (Hu et al., 2021).
    Lora,
}

/// What is learned from an example.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// The target, from the input.
    #[default]
    Seq2seq,
    /// Spans that were taken out of the text (Raffel et al., 2020).
    SpanCorruption,
    /// The rest of the text, from its beginning.
    PrefixLm,
}

/// The optimizer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    /// Adam (β 0.9 and 0.999, ε 1e-8), without weight decay.
    #[default]
    Adam,
    /// Adam with decoupled weight decay.
    Adamw,
    /// Adafactor (Shazeer and Stern, 2018) with a learning rate from outside, as in transformers
    /// with `relative_step=False`.
    Adafactor,
}

/// How the learning rate goes over the steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    /// Up over the first `cut`, then down; from and to 1/32 of the rate.
    #[default]
    SlantedTriangular,
    /// Up over `warmup_steps`, then down to the end in a straight line.
    Linear,
    /// Up over `warmup_steps`, then down to the end by a power of what is left.
    Polynomial,
    /// The same at every step after `warmup_steps`.
    Constant,
}

/// Which weights are the result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// Those at the end.
    #[default]
    Last,
    /// Those of the validation with the lowest loss, the first of equal ones.
    Best,
}

/// In what numbers a network is computed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32 bits.
    #[default]
    F32,
    /// 32 bits, of which a GPU takes 19 where it multiplies matrices; on a CPU the same as `f32`.
    Tf32,
    /// 16 bits, half the memory: as large as those of 32, to 2 or 3 digits. Slow on a CPU.
    Bf16,
}

impl Precision {
    /// The type of the network's tensors.
    pub(crate) fn dtype(self) -> DType {
        match self {
            Self::F32 | Self::Tf32 => DType::F32,
            Self::Bf16 => DType::BF16,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
        })
    }
}

/// Whether an option need not be written: what was made before there was one keeps its name.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
