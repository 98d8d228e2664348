//! Micro-batches: examples that go through the network at once.

use deft_core::{Error, ErrorKind, Example, Result};

use crate::config::{Objective, TrainerConfig};
use crate::model::defect;
use crate::network::{Batch, Gradients, NetworkConfig, Pass, T5, Work};
use crate::tokens::Tokens;

use super::objective;

/// The ids of some examples.
#[derive(Debug)]
pub(crate) struct MicroBatch {
    pub(crate) inputs: Vec<Vec<u32>>,
    pub(crate) targets: Vec<Vec<u32>>,
    /// Where the examples are among all that are trained on.
    positions: Vec<usize>,
    pub(crate) inputs_cut: u64,
    pub(crate) targets_cut: u64,
}

/// How examples become ids.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Maker<'a> {
    pub(crate) tokens: &'a Tokens,
    pub(crate) config: &'a TrainerConfig,
    /// The ids of sentinels, where spans are hidden.
    pub(crate) sentinels: &'a [u32],
    pub(crate) seed: u64,
}

/// Input and target of one example.
struct Pair {
    input: Vec<u32>,
    target: Vec<u32>,
    input_is_cut: bool,
    target_is_cut: bool,
}

impl Maker<'_> {
    /// Tokenises examples; `epoch` is how often they were seen before.
    pub(crate) fn make(
        &self,
        examples: &[Example],
        positions: &[usize],
        epoch: u64,
    ) -> Result<MicroBatch> {
        let positions = positions.to_vec();
        let (inputs, targets) = (Vec::new(), Vec::new());
        let mut batch = MicroBatch { inputs, targets, positions, inputs_cut: 0, targets_cut: 0 };
        for (example, &position) in examples.iter().zip(&batch.positions) {
            let pair = match self.config.objective {
                Objective::Seq2seq => self.labelled(example, position)?,
                hidden => self.unlabelled(example, position, epoch, hidden)?,
            };
            batch.inputs_cut += u64::from(pair.input_is_cut);
            batch.targets_cut += u64::from(pair.target_is_cut);
            batch.inputs.push(pair.input);
            batch.targets.push(pair.target);
        }
        Ok(batch)
    }

    fn labelled(&self, example: &Example, position: usize) -> Result<Pair> {
        let target = example.target.as_deref().ok_or_else(|| {
            Error::new(ErrorKind::Data, "an example without target cannot be trained on")
                .with_context("position", position)
        })?;
        let input = self.tokens.encode(&example.input, Some(self.config.max_tokens))?;
        let target = self.tokens.encode(target.trim(), Some(self.config.max_answer_tokens))?;
        Ok(Pair {
            input: input.ids,
            target: target.ids,
            input_is_cut: input.is_cut,
            target_is_cut: target.is_cut,
        })
    }

    /// Input and target from the text alone: the input with the target, if there is one, behind.
    fn unlabelled(
        &self,
        example: &Example,
        position: usize,
        epoch: u64,
        objective: Objective,
    ) -> Result<Pair> {
        let mut text = example.input.clone();
        if let Some(target) = &example.target {
            text.push('\n');
            text.push_str(target.trim());
        }
        let Self { tokens, config, sentinels, seed } = *self;
        let mut ids = tokens.encode(&text, Some(config.max_tokens))?;
        ids.ids.pop();
        let (mut rng, eos) = (objective::rng(seed, epoch, position as u64), tokens.eos());
        let (input, mut target) = match objective {
            Objective::PrefixLm => objective::prefix_lm(&ids.ids, eos, &mut rng),
            _ => objective::span_corruption(&ids.ids, sentinels, eos, &mut rng),
        };
        let target_is_cut = target.len() > config.max_answer_tokens;
        if target_is_cut {
            target.truncate(config.max_answer_tokens - 1);
            target.push(eos);
        }
        Ok(Pair { input, target, input_is_cut: ids.is_cut, target_is_cut })
    }
}

impl MicroBatch {
    pub(crate) fn tokens(&self) -> usize {
        count(&self.inputs) + count(&self.targets)
    }

    /// How long it takes, roughly: the weights that its tokens meet.
    pub(crate) fn cost(&self, config: &NetworkConfig) -> usize {
        let (attention, feed_forward) = (4 * config.heads * config.d_kv, 3 * config.d_ff);
        let encoder = config.encoder_layers * (attention + feed_forward);
        let decoder = config.decoder_layers * (2 * attention + feed_forward) + config.vocabulary;
        count(&self.inputs) * encoder + count(&self.targets) * decoder
    }

    /// Loss and gradients, the latter divided by the number of micro-batches in the step.
    ///
    /// `plain`, the network without variables, is given where activations are computed again.
    pub(crate) fn gradients(
        &self,
        network: &T5,
        plain: Option<&T5>,
        pass: Pass<'_>,
        divisor: usize,
    ) -> Result<(f64, Gradients)> {
        let (inputs, targets) = self.batch(network.config()).map_err(|e| defect(&e))?;
        let work = Work { inputs: &inputs, targets: &targets, pass, divisor };
        let done = match plain {
            Some(plain) => network.gradients_by_segments(plain, work),
            None => network.gradients(work),
        };
        let (loss, gradients) = done.map_err(|e| defect(&e))?;
        if loss.is_finite() {
            return Ok((loss, gradients));
        }
        Err(Error::new(ErrorKind::Model, format!("the loss is no number any more: {loss}"))
            .with_context("positions", format!("{:?}", self.positions))
            .with_hint("a lower `learning_rate` often helps"))
    }
}

impl MicroBatch {
    /// The inputs padded, and the targets.
    fn batch(&self, config: &NetworkConfig) -> candle_core::Result<(Batch, Vec<&[u32]>)> {
        let inputs = Batch::new(self.inputs.iter().map(Vec::as_slice), config.pad)?;
        Ok((inputs, self.targets.iter().map(Vec::as_slice).collect()))
    }

    /// Mean loss of a target's token, and how many tokens there are.
    pub(crate) fn loss(&self, plain: &T5) -> Result<(f64, usize)> {
        self.batch(plain.config())
            .and_then(|(inputs, targets)| plain.loss(&inputs, &targets))
            .map_err(|e| defect(&e))
    }
}

fn count(texts: &[Vec<u32>]) -> usize {
    texts.iter().map(Vec::len).sum()
}
