//! What a model in training makes of examples that it is not trained on.

use deft_core::{Context, Example, Examples, Prediction, Result, ValidationReport};

use crate::config::TrainerConfig;
use crate::model::Model;
use crate::predict::Predicting;

use super::learner::Learner;

/// Examples that are read at once.
const EXAMPLES_AT_ONCE: usize = 512;
/// Examples whose loss is computed at once.
const BATCH: usize = 8;

/// Sums over validation examples.
#[derive(Debug, Default)]
struct Sums {
    loss: f64,
    tokens: usize,
    right: usize,
    /// Examples with options and a gold answer.
    rated: usize,
}

/// Loss and, where all examples have options, accuracy after so many steps.
pub(crate) fn validate(
    ctx: &Context<'_>,
    config: &TrainerConfig,
    model: &Model,
    learner: &Learner<'_>,
    examples: &dyn Examples,
    step: usize,
) -> Result<ValidationReport> {
    let workers = learner.workers();
    let positions: Vec<usize> = (0..examples.len()).collect();
    let mut sums = Sums::default();
    let predicting = Predicting::new(model, learner.plain(), config);
    for positions in positions.chunks(EXAMPLES_AT_ONCE) {
        let some = examples.get(positions)?;
        add_losses(ctx, learner, &some, positions, &mut sums)?;
        if some.iter().all(|example| !example.options.is_empty() && example.gold.is_some()) {
            let predictions = predicting.scores(&ctx.quiet(), workers, &some)?;
            sums.rated += some.len();
            sums.right += some.iter().zip(&predictions).filter(|(e, p)| is_right(e, p)).count();
        }
    }
    let accuracy = sums.right as f64 / sums.rated as f64;
    Ok(ValidationReport {
        step: step as u64,
        loss: sums.loss / sums.tokens as f64,
        accuracy: (sums.rated == examples.len()).then_some(accuracy),
    })
}

fn add_losses(
    ctx: &Context<'_>,
    learner: &Learner<'_>,
    examples: &[Example],
    positions: &[usize],
    sums: &mut Sums,
) -> Result<()> {
    let (maker, plain) = (learner.maker(), learner.plain());
    let batches: Vec<_> = examples.chunks(BATCH).zip(positions.chunks(BATCH)).collect();
    learner.workers().run(
        batches.len(),
        |task| {
            ctx.check()?;
            maker.make(batches[task].0, batches[task].1, 0)?.loss(plain)
        },
        |_, (loss, tokens)| {
            sums.loss += loss * tokens as f64;
            sums.tokens += tokens;
            Ok(())
        },
    )
}

/// Whether the likeliest option, the first of equal ones, is the right one.
fn is_right(example: &Example, prediction: &Prediction) -> bool {
    let Prediction::OptionScores { log_probs, .. } = prediction else { return false };
    let best = (0..log_probs.len()).rev().max_by(|&a, &b| log_probs[a].total_cmp(&log_probs[b]));
    best.is_some() && best == example.gold
}
