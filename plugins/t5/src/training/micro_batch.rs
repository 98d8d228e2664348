//! Micro-batches: examples that go through the network at once.

use deft_core::{Error, ErrorKind, Example, Result};

use crate::config::{Objective, TrainerConfig};
use crate::model::defect;
use crate::network::{Batch, Gradients, NetworkConfig, Pass, T5, Work};
use crate::tokens::Tokens;

use super::objective;

/// A limit that no text reaches: a window is drawn from all ids.
const WHOLE: Option<usize> = Some(usize::MAX);

/// Examples that are trained on at once.
#[derive(Debug)]
pub(crate) struct MicroBatch {
    pairs: Vec<Pair>,
    /// Where the examples are among all that are trained on.
    positions: Vec<usize>,
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

/// Input and target of one example, as ids.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) input: Vec<u32>,
    pub(crate) target: Vec<u32>,
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
        let pairs = examples.iter().zip(positions);
        let pairs = pairs.map(|(example, &position)| self.pair(example, position, epoch));
        Ok(MicroBatch { pairs: pairs.collect::<Result<_>>()?, positions: positions.to_vec() })
    }

    /// Tokenises one example.
    pub(crate) fn pair(&self, example: &Example, position: usize, epoch: u64) -> Result<Pair> {
        match self.config.objective {
            Objective::Seq2seq => self.labelled(example, position),
            hidden => self.unlabelled(example, position, epoch, hidden),
        }
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

    /// Input and target from the text alone: the input with the target, if there is one, behind. Of
    /// a text longer than `max_tokens` each epoch has another window.
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
        let mut ids = tokens.encode(&text, WHOLE)?.ids;
        ids.pop();
        let (mut rng, eos) = (objective::rng(seed, epoch, position as u64), tokens.eos());
        let window = objective::window(&ids, config.max_tokens - 1, &mut rng);
        let (input, mut target) = match objective {
            Objective::PrefixLm => objective::prefix_lm(window, eos, &mut rng),
            _ => objective::span_corruption(window, sentinels, eos, &mut rng),
        };
        let target_is_cut = target.len() > config.max_answer_tokens;
        if target_is_cut {
            target.truncate(config.max_answer_tokens - 1);
            target.push(eos);
        }
        Ok(Pair { input, target, input_is_cut: window.len() < ids.len(), target_is_cut })
    }
}

#[cfg(test)]
impl Pair {
    /// Neither side was cut.
    pub(crate) fn whole(input: Vec<u32>, target: Vec<u32>) -> Self {
        Self { input, target, input_is_cut: false, target_is_cut: false }
    }
}

impl MicroBatch {
    pub(crate) fn tokens(&self) -> usize {
        self.inputs() + self.targets()
    }

    /// Tokens of the inputs.
    fn inputs(&self) -> usize {
        self.pairs.iter().map(|pair| pair.input.len()).sum()
    }

    /// Tokens of the targets.
    fn targets(&self) -> usize {
        self.pairs.iter().map(|pair| pair.target.len()).sum()
    }

    /// Inputs that were longer than `max_tokens`.
    pub(crate) fn inputs_cut(&self) -> u64 {
        self.pairs.iter().map(|pair| u64::from(pair.input_is_cut)).sum()
    }

    /// Targets that were longer than `max_answer_tokens`.
    pub(crate) fn targets_cut(&self) -> u64 {
        self.pairs.iter().map(|pair| u64::from(pair.target_is_cut)).sum()
    }

    /// How long it takes, roughly: the weights that its tokens meet.
    pub(crate) fn cost(&self, config: &NetworkConfig) -> usize {
        let (attention, feed_forward) = (4 * config.heads * config.d_kv, 3 * config.d_ff);
        let encoder = config.encoder_layers * (attention + feed_forward);
        let decoder = config.decoder_layers * (2 * attention + feed_forward) + config.vocabulary;
        self.inputs() * encoder + self.targets() * decoder
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
        let pairs: Vec<&Pair> = self.pairs.iter().collect();
        let (inputs, targets) = padded(&pairs, network).map_err(|e| defect(&e))?;
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

/// Mean loss of a target's token, and how many tokens there are.
pub(crate) fn mean_loss(pairs: &[&Pair], plain: &T5) -> Result<(f64, usize)> {
    padded(pairs, plain)
        .and_then(|(inputs, targets)| plain.loss(&inputs, &targets))
        .map_err(|e| defect(&e))
}

/// The inputs padded, and the targets.
fn padded<'a>(pairs: &[&'a Pair], network: &T5) -> candle_core::Result<(Batch, Vec<&'a [u32]>)> {
    let (inputs, pad) = (pairs.iter().map(|pair| pair.input.as_slice()), network.config().pad);
    let inputs = Batch::padded(inputs, pad, network.multiple())?;
    Ok((inputs, pairs.iter().map(|pair| pair.target.as_slice()).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Model, Weights};
    use crate::testing::{context, model_dir};
    use serde_json::json;
    use std::collections::HashSet;

    #[test]
    fn each_epoch_hides_spans_in_another_window_of_a_long_text() {
        let dir = model_dir(&json!({}));
        let weights = Weights::Random(1);
        let model = Model::open_dir(&context(1), dir.path(), None, weights).expect("a model");
        let options = json!({"model": "m", "objective": "span_corruption", "max_tokens": 9});
        let config = deft_core::options::parse(&options).expect("options");
        let sentinels = &[39, 38];
        let maker = Maker { tokens: model.tokens(), config: &config, sentinels, seed: 1 };
        let words: Vec<String> = (3..37).map(|n| format!("w{n}")).collect();
        let example = Example { input: words.join(" "), ..Example::default() };
        let window = |epoch| {
            let pair = maker.pair(&example, 5, epoch).expect("a pair");
            assert!(pair.input_is_cut);
            let ids = pair.input.iter().chain(&pair.target).copied();
            let mut ids: Vec<u32> = ids.filter(|id| *id > 1 && !sentinels.contains(id)).collect();
            ids.sort_unstable();
            ids
        };
        for epoch in 0..20 {
            let found = window(epoch);
            assert_eq!((found.len(), found[7] - found[0]), (8, 7), "{found:?}");
            assert_eq!(found, window(epoch));
        }
        let starts: HashSet<u32> = (0..20).map(|epoch| window(epoch)[0]).collect();
        assert!(starts.len() > 5, "{starts:?}");
        // A text that fits is all there, in every epoch.
        let example = Example { input: "w3 w4 w5".to_owned(), ..Example::default() };
        assert!(!maker.pair(&example, 5, 0).expect("a pair").input_is_cut);
    }
}
