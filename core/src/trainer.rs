//! Trainers: examples into a model folder, and a model folder into predictions.

use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::{Context, Example, Examples, Result};

/// Fine-tunes a model on examples and predicts with it.
///
/// - Its methods may be called from several threads at once.
/// - Everything random comes from `ctx.seed()`; the same examples, options and seed give the same
///   model at any thread count, or the capabilities say `"deterministic": false`.
/// - The model folder has Hugging Face's layout, complete: `config.json`, `model.safetensors`,
///   `tokenizer.json`; or PEFT's, where an adapter was trained.
pub trait Trainer: Send + Sync {
    /// What the trainer starts from.
    fn info(&self) -> TrainerInfo;

    /// Trains, and writes the model folder.
    ///
    /// A training that was stopped may be given to `train` again, with the same build options, seed,
    /// examples and scratch folder (other options and the threads may differ): whatever it goes on
    /// from, it ends with the same model.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Data`] for an example without target, with the context `position`;
    /// [`crate::ErrorKind::Model`] when the loss is no number any more, with the context
    /// `positions`: a JSON list. The host names the examples at these positions.
    fn train(&self, ctx: &Context<'_>, training: &Training<'_>) -> Result<TrainReport>;

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

/// What one training is given.
#[derive(Clone, Copy)]
pub struct Training<'a> {
    /// What is trained on.
    pub examples: &'a dyn Examples,
    /// Labelled examples to watch the training with, never to train on; `None` without.
    pub validation: Option<&'a dyn Examples>,
    /// Where to.
    pub folders: TrainingFolders<'a>,
}

impl std::fmt::Debug for Training<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Training")
            .field("examples", &self.examples.len())
            .field("validation", &self.validation.map(Examples::len))
            .field("folders", &self.folders)
            .finish()
    }
}

/// The folders of one training; each is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrainingFolders<'a> {
    /// For the model: empty, and thrown away if the training fails.
    pub out: &'a Path,
    /// For what a stopped training goes on from: empty at its first try, kept until it is finished.
    pub scratch: &'a Path,
    /// For what people look at, such as losses by step; no result.
    pub logs: &'a Path,
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
    #[serde(default, deserialize_with = "numbers")]
    pub losses: Vec<f64>,
    /// Tokens trained on, inputs and targets, padding not counted.
    #[serde(default)]
    pub tokens: u64,
    /// What the validation examples said, each time that they were looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub validation: Vec<ValidationReport>,
    /// Whatever else the trainer has to say.
    #[serde(default)]
    pub extra: Map<String, Value>,
}

/// What a model in training makes of the validation examples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ValidationReport {
    /// Optimizer steps done.
    pub step: u64,
    /// Mean loss of a target's token; it may be no number.
    #[serde(deserialize_with = "number")]
    pub loss: f64,
    /// Share of examples whose likeliest option, by the sum over its tokens, is the right one;
    /// `None` unless all have options.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
}

/// JSON has no NaN and writes it as `null`: a report must not cost a model.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

fn numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    let numbers: Vec<Option<f64>> = Vec::deserialize(deserializer)?;
    Ok(numbers.into_iter().map(|number| number.unwrap_or(f64::NAN)).collect())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_with_a_loss_that_is_no_number_crosses_as_json() {
        let validation = vec![ValidationReport { step: 1, loss: f64::INFINITY, accuracy: None }];
        let report = TrainReport { losses: vec![1.5, f64::NAN], validation, ..Default::default() };
        let text = serde_json::to_string(&report).expect("JSON");
        let read: TrainReport = serde_json::from_str(&text).expect("a report");
        assert!(read.losses[0] == 1.5 && read.losses[1].is_nan());
        assert!(read.validation[0].loss.is_nan());
    }
}
