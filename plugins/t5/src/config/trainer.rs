//! Options of the trainer.

use deft_core::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::checks::{
    at_least_one, below_one, device, not_negative, only_with, positive, token_limit,
};
use super::{Init, ModelOptions};

/// Options of the trainer `t5`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainerConfig {
    /// Model to start from: a folder, or `org/name` that the host resolves. It holds `config.json`,
    /// weights (`model.safetensors`, sharded or not, or `pytorch_model.bin`) and `tokenizer.json`;
    /// or it is an adapter's folder in PEFT's layout.
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
    /// Seed of random weights. Default: the seed of the run.
    #[serde(default)]
    pub init_seed: Option<u64>,
    /// Where to compute: `auto` (default) or `cpu`. This build has no CUDA.
    #[serde(default = "auto")]
    #[schemars(extend("x-deft-mark" = "use"))]
    pub device: String,

    /// What is trained: `full` (default) all weights, `ia3` or `lora` an adapter beside them, which
    /// is saved alone, in PEFT's layout.
    #[serde(default)]
    pub method: Method,
    /// Names of the projections that an adapter is put on: of `q k v o wi wi_0 wi_1 wo`. Default:
    /// `[k, v, wi_1]` for `ia3` (the paper's), `[q, v]` for `lora`.
    #[serde(default)]
    pub modules: Option<Vec<String>>,
    /// Rank of `lora`. Default 8, at least 1.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub lora_rank: Option<usize>,
    /// `lora` adds its product times this over the rank. Default 16, above 0.
    #[serde(default)]
    pub lora_alpha: Option<f64>,
    /// Share of a projection's inputs that `lora` drops, in 0 ..< 1. Default 0.
    #[serde(default)]
    pub lora_dropout: Option<f64>,

    /// What is learned: `seq2seq` (default) inputs to targets; `span_corruption` (T5's pre-training)
    /// or `prefix_lm` the texts themselves, which are inputs with their targets, if any, behind.
    #[serde(default)]
    pub objective: Objective,
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
    /// Whether each epoch has an order of its own, by the seed (default), or all have the given.
    #[serde(default = "yes")]
    pub shuffle: bool,
    /// Tokens of an input, `</s>` among them; longer inputs are cut before it. Default 512; 1 to
    /// 32,768.
    #[serde(default = "max_tokens")]
    #[schemars(range(min = 1, max = 32768))]
    pub max_tokens: usize,
    /// Tokens of a target or an answer option, `</s>` among them. Default 256; 1 to 32,768.
    #[serde(default = "max_answer_tokens")]
    #[schemars(range(min = 1, max = 32768))]
    pub max_answer_tokens: usize,
    /// Share of activations that are dropped, in 0 ..< 1. Default: the model's `dropout_rate`.
    #[serde(default)]
    pub dropout: Option<f32>,
    /// Whether activations are computed again on the way back instead of being kept: a third more
    /// time, and memory for one block in place of all. Default false.
    #[serde(default)]
    pub gradient_checkpointing: bool,

    /// `adam` (default), `adamw` with its decoupled weight decay, or `adafactor`.
    #[serde(default)]
    pub optimizer: Optimizer,
    /// Weight decay of `adamw` (default 0.01) and `adafactor` (default 0), at least 0.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub weight_decay: Option<f64>,
    /// Whether `adafactor` takes the learning rate as a share of a parameter's size. Default true.
    #[serde(default)]
    pub scale_parameter: Option<bool>,
    /// Highest learning rate of the schedule. Default 5e-5, above 0.
    #[serde(default = "learning_rate")]
    pub learning_rate: f64,
    /// How the learning rate goes: `slanted_triangular` (default: up over the first `cut` of the
    /// steps, then down, from and to a 32nd); `linear` and `polynomial` (up over `warmup_steps`,
    /// then down to `end_learning_rate`); `constant` (after `warmup_steps`).
    #[serde(default)]
    pub schedule: ScheduleKind,
    /// Share of the steps in which `slanted_triangular` rises, in 0 ..< 1. Default 0.1.
    #[serde(default)]
    pub cut: Option<f64>,
    /// Steps in which the other schedules rise from 0. Default 0.
    #[serde(default)]
    pub warmup_steps: usize,
    /// Where `linear` and `polynomial` end. Default 0, at least 0.
    #[serde(default)]
    pub end_learning_rate: Option<f64>,
    /// Exponent of `polynomial`. Default 1, above 0.
    #[serde(default)]
    pub power: Option<f64>,
    /// A step's gradient is scaled down to at most this length. Default: none; above 0.
    #[serde(default)]
    pub clip_norm: Option<f64>,
    /// Every element of a step's gradient is limited to ± this, after `clip_norm`. Default 1, above
    /// 0; `null` for no limit.
    #[serde(default = "clip_value")]
    pub clip_value: Option<f64>,

    /// Which weights are the result: those of the `last` epoch (default, the paper's rule), or of
    /// the `best`, by the loss on the task's `validation_source`.
    #[serde(default)]
    pub keep: Keep,
    /// A stopped training goes on from its last checkpoint; one is made every so many steps. Default
    /// 500; 0 for none.
    #[serde(default = "five_hundred")]
    #[schemars(extend("x-deft-mark" = "use"))]
    pub checkpoint_every: usize,
    /// Checkpoints that are kept while training. Default 1, at least 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1), extend("x-deft-mark" = "use"))]
    pub keep_checkpoints: usize,
    /// The loss is logged every so many steps. Default 100; 0 for none.
    #[serde(default = "hundred")]
    #[schemars(extend("x-deft-mark" = "use"))]
    pub log_every: usize,

    /// Most tokens of a generated text, `</s>` among them. Default 127 (the original's 128 with the
    /// start token), at least 1.
    #[serde(default = "max_new_tokens")]
    #[schemars(range(min = 1), extend("x-deft-mark" = "predict"))]
    pub max_new_tokens: usize,
    /// Texts that generation keeps at once. Default 1 (greedy), at least 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1), extend("x-deft-mark" = "predict"))]
    pub beams: usize,
    /// With several beams, a text's log-probability is divided by its length to this power. Default
    /// 1; more favours long texts.
    #[serde(default)]
    #[schemars(extend("x-deft-mark" = "predict"))]
    pub length_penalty: Option<f64>,
}

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
    /// Those of the epoch with the lowest validation loss, the first of equal ones.
    Best,
}

