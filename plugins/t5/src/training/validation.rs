//! What a model in training makes of examples that it is not trained on.

use std::cmp::Reverse;

use deft_core::{Context, Example, Examples, Prediction, Result, ValidationReport};

use crate::config::TrainerConfig;
use crate::model::Model;
use crate::predict::Predicting;

use super::learner::Learner;
use super::micro_batch::{Pair, mean_loss};

/// Examples that are read at once.
const EXAMPLES_AT_ONCE: usize = 256;
/// Padded tokens of inputs and targets whose loss is computed at once.
const BATCH_TOKENS: usize = 2048;
/// What progress counts.
pub(super) const UNIT: &str = "validation examples";

/// The examples that a training is watched with.
pub(crate) struct Validation<'a> {
    ctx: &'a Context<'a>,
    config: &'a TrainerConfig,
    model: &'a Model,
    examples: &'a dyn Examples,
    /// Whether all have options and a right one; not known before they were read.
    is_rated: Option<bool>,
}

/// Sums over examples.
#[derive(Debug, Default)]
struct Sums {
    loss: f64,
    tokens: usize,
    right: usize,
}

impl<'a> Validation<'a> {
    /// `None` without examples.
    pub(crate) fn new(
        ctx: &'a Context<'a>,
        config: &'a TrainerConfig,
        model: &'a Model,
        examples: Option<&'a dyn Examples>,
    ) -> Option<Self> {
        let examples = examples.filter(|examples| !examples.is_empty())?;
        Some(Self { ctx, config, model, examples, is_rated: None })
    }

    /// Loss and, where all examples have options, accuracy of the model after so many steps.
    pub(crate) fn report(
        &mut self,
        learner: &Learner<'_>,
        step: usize,
    ) -> Result<ValidationReport> {
        let (count, mut sums) = (self.examples.len(), Sums::default());
        self.ctx.progress(0, count, UNIT);
        let is_rated = self.is_rated()?;
        let budget = is_rated.then(|| learner.budget());
        let positions: Vec<usize> = (0..count).collect();
        let mut done = 0;
        for positions in positions.chunks(EXAMPLES_AT_ONCE) {
            let some = self.examples.get(positions)?;
            self.add_losses(learner, &some, positions, &mut sums)?;
            if let Some(budget) = &budget {
                let predicting = Predicting::new(self.model, learner.plain(), budget, self.config);
                let scores =
                    predicting.scores(&self.ctx.quiet(), learner.threads().computing(), &some)?;
                sums.right += some.iter().zip(&scores).filter(|(e, p)| is_right(e, p)).count();
            }
            done += some.len();
            self.ctx.progress(done, count, UNIT);
        }
        Ok(ValidationReport {
            step: step as u64,
            loss: sums.loss / sums.tokens as f64,
            accuracy: is_rated.then_some(sums.right as f64 / count as f64),
        })
    }

    /// Whether all examples have options and a right one: looked up once.
    fn is_rated(&mut self) -> Result<bool> {
        if let Some(known) = self.is_rated {
            return Ok(known);
        }
        let found = self.have_options()?;
        self.is_rated = Some(found);
        Ok(found)
    }

