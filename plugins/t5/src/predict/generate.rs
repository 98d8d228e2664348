//! Generated text: the likeliest next token again and again, or the likeliest of several texts that
//! are kept side by side ([`beams`](super::beams)). Keys and values of earlier positions are kept.

use candle_core::Tensor;
use deft_core::{Context, Prediction, Result};
use deft_neural::Workers;

use super::beams::Beams;
use super::budget::Budget;
use super::{Failure, Predicting, Tokenised, numbered};
use crate::config::TrainerConfig;
use crate::encoder::batches;
use crate::network::{Batch, Generated, Memory, Pass, T5};

/// How texts are generated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Generation {
    /// Most tokens, `</s>` among them.
    pub(crate) limit: usize,
    /// Texts kept at once; with one the search is greedy.
    pub(crate) beams: usize,
    /// A text's log-probability is divided by its number of tokens to this power.
    pub(crate) length_penalty: f64,
}

impl Generation {
    pub(crate) fn of(config: &TrainerConfig) -> Self {
        let (limit, beams) = (config.max_new_tokens, config.beams);
        Self { limit, beams, length_penalty: config.length_penalty.unwrap_or(1.0) }
    }

    /// Tokens whose keys and values an example may come to keep; above a batch's budget it makes no
    /// difference how many.
    fn tokens(self, input: &[u32], budget: &Budget) -> usize {
        let input = budget.padded(input.len());
        self.beams.saturating_mul(self.limit).saturating_add(input).min(budget.tokens())
    }

    /// Groups examples of similar length: what they keep and their logits stay within the budgets.
    fn batches(
        self,
        examples: &[Tokenised],
        vocabulary: usize,
        budget: &Budget,
    ) -> Vec<Vec<usize>> {
        let tokens: Vec<usize> =
            examples.iter().map(|example| self.tokens(&example.input.ids, budget)).collect();
        let rows = (budget.logits() / vocabulary / self.beams).max(1);
        let batches = batches(&tokens, budget.tokens());
        batches.iter().flat_map(|batch| batch.chunks(rows)).map(<[usize]>::to_vec).collect()
    }
}

