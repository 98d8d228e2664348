//! Micro-batches: examples that go through the network at once.

use deft_core::{Error, ErrorKind, Example, Result};

use crate::config::TrainerConfig;
use crate::model::defect;
use crate::network::{Batch, Gradients, NetworkConfig, Pass, T5};
use crate::tokens::Tokens;

/// The ids of some examples.
#[derive(Debug)]
pub(crate) struct MicroBatch {
    inputs: Vec<Vec<u32>>,
    targets: Vec<Vec<u32>>,
    /// Where the examples are among all that are trained on.
    positions: Vec<usize>,
    pub(crate) inputs_cut: u64,
    pub(crate) targets_cut: u64,
}

impl MicroBatch {
    /// Tokenises examples, which must have targets.
    pub(crate) fn new(
        tokenizer: &Tokens,
        config: &TrainerConfig,
        examples: &[Example],
        positions: &[usize],
    ) -> Result<Self> {
        let positions = positions.to_vec();
        let (inputs, targets) = (Vec::new(), Vec::new());
        let mut batch = Self { inputs, targets, positions, inputs_cut: 0, targets_cut: 0 };
        for (example, &position) in examples.iter().zip(&batch.positions) {
            let target = example.target.as_deref().ok_or_else(|| {
                Error::new(ErrorKind::Data, "an example without target cannot be trained on")
                    .with_context("position", position)
            })?;
            let input = tokenizer.encode(&example.input, Some(config.max_tokens))?;
            let target = tokenizer.encode(target.trim(), Some(config.max_answer_tokens))?;
            batch.inputs_cut += u64::from(input.is_cut);
            batch.targets_cut += u64::from(target.is_cut);
            batch.inputs.push(input.ids);
            batch.targets.push(target.ids);
        }
        Ok(batch)
    }

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
    pub(crate) fn gradients(
        &self,
        network: &T5,
        pass: Pass,
        divisor: usize,
    ) -> Result<(f64, Gradients)> {
        let targets: Vec<&[u32]> = self.targets.iter().map(Vec::as_slice).collect();
        let (loss, gradients) =
            Batch::new(self.inputs.iter().map(Vec::as_slice), network.config().pad)
                .and_then(|inputs| network.gradients(&inputs, &targets, pass, divisor))
                .map_err(|e| defect(&e))?;
        if loss.is_finite() {
            return Ok((loss, gradients));
        }
        Err(Error::new(ErrorKind::Model, format!("the loss is no number any more: {loss}"))
            .with_context("positions", format!("{:?}", self.positions))
            .with_hint("a lower `learning_rate` often helps"))
    }
}

fn count(texts: &[Vec<u32>]) -> usize {
    texts.iter().map(Vec::len).sum()
}