    fn have_options(&self) -> Result<bool> {
        let positions: Vec<usize> = (0..self.examples.len()).collect();
        for positions in positions.chunks(EXAMPLES_AT_ONCE) {
            self.ctx.check()?;
            let some = self.examples.get(positions)?;
            if some.iter().any(|example| example.options.is_empty() || example.gold.is_none()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn add_losses(
        &self,
        learner: &Learner<'_>,
        examples: &[Example],
        positions: &[usize],
        sums: &mut Sums,
    ) -> Result<()> {
        let (maker, threads) = (learner.maker(), learner.threads());
        let mut pairs = Vec::with_capacity(examples.len());
        threads.all().run(
            examples.len(),
            |at| {
                self.ctx.check()?;
                maker.pair(&examples[at], positions[at], 0)
            },
            |_, pair| {
                pairs.push(pair);
                Ok(())
            },
        )?;
        let batches = grouped(&pairs, BATCH_TOKENS);
        threads.computing().run(
            batches.len(),
            |task| {
                self.ctx.check()?;
                mean_loss(&batches[task], learner.plain())
            },
            |_, (mean, tokens)| {
                sums.loss += mean * tokens as f64;
                sums.tokens += tokens;
                Ok(())
            },
        )
    }
}

/// Puts examples of similar lengths together, within a budget of padded tokens: at least one a batch.
///
/// The batches depend on the lengths alone, and a loss on its batch no further than by rounding.
fn grouped(pairs: &[Pair], budget: usize) -> Vec<Vec<&Pair>> {
    let mut sorted: Vec<&Pair> = pairs.iter().collect();
    sorted.sort_by_key(|pair| Reverse((pair.input.len(), pair.target.len())));
    let mut batches: Vec<Vec<&Pair>> = Vec::new();
    // The longest of the last batch: its first input, and a target anywhere in it.
    let (mut input, mut target) = (0, 0);
    for pair in sorted {
        let longest = pair.target.len().max(target);
        match batches.last_mut() {
            Some(batch) if (batch.len() + 1) * (input + longest) <= budget => {
                target = longest;
                batch.push(pair);
            }
            _ => {
                (input, target) = (pair.input.len(), pair.target.len());
                batches.push(vec![pair]);
            }
        }
    }
    batches
}

/// Whether the likeliest option, the first of equal ones, is the right one.
fn is_right(example: &Example, prediction: &Prediction) -> bool {
    let Prediction::OptionScores { log_probs, .. } = prediction else { return false };
    let best = (0..log_probs.len()).rev().max_by(|&a, &b| log_probs[a].total_cmp(&log_probs[b]));
    best.is_some() && best == example.gold
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{WHOLE, Weights};
    use crate::testing::{context, model_dir};
    use serde_json::json;

    fn pair(input: usize, target: usize) -> Pair {
        let id = |n: usize| 2 + u32::try_from(n % 38).expect("small");
        let ids = |count: usize, by: usize| (0..count).map(|n| id(n * by)).collect();
        Pair::whole(ids(input, 7), ids(target, 5))
    }

    #[test]
    fn batches_hold_what_is_alike_within_the_budget() {
        let pairs = [pair(3, 1), pair(90, 5), pair(4, 2), pair(3, 4), pair(200, 1), pair(4, 1)];
        let lengths = |budget| -> Vec<Vec<_>> {
            let batches = grouped(&pairs, budget);
            let shape = |pair: &&Pair| (pair.input.len(), pair.target.len());
            batches.iter().map(|batch| batch.iter().map(shape).collect()).collect()
        };
        let short = [vec![(4, 2), (4, 1), (3, 4)], vec![(3, 1)]];
        assert_eq!(lengths(24), [&[vec![(200, 1)], vec![(90, 5)]], &short[..]].concat());
        assert_eq!(lengths(1).len(), 6);
        assert_eq!(lengths(10_000).len(), 1);
    }

    #[test]
    fn the_loss_depends_on_the_batches_by_rounding_alone() {
        let dir = model_dir(&json!({}));
        let weights = Weights::Random(1);
        let model = Model::open_dir(&context(1), dir.path(), None, weights).expect("a model");
        let network = model.network(&model.tensors(&context(1), &WHOLE).expect("weights"));
        let network = network.expect("a network");
        let pairs: Vec<Pair> = (0..40).map(|n| pair(1 + n * 13 % 31, 1 + n * 5 % 9)).collect();
        let mean = |budget| {
            let (mut sum, mut count) = (0.0, 0);
            for batch in grouped(&pairs, budget) {
                let (loss, tokens) = mean_loss(&batch, &network).expect("a loss");
                sum += loss * tokens as f64;
                count += tokens;
            }
            (sum / f64::from(u32::try_from(count).expect("small")), count)
        };
        let (alone, tokens) = mean(1);
        for budget in [64, 256, 100_000] {
            let (together, count) = mean(budget);
            assert_eq!(count, tokens);
            assert!((together - alone).abs() < 1e-5 * alone, "{budget}: {together}, not {alone}");
        }
    }
}
