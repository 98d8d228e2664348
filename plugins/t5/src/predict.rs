//! Prediction: scores of answer options, and greedy generation.

use std::sync::Arc;

use candle_core::{Device, IndexOp, Tensor};
use deft_core::prelude::*;

use crate::encoder::batches;
use crate::model::{Model, WHOLE, defect};
use crate::network::ops::Values;
use crate::network::{Batch, Memory, Pass, T5, kernels};
use crate::parallel::Workers;

/// Padded tokens of a batch, inputs and options.
const BATCH_TOKENS: usize = 2048;
/// Logits computed at once, about 32 MB.
const LOGITS: usize = 8 << 20;
/// Most tokens that are generated, `</s>` among them.
const MAX_NEW_TOKENS: usize = 128;

/// A model open for prediction.
#[derive(Debug)]
pub(crate) struct T5Predictor {
    model: Arc<Model>,
    network: T5,
    max_tokens: usize,
    max_answer_tokens: usize,
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
        max_tokens: usize,
        max_answer_tokens: usize,
    ) -> Result<Self> {
        let tensors = model.tensors(ctx, &WHOLE)?;
        let network = model.network(&tensors)?;
        Ok(Self { model, network, max_tokens, max_answer_tokens })
    }

    fn tokenise(
        &self,
        workers: &Workers,
        examples: &[Example],
        kind: PredictionKind,
    ) -> Result<Vec<Tokenised>> {
        let tokens = self.model.tokens();
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
            let limit = Some(self.max_answer_tokens);
            let option = |text: &String| Ok(tokens.encode(text.trim(), limit)?.ids);
            let options = match kind {
                PredictionKind::OptionScores => {
                    example.options.iter().map(option).collect::<Result<_>>()?
                }
                PredictionKind::Text => Vec::new(),
            };
            let input = tokens.encode(&example.input, Some(self.max_tokens))?.ids;
            Ok(Tokenised { input, options })
        };
        workers.run(examples.len(), tokenise, |_, example| {
            tokenised.push(example);
            Ok(())
        })?;
        Ok(tokenised)
    }

    /// Log-probabilities of every option of these examples, which have the same number of them.
    ///
    /// Each input is encoded once, its options side by side: cross-attention knows no positions,
    /// so that the options of an input are to it like one long text.
    fn score(&self, examples: &[&Tokenised]) -> candle_core::Result<Vec<Vec<f64>>> {
        let inputs = Batch::new(
            examples.iter().map(|example| example.input.as_slice()),
            self.network.config().pad,
        )?;
        let states = self.network.encode(&inputs, &Pass::inference())?;
        let memory = self.network.memory(&states, &inputs)?;
        let options: Vec<&[u32]> =
            examples.iter().flat_map(|e| &e.options).map(Vec::as_slice).collect();
        let shifted = self.network.decoder_inputs(&options)?;
        let states = self.network.decode(&shifted.ids, &memory, &Pass::inference())?;
        let mut scores = vec![0.0; options.len()];
        let places: Vec<(usize, usize)> = options
            .iter()
            .enumerate()
            .flat_map(|(row, ids)| (0..ids.len()).map(move |at| (row, at)))
            .collect();
        let states = states.flatten_to(1)?;
        let vocabulary = self.network.config().vocabulary;
        for places in places.chunks((LOGITS / vocabulary).max(1)) {
            let rows = places.iter().map(|&(row, at)| index(row * shifted.length + at)).collect();
            let rows = Tensor::from_vec(rows, places.len(), &Device::Cpu)?;
            let logits = self.network.logits(&states.index_select(&rows, 0)?)?;
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

    /// The likeliest next token, again and again, until every text has ended.
    pub(crate) fn generate(
        &self,
        inputs: &[&[u32]],
        limit: usize,
        check: impl Fn() -> Result<()>,
    ) -> Result<Vec<Vec<u32>>> {
        let batch = Batch::new(inputs.iter().copied(), self.network.config().pad)
            .map_err(|e| defect(&e))?;
        let memory = self
            .network
            .encode(&batch, &Pass::inference())
            .and_then(|states| self.network.memory(&states, &batch))
            .map_err(|e| defect(&e))?;
        let config = self.network.config();
        let mut texts = vec![vec![config.decoder_start]; inputs.len()];
        let mut has_ended = vec![false; inputs.len()];
        for _ in 0..limit {
            check()?;
            let next = self.next_tokens(&texts, &memory).map_err(|e| defect(&e))?;
            for ((text, has_ended), next) in texts.iter_mut().zip(&mut has_ended).zip(next) {
                text.push(if *has_ended { config.pad } else { next });
                *has_ended |= next == config.eos;
            }
            if has_ended.iter().all(|&ended| ended) {
                break;
            }
        }
        Ok(texts)
    }

    fn next_tokens(&self, texts: &[Vec<u32>], memory: &Memory) -> candle_core::Result<Vec<u32>> {
        let ids = Batch::new(texts.iter().map(Vec::as_slice), self.network.config().pad)?;
        let states = self.network.decode(&ids.ids, memory, &Pass::inference())?;
        let last = states.i((.., ids.length - 1, ..))?.contiguous()?;
        let logits = self.network.logits(&last)?;
        let values = Values::of(&logits);
        let rows = values.get()?.chunks_exact(self.network.config().vocabulary);
        Ok(rows.map(largest).collect())
    }

    fn predict_scores(
        &self,
        ctx: &Context<'_>,
        workers: &Workers,
        examples: &[Tokenised],
    ) -> Result<Vec<Prediction>> {
        let batches = option_batches(examples);
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

    fn predict_texts(
        &self,
        ctx: &Context<'_>,
        workers: &Workers,
        examples: &[Tokenised],
    ) -> Result<Vec<Prediction>> {
        let lengths: Vec<usize> = examples.iter().map(|example| example.input.len()).collect();
        let batches = batches(&lengths, BATCH_TOKENS);
        let mut predictions = vec![Prediction::Text(String::new()); examples.len()];
        let mut done = 0;
        workers.run(
            batches.len(),
            |task| {
                let inputs: Vec<_> =
                    batches[task].iter().map(|&at| examples[at].input.as_slice()).collect();
                let texts = self.generate(&inputs, MAX_NEW_TOKENS, || ctx.check())?;
                texts.iter().map(|ids| self.model.tokens().decode(ids)).collect::<Result<Vec<_>>>()
            },
            |task, texts| {
                for (&at, text) in batches[task].iter().zip(texts) {
                    predictions[at] = Prediction::Text(text);
                }
                done += batches[task].len();
                ctx.progress(done, examples.len(), "rows");
                Ok(())
            },
        )?;
        Ok(predictions)
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
        let tokenised = self.tokenise(&workers, examples, kind)?;
        match kind {
            PredictionKind::OptionScores => self.predict_scores(ctx, &workers, &tokenised),
            PredictionKind::Text => self.predict_texts(ctx, &workers, &tokenised),
        }
    }
}

/// Groups positions of examples with the same number of options and similar lengths.
fn option_batches(examples: &[Tokenised]) -> Vec<Vec<usize>> {
    let longest = |at: usize| examples[at].options.iter().map(Vec::len).max().unwrap_or(0);
    let shape = |at: usize| (examples[at].options.len(), examples[at].input.len(), longest(at));
    let mut order: Vec<usize> = (0..examples.len()).collect();
    order.sort_by_key(|&at| (std::cmp::Reverse(shape(at)), at));
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

/// The position of the largest value, the first of equal ones.
fn largest(values: &[f32]) -> u32 {
    let mut best = 0;
    for (at, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = at;
        }
    }
    index(best)
}

/// candle's ids are 32 bits wide; a batch is never that large.
fn index(value: usize) -> u32 {
    u32::try_from(value).expect("a batch has fewer than 2³² rows")
}
