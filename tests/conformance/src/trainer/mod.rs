//! What a trainer promises.

mod predict;
mod train;
mod trained;

use deft_core::Example;

use crate::Component;
use crate::component::suite;
use crate::data;
use crate::report::Check;

/// The checks of a trainer, with options under which it takes a second and learns a little.
#[derive(Debug, Clone)]
pub struct TrainerChecks {
    pub(crate) component: Component,
    examples: Vec<Example>,
    frozen: Vec<String>,
}

suite!(TrainerChecks, CHECKS);

const CHECKS: &[Check<TrainerChecks>] = &[
    Check::new(
        "loss_falls",
        "the loss is a number, and falls from epoch to epoch",
        train::loss_falls,
    ),
    Check::new("every_parameter", "what is trained depends on the targets", train::every_parameter),
    Check::new("repeatable", "the same seed gives the same model", train::repeatable),
    Check::new("threads", "the model does not depend on the threads", train::threads),
    Check::new("seed", "another seed gives another model", train::seed),
    Check::new("interrupted", "a training cancelled half way leaves no trace", train::interrupted),
    Check::new(
        "watched",
        "examples that a training is watched with change nothing of the model",
        train::watched,
    ),
    Check::new(
        "resumed",
        "a training that was stopped and is tried again ends with the same model",
        train::resumed,
    ),
    Check::new("cancelled", "a cancelled training stops within a second", train::cancelled),
    Check::new("no_target", "an example without target is a data error", train::no_target),
    Check::new("fingerprint", "equal options give equal information", train::fingerprint),
    Check::new("folder", "the model folder is complete and well formed", train::folder),
    Check::new("reopened", "a model opened elsewhere predicts the same", predict::reopened),
    Check::new(
        "untrained",
        "the model that training starts from can be opened",
        predict::untrained,
    ),
    Check::new("no_model", "a folder without model is a model error", predict::no_model),
    Check::new("scores", "scores are log-probabilities, with token counts", predict::scores),
    Check::new("order", "predictions come in the order of the examples", predict::order),
    Check::new("no_options", "an example without options is a data error", predict::no_options),
    Check::new("text", "text is predicted where text is wanted, or refused", predict::text),
    Check::new("concurrent", "predictions at once do not disturb each other", predict::concurrent),
];

impl TrainerChecks {
    pub(crate) fn new(component: Component) -> Self {
        Self { component, examples: data::examples(24), frozen: Vec::new() }
    }

    /// What is trained on, in place of 24 examples that any model can learn.
    #[must_use]
    pub fn with_examples(mut self, examples: Vec<Example>) -> Self {
        self.examples = examples;
        self
    }

    /// Tensors of `model.safetensors` that training leaves as they are.
    #[must_use]
    pub fn with_frozen(mut self, tensors: &[&str]) -> Self {
        self.frozen = tensors.iter().map(|&name| name.to_owned()).collect();
        self
    }
}
