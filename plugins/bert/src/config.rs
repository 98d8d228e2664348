//! Options of the encoder.

use deft_core::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Options of the encoder `bert`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EncoderConfig {
    /// Model: a folder of sentence-transformers or of a plain BERT, or `org/name` that the host
    /// resolves. It holds `config.json`, `tokenizer.json`, `model.safetensors` (sharded or not) and,
    /// where it is one of sentence-transformers, `modules.json`.
    pub model: String,
    /// Where to compute: `auto` (default) or `cpu`. This build has no CUDA.
    #[serde(default = "auto")]
    #[schemars(extend("x-deft-mark" = "use"))]
    pub device: String,
    /// How a text's states become one vector: `mean`, `weighted_mean` (a token's weight is its
    /// position, from 1), `mean_sqrt_len` (the sum over the root of the length), `max` (of each
    /// component), `first` (`[CLS]`) or `last` (`[SEP]`). Default: what the folder says; the mean
    /// where it says nothing.
    #[serde(default)]
    pub pooling: Option<Pooling>,
    /// Whether vectors get length 1. Default: what the folder says; no where it says nothing.
    #[serde(default)]
    pub normalize: Option<bool>,
    /// Text put before every pool text, counted in its tokens. Default: the folder's default prompt;
    /// nothing where it has none.
    #[serde(default)]
    pub prefix: Option<String>,
    /// The same for queries. Default: as `prefix`.
    #[serde(default)]
    pub query_prefix: Option<String>,
    /// Tokens of a pool text that are encoded, `[CLS]` and `[SEP]` among them; longer texts are cut
    /// before `[SEP]`. Default: what the folder says, or all that the model has positions for, which
    /// is also the most; at least 3. Time per token grows with it, slowly.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub max_tokens: Option<usize>,
    /// The same for queries. Default: as `max_tokens`.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub max_query_tokens: Option<usize>,
    /// Tokens of a batch; a longer text is a batch of its own. Default 2048, at least 1. More costs
    /// memory and gains nothing on a CPU.
    #[serde(default = "batch_tokens")]
    #[schemars(range(min = 1), extend("x-deft-mark" = "use"))]
    pub batch_tokens: usize,
}

/// How a text's states become one vector. `[CLS]` and `[SEP]` are among its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The mean of all states.
    Mean,
    /// The mean of all states, each weighted by its position from 1.
    WeightedMean,
    /// The sum of all states over the root of their number.
    MeanSqrtLen,
    /// The largest value of each component.
    Max,
    /// The first token's state, that of `[CLS]`.
    First,
    /// The last token's state, that of `[SEP]`.
    Last,
}

impl EncoderConfig {
    pub(crate) fn check(&self) -> Result<()> {
        device(&self.device)?;
        at_least_one("max_tokens", self.max_tokens.unwrap_or(1))?;
        at_least_one("max_query_tokens", self.max_query_tokens.unwrap_or(1))?;
        at_least_one("batch_tokens", self.batch_tokens)
    }
}

fn at_least_one(name: &str, value: usize) -> Result<()> {
    match value {
        0 => Err(Error::option_at(name, format!("`{name}` must be at least 1 (found: 0)"))),
        _ => Ok(()),
    }
}

fn device(device: &str) -> Result<()> {
    match device {
        "auto" | "cpu" => Ok(()),
        cuda if cuda.starts_with("cuda") => {
            let message = format!("this build of the plugin has no CUDA (`device`: {cuda})");
            Err(Error::option_at("device", message).with_hint("allowed: auto, cpu"))
        }
        other => Err(Error::option_at("device", format!("unknown value `{other}`"))
            .with_hint("allowed: auto, cpu")),
    }
}

fn auto() -> String {
    "auto".to_owned()
}

fn batch_tokens() -> usize {
    2048
}
