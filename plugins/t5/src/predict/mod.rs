//! Prediction: scores of answer options, and generated text.

mod generate;
mod score;

use std::sync::Arc;

use deft_core::prelude::*;

use crate::config::TrainerConfig;
use crate::model::{Model, WHOLE};
use crate::network::T5;
use crate::parallel::Workers;

#[cfg(test)]
pub(crate) use generate::{Generation, generate};

/// Padded tokens of a batch, inputs and options.
const BATCH_TOKENS: usize = 2048;

/// A model open for prediction.
#[derive(Debug)]
pub(crate) struct T5Predictor {
    model: Arc<Model>,
    network: T5,
    config: TrainerConfig,
}

/// A network that predicts: its own, or one in training.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Predicting<'a> {
    model: &'a Model,
    network: &'a T5,
    config: &'a TrainerConfig,
}

/// An example's ids.
struct Tokenised {
    input: Vec<u32>,
    options: Vec<Vec<u32>>,
}

impl T5Predictor {
    pub(crate) fn open(
        ctx: &Context<'_>,
        model: Arc<Model>,
        config: &TrainerConfig,
    ) -> Result<Self> {
        let network = model.network(&model.tensors(ctx, &WHOLE)?)?;
        Ok(Self { model, network, config: config.clone() })
    }

    fn predicting(&self) -> Predicting<'_> {
        Predicting::new(&self.model, &self.network, &self.config)
    }
}

impl Predictor for T5Predictor {
    fn predict(
        &self,
        ctx: &Context<'_>,
        examples: &[Example],
        kind: PredictionKind,
    ) -> Result<Vec<Prediction>> {
        let workers = Workers::new(ctx.threads())?;
        match kind {
            PredictionKind::OptionScores => self.predicting().scores(ctx, &workers, examples),
            PredictionKind::Text => self.predicting().texts(ctx, &workers, examples),
        }
    }
}

impl<'a> Predicting<'a> {
    pub(crate) fn new(model: &'a Model, network: &'a T5, config: &'a TrainerConfig) -> Self {
        Self { model, network, config }
    }

    /// The ids of examples, with those of their options where these are wanted.
    fn tokenise(
        &self,
        workers: &Workers,
        examples: &[Example],
        kind: PredictionKind,
    ) -> Result<Vec<Tokenised>> {
        let (tokens, config) = (self.model.tokens(), self.config);
        let mut tokenised = Vec::with_capacity(examples.len());
        let tokenise = |position: usize| {
            let example = &examples[position];
            if kind == PredictionKind::OptionScores && example.options.is_empty() {
                return Err(Error::new(
                    ErrorKind::Data,
                    "an example without answer options cannot be scored",
                )
                .with_context("example", position));
            }
            let limit = Some(config.max_answer_tokens);
            let option = |text: &String| Ok(tokens.encode(text.trim(), limit)?.ids);
            let options = match kind {
                PredictionKind::OptionScores => {
                    example.options.iter().map(option).collect::<Result<_>>()?
                }
                PredictionKind::Text => Vec::new(),
            };
            let input = tokens.encode(&example.input, Some(config.max_tokens))?.ids;
            Ok(Tokenised { input, options })
        };
        workers.run(examples.len(), tokenise, |_, example| {
            tokenised.push(example);
            Ok(())
        })?;
        Ok(tokenised)
    }
}

/// candle's ids are 32 bits wide; a batch is never that large.
fn index(value: usize) -> u32 {
    u32::try_from(value).expect("a batch has fewer than 2³² rows")
}
