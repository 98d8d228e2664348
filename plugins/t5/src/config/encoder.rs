//! Options of the encoder.

use deft_core::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::checks::{at_least_one, device, token_limit};
use super::choices::is_default;
use super::{DeviceChoice, Init, ModelOptions, Precision};

/// Options of the encoder `t5`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EncoderConfig {
    /// Model: a folder, or `org/name` that the host resolves. It holds `config.json`, weights
    /// (`model.safetensors`, sharded or not, or `pytorch_model.bin`) and `tokenizer.json`; or it is
    /// an adapter's folder in PEFT's layout.
    pub model: String,
    /// File with weights in place of the model's: safetensors, a pickle of torch, or an
    /// `AllenNLP` state (`.th`). Default: none.
    #[serde(default)]
    pub weights: Option<String>,
    /// Tokenizer: a file, or a model that has a `tokenizer.json`, as a folder or `org/name`. Default:
    /// that of the model.
    #[serde(default)]
    pub tokenizer: Option<String>,
    /// Where weights come from: `pretrained` (default) reads them, `random` makes new ones of the
    /// shape that `config.json` gives.
    #[serde(default)]
    pub init: Init,
    /// Seed of random weights. Default: the manifest's seed.
    #[serde(default)]
    pub init_seed: Option<u64>,
    /// Where to compute: `auto` (default: the first GPU that can be used, else the CPU), `cpu`,
    /// `cuda` (the first GPU, or an error), `cuda:N` (GPU N, counted from 0) or `cuda:all` (every GPU
    /// that can be used; a batch goes to whichever is free). A GPU needs a build with CUDA: see
    /// docs/gpu.md. Vectors of two devices differ by rounding alone.
    #[serde(default)]
    #[schemars(extend("x-deft-mark" = "use"))]
    pub device: DeviceChoice,
    /// In what numbers to compute: `f32` (default), `tf32` (a GPU multiplies matrices with 19 of the
    /// 32 bits) or `bf16` (16 bits, half the memory; slow on a CPU, where it is for checking).
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = "f32"))]
    pub precision: Precision,
    /// How a text's states become one vector: `mean` (default, the paper's), `weighted_mean` (a
    /// token's weight is its position, from 1), `first` or `last` (which is `</s>`).
    #[serde(default)]
    pub pooling: Pooling,
    /// Whether vectors get length 1. Default false, as in the paper.
    #[serde(default)]
    pub normalize: bool,
    /// Tokens of a pool text that are encoded, `</s>` among them; longer texts are cut before it.
    /// Default 512; 1 to 32,768. Time per token grows with it, slowly.
    #[serde(default = "max_tokens")]
    #[schemars(range(min = 1, max = 32768))]
    pub max_tokens: usize,
    /// The same for queries. Default: none, queries are not cut (as in the paper), and one of more
    /// than 32,768 tokens is an error.
    #[serde(default)]
    #[schemars(range(min = 1, max = 32768))]
    pub max_query_tokens: Option<usize>,
    /// Tokens of a batch, padding counted; a longer text is a batch of its own. At least 1. Default:
    /// 2048 on a CPU, where more costs memory and gains nothing, since scores should stay in its
    /// cache; on a GPU as many as are estimated to take half of the free memory, at most 65,536. A
    /// batch that does not fit into a GPU's memory is split.
    #[serde(default)]
    #[schemars(range(min = 1), extend("x-deft-mark" = "use"))]
    pub batch_tokens: Option<usize>,
}

/// How a text's states become one vector. `</s>` is one of its tokens, padding is not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The mean of all states.
    #[default]
    Mean,
    /// The mean of all states, each weighted by its position from 1.
    WeightedMean,
    /// The first token's state.
    First,
    /// The last token's state, that of `</s>`.
    Last,
}

impl EncoderConfig {
    pub(crate) fn model(&self) -> ModelOptions<'_> {
        ModelOptions {
            model: &self.model,
            weights: self.weights.as_deref(),
            tokenizer: self.tokenizer.as_deref(),
            init: self.init,
            init_seed: self.init_seed,
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        device(self.device)?;
        self.model().check()?;
        token_limit("max_tokens", self.max_tokens)?;
        token_limit("max_query_tokens", self.max_query_tokens.unwrap_or(1))?;
        at_least_one("batch_tokens", self.batch_tokens.unwrap_or(1))
    }
}

fn max_tokens() -> usize {
    512
}