impl TrainerConfig {
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
        device(&self.device)?;
        self.model().check()?;
        self.check_sizes()?;
        self.check_method()?;
        self.check_optimizer()?;
        self.check_schedule()
    }

    fn check_sizes(&self) -> Result<()> {
        at_least_one("epochs", self.epochs)?;
        at_least_one("steps", self.steps.unwrap_or(1))?;
        at_least_one("batch_size", self.batch_size)?;
        at_least_one("gradient_accumulation", self.gradient_accumulation)?;
        token_limit("max_tokens", self.max_tokens)?;
        token_limit("max_answer_tokens", self.max_answer_tokens)?;
        at_least_one("keep_checkpoints", self.keep_checkpoints)?;
        at_least_one("max_new_tokens", self.max_new_tokens)?;
        at_least_one("beams", self.beams)?;
        below_one("dropout", self.dropout.map_or(0.0, f64::from))?;
        let has_beams = self.beams > 1;
        only_with("length_penalty", self.length_penalty.is_some(), "beams", has_beams)
    }

    fn check_method(&self) -> Result<()> {
        let (is_lora, is_adapter) = (self.method == Method::Lora, self.method != Method::Full);
        only_with("modules", self.modules.is_some(), "method: ia3` or `method: lora", is_adapter)?;
        only_with("lora_rank", self.lora_rank.is_some(), "method: lora", is_lora)?;
        only_with("lora_alpha", self.lora_alpha.is_some(), "method: lora", is_lora)?;
        only_with("lora_dropout", self.lora_dropout.is_some(), "method: lora", is_lora)?;
        at_least_one("lora_rank", self.lora_rank.unwrap_or(1))?;
        positive("lora_alpha", self.lora_alpha.unwrap_or(1.0))?;
        below_one("lora_dropout", self.lora_dropout.unwrap_or(0.0))?;
        for (i, module) in self.modules.iter().flatten().enumerate() {
            if !MODULES.contains(&module.as_str()) {
                let at = format!("modules[{i}]");
                return Err(Error::option_at(at, format!("unknown projection `{module}`"))
                    .with_hint(format!("allowed: {}", MODULES.join(", "))));
            }
        }
        match &self.modules {
            Some(modules) if modules.is_empty() => {
                Err(Error::option_at("modules", "an adapter needs at least one projection"))
            }
            _ => Ok(()),
        }
    }

    fn check_optimizer(&self) -> Result<()> {
        let (decays, is_adafactor) =
            (self.optimizer != Optimizer::Adam, self.optimizer == Optimizer::Adafactor);
        let others = "optimizer: adamw` or `optimizer: adafactor";
        only_with("weight_decay", self.weight_decay.is_some(), others, decays)?;
        let needs = "optimizer: adafactor";
        only_with("scale_parameter", self.scale_parameter.is_some(), needs, is_adafactor)?;
        positive("learning_rate", self.learning_rate)?;
        positive("clip_value", self.clip_value.unwrap_or(1.0))?;
        positive("clip_norm", self.clip_norm.unwrap_or(1.0))?;
        not_negative("weight_decay", self.weight_decay.unwrap_or(0.0))
    }

    fn check_schedule(&self) -> Result<()> {
        let is = |kind| self.schedule == kind;
        let is_slanted = is(ScheduleKind::SlantedTriangular);
        only_with("cut", self.cut.is_some(), "schedule: slanted_triangular", is_slanted)?;
        let others = "schedule: linear`, `polynomial` or `constant";
        only_with("warmup_steps", self.warmup_steps > 0, others, !is_slanted)?;
        let falls = is(ScheduleKind::Linear) || is(ScheduleKind::Polynomial);
        let needs = "schedule: linear` or `schedule: polynomial";
        only_with("end_learning_rate", self.end_learning_rate.is_some(), needs, falls)?;
        let is_polynomial = is(ScheduleKind::Polynomial);
        only_with("power", self.power.is_some(), "schedule: polynomial", is_polynomial)?;
        below_one("cut", self.cut.unwrap_or(0.1))?;
        positive("power", self.power.unwrap_or(1.0))?;
        not_negative("end_learning_rate", self.end_learning_rate.unwrap_or(0.0))
    }
}

/// The projections of a T5 network.
const MODULES: [&str; 8] = ["q", "k", "v", "o", "wi", "wi_0", "wi_1", "wo"];

fn auto() -> String {
    "auto".to_owned()
}

fn max_tokens() -> usize {
    512
}

fn max_answer_tokens() -> usize {
    256
}

fn max_new_tokens() -> usize {
    127
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

fn five_hundred() -> usize {
    500
}

fn learning_rate() -> f64 {
    5e-5
}

#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's type")]
fn clip_value() -> Option<f64> {
    Some(1.0)
}

fn yes() -> bool {
    true
}
