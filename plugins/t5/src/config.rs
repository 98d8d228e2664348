//! Options of the encoder and the trainer.

use deft_core::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Options of the encoder `t5`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EncoderConfig {
    /// Model: a folder, or `org/name` that the host resolves. It holds `config.json`, weights
    /// (`model.safetensors`, sharded or not, or `pytorch_model.bin`) and `tokenizer.json`.
    pub model: String,
    /// Tokenizer file. Default: `tokenizer.json` in the model's folder.
    #[serde(default)]
    pub tokenizer: Option<String>,
    /// Where weights come from: `pretrained` (default) reads them, `random` makes new ones of the
    /// shape that `config.json` gives.
    #[serde(default)]
    pub init: Init,
    /// Seed of random weights. Default: the manifest's seed.
    #[serde(default)]
    pub init_seed: Option<u64>,
    /// Where to compute: `auto` (default) or `cpu`. This build has no CUDA.
    #[serde(default = "auto")]
    #[schemars(extend("x-deft-mark" = "use"))]
    pub device: String,
    /// Tokens of a pool text that are encoded, `</s>` among them; longer texts are cut before it.
    /// Default 512, at least 1. Time per token grows with it, slowly.
    #[serde(default = "max_tokens")]
    #[schemars(range(min = 1))]
    pub max_tokens: usize,
    /// The same for queries. Default: none, queries are not cut (as in the paper); at least 1.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub max_query_tokens: Option<usize>,
    /// Tokens of a batch, padding counted; a longer text is a batch of its own. Default 2048, at
    /// least 1. More costs memory and gains nothing on a CPU: scores should stay in its cache.
    #[serde(default = "batch_tokens")]
    #[schemars(range(min = 1), extend("x-deft-mark" = "use"))]
    pub batch_tokens: usize,
}

/// Options of the trainer `t5`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainerConfig {
    /// Model to start from: a folder, or `org/name` that the host resolves. It holds `config.json`,
    /// weights (`model.safetensors`, sharded or not, or `pytorch_model.bin`) and `tokenizer.json`.
    pub model: String,
    /// Tokenizer file. Default: `tokenizer.json` in the model's folder.
    #[serde(default)]
    pub tokenizer: Option<String>,
    /// Where weights come from: `pretrained` (default) reads them, `random` makes new ones of the
    /// shape that `config.json` gives.
    #[serde(default)]
    pub init: Init,
    /// Seed of random weights. Default: the seed of the run.
    #[serde(default)]
    pub init_seed: Option<u64>,
    /// Where to compute: `auto` (default) or `cpu`. This build has no CUDA.
    #[serde(default = "auto")]
    #[schemars(extend("x-deft-mark" = "use"))]
    pub device: String,
    /// Times that every example is trained on. Default 5, at least 1.
    #[serde(default = "five")]
    #[schemars(range(min = 1))]
    pub epochs: usize,
    /// Optimizer steps, in place of `epochs`: the examples go round as often as needed. Default:
    /// none; at least 1.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub steps: Option<usize>,
    /// Examples of a micro-batch, which is computed at once. Default 1, at least 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub batch_size: usize,
    /// Micro-batches of an optimizer step; they run in parallel. Default 8, at least 1.
    #[serde(default = "eight")]
    #[schemars(range(min = 1))]
    pub gradient_accumulation: usize,
    /// Highest learning rate of the schedule. Default 5e-5, above 0.
    #[serde(default = "learning_rate")]
    pub learning_rate: f64,
    /// `adam` (default), or `adamw` with its decoupled weight decay.
    #[serde(default)]
    pub optimizer: Optimizer,
    /// Weight decay of `adamw`. Default 0.01, at least 0.
    #[serde(default = "weight_decay")]
    #[schemars(range(min = 0))]
    pub weight_decay: f64,
    /// How the learning rate goes: `slanted_triangular` (default: up over the first tenth of the
    /// steps, then down, from and to 1/32), `linear` (up over `warmup_steps`, then down to 0) or
    /// `constant`.
    #[serde(default)]
    pub schedule: ScheduleKind,
    /// Warm-up of `linear`, in optimizer steps. Default 0.
    #[serde(default)]
    pub warmup_steps: usize,
    /// Every element of a step's gradient is limited to ± this. Default 1, above 0; `null` for no
    /// limit.
    #[serde(default = "clip_value")]
    pub clip_value: Option<f64>,
    /// Share of activations that are dropped, in 0 ..< 1. Default: the model's `dropout_rate`.
    #[serde(default)]
    pub dropout: Option<f32>,
    /// Tokens of an input, `</s>` among them; longer inputs are cut before it. Default 512, at
    /// least 1.
    #[serde(default = "max_tokens")]
    #[schemars(range(min = 1))]
    pub max_tokens: usize,
    /// Tokens of a target or an answer option, `</s>` among them. Default 256, at least 1.
    #[serde(default = "max_answer_tokens")]
    #[schemars(range(min = 1))]
    pub max_answer_tokens: usize,
    /// Whether each epoch has an order of its own, by the seed (default), or all have the given.
    #[serde(default = "yes")]
    pub shuffle: bool,
    /// A line with the loss is logged every so many steps. Default 100; 0 for none.
    #[serde(default = "hundred")]
    #[schemars(extend("x-deft-mark" = "use"))]
    pub log_every: usize,
}

