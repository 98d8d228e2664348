//! Trainers: examples into a model folder, and a model folder into predictions.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Context, Example, Examples, Result};

/// Fine-tunes a model on examples and predicts with it.
///
/// - Its methods may be called from several threads at once.
/// - Everything random comes from `ctx.seed()`; the same examples, options and seed give the same
///   model at any thread count, or the capabilities say `"deterministic": false`.
/// - The model folder has Hugging Face's layout, complete: `config.json`, `model.safetensors`,
///   `tokenizer.json`.
pub trait Trainer: Send + Sync {
    /// What the trainer starts from.
    fn info(&self) -> TrainerInfo;

    /// Trains on `examples` and writes the model folder into `out`, an empty folder.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Data`] for an example without target; [`crate::ErrorKind::Model`] when
    /// the loss is no number any more. The host throws `out` away.
    fn train(&self, ctx: &Context<'_>, examples: &dyn Examples, out: &Path) -> Result<TrainReport>;

    /// Opens a model folder for prediction; `None` is the model that training starts from.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Model`] when the folder holds no such model.
    fn open(&self, ctx: &Context<'_>, model: Option<&Path>) -> Result<Box<dyn Predictor>>;

    /// Answers a request that this version of the trait does not name, JSON in and out.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Unsupported`] for every name that the component does not know.
    fn call(&self, _ctx: &Context<'_>, name: &str, _json: &str) -> Result<String> {
        Err(crate::Error::unknown_call(name))
    }
}

/// What a trainer starts from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainerInfo {
    /// Everything beside options and seed that can change a trained model: the starting weights.
    pub fingerprint: String,
    /// Trainable parameters.
    #[serde(default)]
    pub parameters: u64,
    /// What a reader of the results should know (“random weights”), a sentence each.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// What happened while training.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainReport {
    /// Optimizer steps.
    pub steps: u64,
    /// Mean loss of each epoch (or of the steps, where there are fewer than an epoch's).
    #[serde(default)]
    pub losses: Vec<f64>,
    /// Tokens trained on, inputs and targets, padding not counted.
    #[serde(default)]
    pub tokens: u64,
    /// Whatever else the trainer has to say.
    #[serde(default)]
    pub extra: Map<String, Value>,
}

/// A model open for prediction, shared by threads.
pub trait Predictor: Send + Sync {
    /// Predicts for `examples`, in their order.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Unsupported`] when this model cannot predict in that way;
    /// [`crate::ErrorKind::Data`] for an example without options where scores are wanted.
    fn predict(
        &self,
        ctx: &Context<'_>,
        examples: &[Example],
        kind: PredictionKind,
    ) -> Result<Vec<Prediction>>;
}

/// How a task wants its answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PredictionKind {
    /// A score for each option: rank classification.
    #[default]
    OptionScores,
    /// Generated text.
    Text,
}

/// One prediction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prediction {
    /// For each option its log-probability (natural logarithm, summed over its tokens, `</s>`
    /// among them) and the number of these tokens.
    OptionScores {
        /// Summed log-probabilities.
        log_probs: Vec<f64>,
        /// Token counts.
        tokens: Vec<u32>,
    },
    /// Generated text.
    Text(String),
}