impl Predicting<'_> {
    /// A text for every example.
    pub(super) fn texts(
        &self,
        ctx: &Context<'_>,
        workers: &Workers,
        examples: &[Tokenised],
    ) -> Result<Vec<Prediction>> {
        let how = Generation::of(self.config);
        let batches = how.batches(examples, self.network.config().vocabulary, self.budget);
        let mut predictions = vec![Prediction::Text(String::new()); examples.len()];
        let mut done = 0;
        workers.run(
            batches.len(),
            |task| {
                let pass = Pass::interruptible(ctx);
                let batch = numbered(&batches[task], examples);
                let tokens = |example: &Tokenised| how.tokens(&example.input.ids, self.budget);
                let texts = self.compute(&batch, tokens, &pass, |part| {
                    let inputs = part.iter().map(|(_, example)| example.input.ids.as_slice());
                    generate(self.network, &inputs.collect::<Vec<_>>(), how, &pass)
                })?;
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

/// A decoder that goes on token by token, for the inputs of a batch.
pub(super) struct Decoder<'a> {
    pub(super) network: &'a T5,
    pass: &'a Pass<'a>,
    memory: Memory,
    generated: Generated,
}

impl<'a> Decoder<'a> {
    fn new(network: &'a T5, inputs: &[&[u32]], pass: &'a Pass<'a>) -> candle_core::Result<Self> {
        let (inputs, pad) = (inputs.iter().copied(), network.config().pad);
        let batch = Batch::padded(inputs, pad, network.multiple())?;
        let memory = network.memory(&network.encode(&batch, pass)?, &batch, pass)?;
        Ok(Self { network, pass, memory, generated: network.begin()? })
    }

    /// The logits after the last ids, of which each input has the same number: `[ids, vocabulary]`.
    pub(super) fn logits(&mut self, last: &[u32]) -> candle_core::Result<Tensor> {
        let states = self.states(last)?;
        self.network.logits(&states)
    }

    /// The likeliest id after each of the last ones; `None` where a logit is not finite.
    fn likeliest(&mut self, last: &[u32]) -> candle_core::Result<Vec<Option<u32>>> {
        let states = self.states(last)?;
        self.network.likeliest(&states)
    }

    fn states(&mut self, last: &[u32]) -> candle_core::Result<Tensor> {
        let Self { network, pass, memory, generated } = self;
        network.decode_next(last, memory, generated, pass)
    }

    /// Keeps these texts, in this order, of those so far.
    pub(super) fn keep(&mut self, texts: &[u32]) -> candle_core::Result<()> {
        self.generated.keep(texts)
    }
}

/// Generates a text for each input: its ids with the start id, `</s>` last unless the limit came
/// first.
pub(crate) fn generate<'a>(
    network: &'a T5,
    inputs: &[&[u32]],
    how: Generation,
    pass: &'a Pass<'a>,
) -> Result<Vec<Vec<u32>>, Failure> {
    let decoder = Decoder::new(network, inputs, pass)?;
    match how.beams {
        1 => greedy(decoder, inputs.len(), how.limit),
        _ => Beams::new(decoder, inputs.len(), how).run(),
    }
}

fn greedy(mut decoder: Decoder<'_>, count: usize, limit: usize) -> Result<Vec<Vec<u32>>, Failure> {
    let config = decoder.network.config();
    let mut texts = vec![vec![config.decoder_start]; count];
    let (mut last, mut has_ended) = (vec![config.decoder_start; count], vec![false; count]);
    for _ in 0..limit {
        for (row, next) in decoder.likeliest(&last)?.into_iter().enumerate() {
            if has_ended[row] {
                // It goes on beside the others; nobody looks at it.
                last[row] = config.pad;
                continue;
            }
            last[row] = next.ok_or(Failure::NotFinite { row })?;
            texts[row].push(last[row]);
            has_ended[row] = last[row] == config.eos;
        }
        if has_ended.iter().all(|&ended| ended) {
            break;
        }
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::super::index;
    use super::*;
    use crate::model::{Model, WHOLE, Weights};
    use crate::testing::{context, model_dir};
    use deft_neural::Encoded;
    use serde_json::{Value, json};

    fn network(seed: u64) -> T5 {
        network_of(&json!({}), seed)
    }

    /// A network of 40 ids.
    fn network_of(changes: &Value, seed: u64) -> T5 {
        let (dir, weights) = (model_dir(changes), Weights::Random(seed));
        let model = Model::open_dir(&context(1), dir.path(), None, weights).expect("a model");
        let tensors = model.tensors(&context(1), &WHOLE).expect("weights");
        model.network(&tensors).expect("a network")
    }

    /// Log-probabilities of the next token of some texts of one length, without anything kept.
    fn next(network: &T5, memory: &Memory, texts: &[Vec<u32>]) -> Vec<Vec<f64>> {
        let batch = Batch::new(texts.iter().map(Vec::as_slice), 0).expect("a batch");
        let states = network.decode(&batch.ids, memory, &Pass::inference()).expect("states");
        let last = states.narrow(1, batch.length - 1, 1).and_then(|s| s.squeeze(1)?.contiguous());
        let logits = network.logits(&last.expect("states")).expect("logits");
        let logits: Vec<Vec<f32>> = logits.to_vec2().expect("values");
        let log_probs = |row: &Vec<f32>| {
            let sum: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
            row.iter().map(|&x| f64::from(x) - sum.ln()).collect()
        };
        logits.iter().map(log_probs).collect()
    }

    fn memory(network: &T5, input: &[u32]) -> Memory {
        let (pass, batch) = (Pass::inference(), Batch::new([input], 0).expect("a batch"));
        let states = network.encode(&batch, &pass).expect("states");
        network.memory(&states, &batch, &pass).expect("a memory")
    }

    /// The likeliest next id, again and again, of a decoder that begins anew for each.
    fn recomputed(network: &T5, input: &[u32], limit: usize) -> Vec<u32> {
        let (memory, mut text) = (memory(network, input), vec![0]);
        while text.len() <= limit && text.last() != Some(&1) {
            let next = next(network, &memory, std::slice::from_ref(&text)).remove(0);
            let best = (0..40).rev().max_by(|&a: &usize, &b| next[a].total_cmp(&next[b]));
            text.push(index(best.expect("an id")));
        }
        text
    }

    #[test]
    fn greedy_text_is_that_of_a_decoder_that_keeps_nothing() {
        // Distances that share a bucket, and beyond the largest, are within the longest text.
        let near = json!({
            "relative_attention_num_buckets": 8, "relative_attention_max_distance": 12,
        });
        let first = json!({"feed_forward_proj": "relu", "num_decoder_layers": 3});
        let untied = json!({"tie_word_embeddings": false, "d_kv": 8});
        let long: Vec<u32> = (0..50).map(|n| 2 + n * 7 % 38).chain([1]).collect();
        let inputs = [&[7, 8, 9, 1][..], &[30, 1], &long, &[12, 1]];
        let mut lengths = Vec::new();
        for (changes, seed) in
            [near, first, untied].iter().flat_map(|c| (5..8).map(move |s| (c, s)))
        {
            let network = network_of(changes, seed);
            for limit in [1, 2, 9, 40] {
                let how = Generation { limit, beams: 1, length_penalty: 1.0 };
                let found = generate(&network, &inputs, how, &Pass::inference()).expect("texts");
                for (input, found) in inputs.iter().zip(found) {
                    assert_eq!(
                        found,
                        recomputed(&network, input, limit),
                        "{changes} {seed} {limit}"
                    );
                    lengths.push(found.len());
                }
            }
        }
        assert!(lengths.contains(&41) && lengths.contains(&2), "{lengths:?}");
    }

    /// The likeliest of all texts of up to three tokens, by trying every one.
    fn likeliest(network: &T5, input: &[u32], penalty: f64) -> (Vec<u32>, f64) {
        let memory = memory(network, input);
        let mut best = (Vec::new(), f64::NEG_INFINITY);
        let mut texts = vec![(vec![0_u32], 0.0)];
        for length in 1..=3 {
            let ids: Vec<Vec<u32>> = texts.iter().map(|(ids, _)| ids.clone()).collect();
            let mut longer = Vec::new();
            for ((ids, score), next) in texts.iter().zip(next(network, &memory, &ids)) {
                for (token, log_prob) in next.into_iter().enumerate() {
                    let mut ids = ids.clone();
                    ids.push(index(token));
                    let score = score + log_prob;
                    let rated = score / f64::from(length).powf(penalty);
                    if (token == 1 || length == 3) && rated > best.1 {
                        best = (ids.clone(), rated);
                    }
                    if token != 1 {
                        longer.push((ids, score));
                    }
                }
            }
            texts = longer;
        }
        best
    }

    #[test]
    fn beams_as_wide_as_all_texts_find_the_likeliest_of_all() {
        for (seed, penalty) in [(5, 1.0), (6, 0.0), (7, 2.0)] {
            let (network, input) = (network(seed), [7, 8, 9, 1]);
            let how = Generation { limit: 3, beams: 40 * 40, length_penalty: penalty };
            let found =
                generate(&network, &[&input], how, &Pass::inference()).expect("texts").remove(0);
            assert_eq!(found, likeliest(&network, &input, penalty).0, "penalty {penalty}");
        }
    }

    #[test]
    fn a_text_does_not_depend_on_its_neighbours() {
        let (network, inputs) = (network(5), [&[7, 8, 9, 1][..], &[30, 1], &[12, 13, 14, 1]]);
        let how = Generation { limit: 6, beams: 3, length_penalty: 1.0 };
        let together = generate(&network, &inputs, how, &Pass::inference()).expect("texts");
        for (input, text) in inputs.iter().zip(together) {
            let alone =
                generate(&network, &[input], how, &Pass::inference()).expect("a text").remove(0);
            assert_eq!(text, alone);
        }
    }

    fn examples(inputs: &[usize]) -> Vec<Tokenised> {
        let encoded = |length: &usize| Encoded { ids: vec![3; *length], is_cut: false };
        let example = |length| Tokenised { input: encoded(length), options: Vec::new() };
        inputs.iter().map(example).collect()
    }

    #[test]
    fn a_batch_counts_what_is_generated_and_its_logits() {
        let how = |limit, beams| Generation { limit, beams, length_penalty: 1.0 };
        let sizes = |how: Generation, inputs: &[usize], vocabulary| {
            let budget = Budget::on_cpu();
            let batches = how.batches(&examples(inputs), vocabulary, &budget);
            batches.iter().map(Vec::len).collect::<Vec<_>>()
        };
        // 2048 tokens: 24 of an input and 1000 generated twice, or 500 by two beams, or none more.
        assert_eq!(sizes(how(1000, 1), &[24; 5], 40), [2, 2, 1]);
        assert_eq!(sizes(how(500, 2), &[24; 5], 40), [2, 2, 1]);
        assert_eq!(sizes(how(usize::MAX, 4), &[24, 30], 40), [1, 1]);
        // 8 million logits: 16 rows of half a million ids each.
        assert_eq!(sizes(how(1, 1), &[1; 20], 1 << 19), [16, 4]);
        assert_eq!(sizes(how(1, 8), &[1; 5], 1 << 19), [2, 2, 1]);
    }
}
