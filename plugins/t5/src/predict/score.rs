//! Scores of answer options: rank classification.

use std::cmp::Reverse;

use candle_core::{Device, Tensor};
use deft_core::{Context, Example, Prediction, PredictionKind, Result};

use super::{BATCH_TOKENS, Predicting, Tokenised, index};
use crate::model::defect;
use crate::network::ops::Values;
use crate::network::{Batch, Pass, kernels};
use crate::parallel::Workers;

/// Logits computed at once, about 32 MB.
const LOGITS: usize = 8 << 20;

impl Predicting<'_> {
    /// The log-probability of every option of every example, summed over its tokens.
    pub(crate) fn scores(
        &self,
        ctx: &Context<'_>,
        workers: &Workers,
        examples: &[Example],
    ) -> Result<Vec<Prediction>> {
        let examples = self.tokenise(workers, examples, PredictionKind::OptionScores)?;
        let batches = batches(&examples);
        let mut predictions = vec![Prediction::Text(String::new()); examples.len()];
        let mut done = 0;
        workers.run(
            batches.len(),
            |task| {
                ctx.check()?;
                let batch: Vec<_> = batches[task].iter().map(|&at| &examples[at]).collect();
                self.score(&batch).map_err(|e| defect(&e))
            },
            |task, scores| {
                for (&at, log_probs) in batches[task].iter().zip(scores) {
                    let tokens = examples[at].options.iter().map(|ids| index(ids.len())).collect();
                    predictions[at] = Prediction::OptionScores { log_probs, tokens };
                }
                done += batches[task].len();
                ctx.progress(done, examples.len(), "rows");
                Ok(())
            },
        )?;
        Ok(predictions)
    }

    /// Log-probabilities of every option of these examples, which have the same number of them.
    ///
    /// Each input is encoded once, its options side by side: cross-attention knows no positions,
    /// so that the options of an input are to it like one long text.
    fn score(&self, examples: &[&Tokenised]) -> candle_core::Result<Vec<Vec<f64>>> {
        let (network, pass) = (self.network, Pass::inference());
        let inputs = examples.iter().map(|example| example.input.as_slice());
        let inputs = Batch::new(inputs, network.config().pad)?;
        let memory = network.memory(&network.encode(&inputs, &pass)?, &inputs, &pass)?;
        let options: Vec<&[u32]> =
            examples.iter().flat_map(|e| &e.options).map(Vec::as_slice).collect();
        let shifted = network.decoder_inputs(&options)?;
        let states = network.decode(&shifted.ids, &memory, &pass)?.flatten_to(1)?;
        let mut scores = vec![0.0; options.len()];
        let places: Vec<(usize, usize)> = options
            .iter()
            .enumerate()
            .flat_map(|(row, ids)| (0..ids.len()).map(move |at| (row, at)))
            .collect();
        let vocabulary = network.config().vocabulary;
        for places in places.chunks((LOGITS / vocabulary).max(1)) {
            let rows = places.iter().map(|&(row, at)| index(row * shifted.length + at)).collect();
            let rows = Tensor::from_vec(rows, places.len(), &Device::Cpu)?;
            let logits = network.logits(&states.index_select(&rows, 0)?)?;
            let logits = Values::of(&logits);
            let logits = logits.get()?;
            let sums = kernels::log_sum_exp_rows(logits, vocabulary);
            for ((&(row, at), sum), logits) in
                places.iter().zip(sums).zip(logits.chunks_exact(vocabulary))
            {
                scores[row] += f64::from(logits[options[row][at] as usize] - sum);
            }
        }
        let per_example = examples.first().map_or(1, |example| example.options.len());
        Ok(scores.chunks(per_example).map(<[f64]>::to_vec).collect())
    }
}

/// Groups positions of examples with the same number of options and similar lengths.
fn batches(examples: &[Tokenised]) -> Vec<Vec<usize>> {
    let longest = |at: usize| examples[at].options.iter().map(Vec::len).max().unwrap_or(0);
    let shape = |at: usize| (examples[at].options.len(), examples[at].input.len(), longest(at));
    let mut order: Vec<usize> = (0..examples.len()).collect();
    order.sort_by_key(|&at| (Reverse(shape(at)), at));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut widest = 0;
    for at in order {
        if let Some(batch) = batches.last_mut() {
            let (options, input, _) = shape(batch[0]);
            let answer = widest.max(longest(at));
            let padded = (batch.len() + 1) * (input + options * answer);
            if shape(at).0 == options && padded <= BATCH_TOKENS {
                batch.push(at);
                widest = answer;
                continue;
            }
        }
        batches.push(vec![at]);
        widest = longest(at);
    }
    batches
}
