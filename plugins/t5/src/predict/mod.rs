//! Prediction: scores of answer options, and generated text.

mod beams;
mod budget;
mod generate;
mod score;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use deft_core::prelude::*;

use crate::config::TrainerConfig;
use crate::device::{Lease, Placement};
use crate::model::{Model, WHOLE};
use crate::network::{Pass, T5};
use crate::threads::Threads;
use deft_neural::Encoded;
use deft_neural::Workers;

use budget::{Failed, Numbered};

pub(crate) use budget::Budget;
#[cfg(test)]
pub(crate) use generate::{Generation, generate};

/// Examples of a tokenising task.
const TOKENISED_AT_ONCE: usize = 64;

/// A model open for prediction.
#[derive(Debug)]
pub(crate) struct T5Predictor {
    model: Arc<Model>,
    network: T5,
    budget: Budget,
    placement: Lease,
    config: TrainerConfig,
}

/// A network that predicts: its own, or one in training.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Predicting<'a> {
    model: &'a Model,
    network: &'a T5,
    budget: &'a Budget,
    config: &'a TrainerConfig,
}

/// An example's ids.
#[derive(Debug)]
struct Tokenised {
    input: Encoded,
    options: Vec<Encoded>,
}

/// Why a batch has no predictions.
#[derive(Debug)]
pub(crate) enum Failure {
    Network(candle_core::Error),
    /// What the network makes of this input of the batch are no numbers.
    NotFinite {
        row: usize,
    },
}

impl T5Predictor {
    pub(crate) fn open(
        ctx: &Context<'_>,
        model: Arc<Model>,
        config: &TrainerConfig,
        placement: &Placement,
    ) -> Result<Self> {
        let weights = placement.put_all(&model.tensors(ctx, &WHOLE)?)?;
        let network = model.network(&weights)?.remembering();
        let budget = Budget::of(placement, model.config(), config.max_tokens);
        let (placement, config) = (placement.clone().into(), config.clone());
        Ok(Self { model, network, budget, placement, config })
    }

    fn predicting(&self) -> Predicting<'_> {
        Predicting::new(&self.model, &self.network, &self.budget, &self.config)
    }
}

impl Predictor for T5Predictor {
    fn predict(
        &self,
        ctx: &Context<'_>,
        examples: &[Example],
        kind: PredictionKind,
    ) -> Result<Vec<Prediction>> {
        let threads = Threads::new(ctx.threads(), &self.placement)?;
        let predicting = self.predicting();
        let examples = predicting.tokenise(ctx, threads.all(), examples, kind)?;
        warn_of_cuts(ctx, &self.config, &examples);
        let workers = threads.computing();
        match kind {
            PredictionKind::OptionScores => predicting.option_scores(ctx, workers, &examples),
            PredictionKind::Text => predicting.texts(ctx, workers, &examples),
        }
    }
}

impl<'a> Predicting<'a> {
    pub(crate) fn new(
        model: &'a Model,
        network: &'a T5,
        budget: &'a Budget,
        config: &'a TrainerConfig,
    ) -> Self {
        Self { model, network, budget, config }
    }

    /// The log-probability of every option of every example, summed over its tokens.
    pub(crate) fn scores(
        &self,
        ctx: &Context<'_>,
        workers: &Workers,
        examples: &[Example],
    ) -> Result<Vec<Prediction>> {
        let examples = self.tokenise(ctx, workers, examples, PredictionKind::OptionScores)?;
        self.option_scores(ctx, workers, &examples)
    }

    /// The ids of examples, with those of their options where these are wanted.
    fn tokenise(
        &self,
        ctx: &Context<'_>,
        workers: &Workers,
        examples: &[Example],
        kind: PredictionKind,
    ) -> Result<Vec<Tokenised>> {
        let tasks: Vec<&[Example]> = examples.chunks(TOKENISED_AT_ONCE).collect();
        let mut tokenised = Vec::with_capacity(examples.len());
        workers.run(
            tasks.len(),
            |task| {
                ctx.check()?;
                let positions = task * TOKENISED_AT_ONCE..;
                let some = positions.zip(tasks[task]);
                some.map(|(at, example)| self.ids(example, at, kind)).collect::<Result<Vec<_>>>()
            },
            |_, some| {
                tokenised.extend(some);
                Ok(())
            },
        )?;
        Ok(tokenised)
    }

    fn ids(&self, example: &Example, position: usize, kind: PredictionKind) -> Result<Tokenised> {
        let (tokens, config) = (self.model.tokens(), self.config);
        let option = |text: &String| tokens.encode(text.trim(), Some(config.max_answer_tokens));
        let options = match kind {
            PredictionKind::Text => Vec::new(),
            PredictionKind::OptionScores if example.options.is_empty() => {
                let message = "an example without answer options cannot be scored";
                return Err(Error::new(ErrorKind::Data, message).with_context("example", position));
            }
            PredictionKind::OptionScores => {
                example.options.iter().map(option).collect::<Result<_>>()?
            }
        };
        Ok(Tokenised { input: tokens.encode(&example.input, Some(config.max_tokens))?, options })
    }
}

/// Tells of texts that were longer than allowed, once for all examples of a call.
fn warn_of_cuts(ctx: &Context<'_>, config: &TrainerConfig, examples: &[Tokenised]) {
    let part = |what: &str, texts: Vec<&Encoded>, limit: String| {
        let cut = texts.iter().filter(|text| text.is_cut).count();
        (cut > 0).then(|| format!("{cut} of {} {what} to {limit}", texts.len()))
    };
    let inputs = examples.iter().map(|example| &example.input).collect();
    let options = examples.iter().flat_map(|example| &example.options).collect();
    let parts = [
        part("inputs", inputs, format!("`max_tokens` ({})", config.max_tokens)),
        part("options", options, format!("`max_answer_tokens` ({})", config.max_answer_tokens)),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if !parts.is_empty() {
        ctx.warn(&format!("predictions are made from texts that were cut: {}", parts.join(", ")));
    }
}

impl Predicting<'_> {
    /// Computes something of each of a batch's examples: see [`Budget::in_parts`].
    fn compute<T>(
        &self,
        batch: &[Numbered<'_>],
        tokens: impl Fn(&Tokenised) -> usize,
        pass: &Pass<'_>,
        compute: impl Fn(&[Numbered<'_>]) -> Result<Vec<T>, Failure>,
    ) -> Result<Vec<T>> {
        self.budget.in_parts(batch, tokens, compute).map_err(|failed| match failed {
            Failed::Network(error) => {
                self.budget.failure(&error, batch).unwrap_or_else(|| pass.error(&error))
            }
            Failed::NotFinite { example } => not_finite(example),
        })
    }
}

/// What the user is told of an example whose predictions are no numbers.
fn not_finite(example: usize) -> Error {
    let message = "what the model computes of an example are no finite numbers";
    Error::new(ErrorKind::Model, message).with_context("example", example).with_hint(
        "its weights are damaged, or of a training that went astray: take others, or train with a \
         lower `learning_rate`",
    )
}

/// The examples of a batch with their places among those of a call.
fn numbered<'a>(batch: &[usize], examples: &'a [Tokenised]) -> Vec<Numbered<'a>> {
    batch.iter().map(|&at| (at, &examples[at])).collect()
}

impl From<candle_core::Error> for Failure {
    fn from(error: candle_core::Error) -> Self {
        Self::Network(error)
    }
}

/// candle's ids are 32 bits wide; a batch is never that large.
fn index(value: usize) -> u32 {
    u32::try_from(value).expect("a batch has fewer than 2³² rows")
}
