//! Options of the trainer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::choices::is_default;
use super::{
    DeviceChoice, Init, Keep, Method, ModelOptions, Objective, Optimizer, Precision, ScheduleKind,
};

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
    /// that of the model. Models that are evaluated have their own, if there is one.
    #[serde(default)]
    pub tokenizer: Option<String>,
    /// Where weights come from: `pretrained` (default) reads them, `random` makes new ones of the
    /// shape that `config.json` gives.
    #[serde(default)]
    pub init: Init,
    /// Seed of random weights. Default: the seed of the run.
    #[serde(default)]
    pub init_seed: Option<u64>,
    /// Where to compute: `auto` (default: the first GPU that can be used, else the CPU), `cpu`,
    /// `cuda` (the first GPU, or an error) or `cuda:N` (GPU N, counted from 0). A GPU needs a build
    /// with CUDA: see docs/gpu.md. Models of two devices differ by rounding, and by the masks of
    /// dropout where a length is no multiple of 8.
    #[serde(default)]
    #[schemars(extend("x-deft-mark" = "use"))]
    pub device: DeviceChoice,
    /// In what numbers to compute: `f32` (default), `tf32` (a GPU multiplies matrices with 19 of the
    /// 32 bits) or `bf16` (16 bits, slow on a CPU, where it is for checking). What is trained is kept
    /// and changed in f32 in any case, and so is the model that is written.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = "f32"))]
    pub precision: Precision,

    /// What is trained: `full` (default) all weights, `ia3` or `lora` an adapter beside them, which
    /// is saved alone, in PEFT's layout.
    #[serde(default)]
    pub method: Method,
    /// Names of the projections that an adapter is put on: of `q k v o wi wi_0 wi_1 wo`. Default:
    /// `[k, v, wi_1]` for `ia3` (the paper's), `[q, v]` for `lora`.
    #[serde(default)]
    pub modules: Option<Vec<String>>,
    /// Rank of `lora`. Default 8; 1 to 1,024.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1024))]
    pub lora_rank: Option<usize>,
    /// `lora` adds its product times this over the rank. Default 16, above 0.
    #[serde(default)]
    pub lora_alpha: Option<f64>,
    /// Share of a projection's inputs that `lora` drops, in 0 ..< 1. Default 0.
    #[serde(default)]
    pub lora_dropout: Option<f64>,

    /// What is learned: `seq2seq` (default) inputs to targets; `span_corruption` (T5's pre-training)
    /// or `prefix_lm` the texts themselves, which are inputs with their targets, if any, behind. Of a
    /// text longer than `max_tokens` each epoch takes another window, drawn by the seed.
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
    /// Examples of a micro-batch, which is computed at once by one thread. Default 1, at least 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub batch_size: usize,
    /// Micro-batches of an optimizer step; as many run in parallel as there are threads, each with
    /// memory of its own. Default 8, at least 1.
    #[serde(default = "eight")]
    #[schemars(range(min = 1))]
    pub gradient_accumulation: usize,
    /// Whether each epoch has an order of its own, by the seed (default), or all have the given.
    #[serde(default = "yes")]
    pub shuffle: bool,
    /// Tokens of an input, `</s>` among them; longer inputs are cut before it and counted. Memory
    /// grows with the square: each head keeps a share of attention for every pair of tokens. Default
    /// 512; 1 to 32,768.
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
    /// Steps in which the other schedules rise from 0. Default 0. More than there are steps is warned
    /// of: the rate never reaches its height.
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

    /// Steps from one look at the examples of the task's `validation_source` to the next; there is
    /// always one at the end. Default: an epoch; with `steps`, all of them. At least 1.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub validate_every: Option<usize>,
    /// Which weights are the result: those at the end (`last`, default, the paper's rule), or those
    /// of the validation with the lowest loss (`best`), which needs a `validation_source`; with
    /// `steps` also `validate_every`.
    #[serde(default)]
    pub keep: Keep,
    /// A stopped training goes on from its last checkpoint; one is made every so many steps, and at
    /// the end or a stop where half a second is enough for it. Default 500; 0 for none.
    #[serde(default = "five_hundred")]
    #[schemars(extend("x-deft-mark" = "use"))]
    pub checkpoint_every: usize,
    /// Checkpoints that are kept while training; the disk needs room for one more. Default 1, at
    /// least 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1), extend("x-deft-mark" = "use"))]
    pub keep_checkpoints: usize,
    /// The mean loss since the line before is logged every so many steps, after the first and after
    /// the last. Default 100; 0 for none.
    #[serde(default = "hundred")]
    #[schemars(extend("x-deft-mark" = "use"))]
    pub log_every: usize,

    /// Most tokens of a generated text, `</s>` among them. Default 127 (the original's 128 with the
    /// start token), at least 1.
    #[serde(default = "max_new_tokens")]
    #[schemars(range(min = 1), extend("x-deft-mark" = "predict"))]
    pub max_new_tokens: usize,
    /// Texts that generation keeps at once. Default 1 (greedy); 1 to 64.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 64), extend("x-deft-mark" = "predict"))]
    pub beams: usize,
    /// With several beams, a text's log-probability is divided by its length to this power. Default
    /// 1; more favours long texts. Refused with `beams: 1`, where it does nothing.
    #[serde(default)]
    #[schemars(extend("x-deft-mark" = "predict"))]
    pub length_penalty: Option<f64>,
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