/// Where the weights come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// They are read from the model's folder.
    #[default]
    Pretrained,
    /// They are new: Hugging Face's T5 initialisation.
    Random,
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
}

/// How the learning rate goes over the steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    /// Up over the first tenth, then down; from and to 1/32 of the rate.
    #[default]
    SlantedTriangular,
    /// Up over `warmup_steps`, then down to 0.
    Linear,
    /// The same at every step.
    Constant,
}

/// The options that say which model it is.
#[derive(Debug, Clone)]
pub(crate) struct ModelOptions<'a> {
    pub(crate) model: &'a str,
    pub(crate) tokenizer: Option<&'a str>,
    pub(crate) init: Init,
    pub(crate) init_seed: Option<u64>,
}

impl EncoderConfig {
    pub(crate) fn model(&self) -> ModelOptions<'_> {
        let tokenizer = self.tokenizer.as_deref();
        let (model, init, init_seed) = (&self.model, self.init, self.init_seed);
        ModelOptions { model, tokenizer, init, init_seed }
    }

    pub(crate) fn check(&self) -> Result<()> {
        check_device(&self.device)?;
        at_least_one("max_tokens", self.max_tokens)?;
        at_least_one("max_query_tokens", self.max_query_tokens.unwrap_or(1))?;
        at_least_one("batch_tokens", self.batch_tokens)
    }
}

impl TrainerConfig {
    pub(crate) fn model(&self) -> ModelOptions<'_> {
        let tokenizer = self.tokenizer.as_deref();
        let (model, init, init_seed) = (&self.model, self.init, self.init_seed);
        ModelOptions { model, tokenizer, init, init_seed }
    }

    pub(crate) fn check(&self) -> Result<()> {
        check_device(&self.device)?;
        at_least_one("epochs", self.epochs)?;
        at_least_one("steps", self.steps.unwrap_or(1))?;
        at_least_one("batch_size", self.batch_size)?;
        at_least_one("gradient_accumulation", self.gradient_accumulation)?;
        at_least_one("max_tokens", self.max_tokens)?;
        at_least_one("max_answer_tokens", self.max_answer_tokens)?;
        positive("learning_rate", self.learning_rate)?;
        positive("clip_value", self.clip_value.unwrap_or(1.0))?;
        if !(self.weight_decay >= 0.0 && self.weight_decay.is_finite()) {
            let message =
                format!("`weight_decay` must be at least 0 (found: {})", self.weight_decay);
            return Err(Error::option_at("weight_decay", message));
        }
        match self.dropout {
            Some(rate) if !(0.0..1.0).contains(&rate) => {
                let message = format!("`dropout` must be in 0 ..< 1 (found: {rate})");
                Err(Error::option_at("dropout", message))
            }
            _ => Ok(()),
        }
    }
}

fn at_least_one(name: &str, value: usize) -> Result<()> {
    match value {
        0 => Err(Error::option_at(name, format!("`{name}` must be at least 1 (found: 0)"))),
        _ => Ok(()),
    }
}

fn positive(name: &str, value: f64) -> Result<()> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(Error::option_at(name, format!("`{name}` must be above 0 (found: {value})")))
}

fn check_device(device: &str) -> Result<()> {
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

fn max_tokens() -> usize {
    512
}

fn max_answer_tokens() -> usize {
    256
}

fn batch_tokens() -> usize {
    2048
}

fn one() -> usize {
    1
}

fn five() -> usize {
    5
}

fn eight() -> usize {
    8
}

fn hundred() -> usize {
    100
}

fn learning_rate() -> f64 {
    5e-5
}

fn weight_decay() -> f64 {
    0.01
}

#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's type")]
fn clip_value() -> Option<f64> {
    Some(1.0)
}

fn yes() -> bool {
    true
}
