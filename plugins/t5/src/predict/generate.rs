//! Generated text: the likeliest next token again and again, or the likeliest of several texts that
//! are kept side by side. Keys and values of earlier positions are kept.

use deft_core::{Context, Example, Prediction, PredictionKind, Result};

use super::{BATCH_TOKENS, Predicting, index};
use crate::config::TrainerConfig;
use crate::encoder::batches;
use crate::model::defect;
use crate::network::ops::Values;
use crate::network::{Batch, Memory, Pass, T5, kernels};
use crate::parallel::Workers;

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
}

impl Predicting<'_> {
    /// A text for every example.
    pub(crate) fn texts(
        &self,
        ctx: &Context<'_>,
        workers: &Workers,
        examples: &[Example],
    ) -> Result<Vec<Prediction>> {
        let examples = self.tokenise(workers, examples, PredictionKind::Text)?;
        let lengths: Vec<usize> = examples.iter().map(|example| example.input.len()).collect();
        let how = Generation::of(self.config);
        let batches = batches(&lengths, (BATCH_TOKENS / how.beams).max(1));
        let mut predictions = vec![Prediction::Text(String::new()); examples.len()];
        let mut done = 0;
        workers.run(
            batches.len(),
            |task| {
                let inputs: Vec<_> =
                    batches[task].iter().map(|&at| examples[at].input.as_slice()).collect();
                let texts = generate(self.network, &inputs, how, || ctx.check())?;
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

/// Generates a text for each input: its ids with the start id, `</s>` last unless the limit came
/// first.
pub(crate) fn generate(
    network: &T5,
    inputs: &[&[u32]],
    how: Generation,
    check: impl Fn() -> Result<()>,
) -> Result<Vec<Vec<u32>>> {
    let pass = Pass::inference();
    let memory = Batch::new(inputs.iter().copied(), network.config().pad)
        .and_then(|batch| network.memory(&network.encode(&batch, &pass)?, &batch, &pass))
        .map_err(|e| defect(&e))?;
    if how.beams == 1 {
        greedy(network, &memory, inputs.len(), how.limit, check)
    } else {
        Beams::new(network, &memory, inputs.len(), how)?.run(check)
    }
}

fn greedy(
    network: &T5,
    memory: &Memory,
    count: usize,
    limit: usize,
    check: impl Fn() -> Result<()>,
) -> Result<Vec<Vec<u32>>> {
    let config = network.config();
    let mut generated = network.begin().map_err(|e| defect(&e))?;
    let mut texts = vec![vec![config.decoder_start]; count];
    let (mut last, mut has_ended) = (vec![config.decoder_start; count], vec![false; count]);
    for _ in 0..limit {
        check()?;
        let logits = network
            .decode_next(&last, memory, &mut generated)
            .and_then(|states| network.logits(&states))
            .map_err(|e| defect(&e))?;
        let values = Values::of(&logits);
        let rows = values.get().map_err(|e| defect(&e))?.chunks_exact(config.vocabulary);
        for (row, logits) in rows.enumerate() {
            // What has ended goes on beside the others; nobody looks at it.
            last[row] = if has_ended[row] { config.pad } else { largest(logits) };
            if !has_ended[row] {
                texts[row].push(last[row]);
                has_ended[row] = last[row] == config.eos;
            }
        }
        if has_ended.iter().all(|&ended| ended) {
            break;
        }
    }
    Ok(texts)
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

/// Beam search, as in transformers with `early_stopping=False`.
struct Beams<'a> {
    network: &'a T5,
    memory: &'a Memory,
    how: Generation,
    generated: crate::network::Generated,
    inputs: Vec<Search>,
}

/// The search for one input's text.
#[derive(Debug, Clone)]
struct Search {
    /// Texts that go on, the likeliest first; always as many as there are beams.
    running: Vec<Text>,
    /// Texts that have ended, the best first; at most as many as there are beams.
    ended: Vec<Text>,
    is_done: bool,
}

/// A text with its log-probability; of one that has ended, that over its penalised length.
#[derive(Debug, Clone)]
struct Text {
    ids: Vec<u32>,
    score: f64,
}

/// A running text with one more token.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    /// Which of the running texts.
    beam: usize,
    token: u32,
    score: f64,
}

impl<'a> Beams<'a> {
    fn new(network: &'a T5, memory: &'a Memory, count: usize, how: Generation) -> Result<Self> {
        let start = |beam: usize| {
            // All begin the same: only the first may be gone on with.
            let score = if beam == 0 { 0.0 } else { f64::NEG_INFINITY };
            Text { ids: vec![network.config().decoder_start], score }
        };
        let running = (0..how.beams).map(start).collect();
        let search = Search { running, ended: Vec::new(), is_done: false };
        let generated = network.begin().map_err(|e| defect(&e))?;
        Ok(Self { network, memory, how, generated, inputs: vec![search; count] })
    }

    fn run(mut self, check: impl Fn() -> Result<()>) -> Result<Vec<Vec<u32>>> {
        for _ in 0..self.how.limit {
            check()?;
            self.step().map_err(|e| defect(&e))?;
            if self.inputs.iter().all(|search| search.is_done) {
                break;
            }
        }
        let how = self.how;
        Ok(self.inputs.into_iter().map(|search| search.finish(how)).collect())
    }

    /// One more token for every running text.
    fn step(&mut self) -> candle_core::Result<()> {
        let (eos, width) = (self.network.config().eos, self.network.config().vocabulary);
        let texts = self.inputs.iter().flat_map(|search| &search.running);
        let last: Vec<u32> = texts.filter_map(|text| text.ids.last().copied()).collect();
        let states = self.network.decode_next(&last, self.memory, &mut self.generated)?;
        let logits = self.network.logits(&states)?;
        let values = Values::of(&logits);
        let rows = values.get()?.chunks_exact(width * self.how.beams);
        let mut kept = Vec::with_capacity(last.len());
        for (number, (search, logits)) in self.inputs.iter_mut().zip(rows).enumerate() {
            let beams = search.step(logits, width, eos, self.how);
            kept.extend(beams.into_iter().map(|beam| index(number * self.how.beams + beam)));
        }
        self.generated.keep(&kept)
    }
}

impl Search {
    /// Takes the next logits of the running texts; tells which of them each new one goes on from.
    fn step(&mut self, logits: &[f32], width: usize, eos: u32, how: Generation) -> Vec<usize> {
        if self.is_done {
            return (0..how.beams).collect();
        }
        let sums = kernels::log_sum_exp_rows(logits, width);
        let mut candidates = Vec::new();
        for (beam, (logits, sum)) in logits.chunks_exact(width).zip(sums).enumerate() {
            let before = self.running[beam].score;
            for (token, logit) in logits.iter().enumerate() {
                let score = before + f64::from(logit - sum);
                candidates.push(Candidate { beam, token: index(token), score });
            }
        }
        // Enough to go on with where as many of them end.
        let wanted = (2 * how.beams).min(candidates.len());
        let better = |a: &Candidate, b: &Candidate| {
            b.score.total_cmp(&a.score).then((a.beam, a.token).cmp(&(b.beam, b.token)))
        };
        candidates.select_nth_unstable_by(wanted - 1, better);
        candidates.truncate(wanted);
        candidates.sort_unstable_by(better);
        self.go_on(&candidates, eos, how)
    }

    /// Sorts candidates, the best first, into texts that end and texts that go on.
    fn go_on(&mut self, candidates: &[Candidate], eos: u32, how: Generation) -> Vec<usize> {
        let (mut running, mut beams) = (Vec::new(), Vec::new());
        for (rank, candidate) in candidates.iter().enumerate() {
            let mut ids = self.running[candidate.beam].ids.clone();
            ids.push(candidate.token);
            let text = Text { ids, score: candidate.score };
            if candidate.token != eos {
                if running.len() < how.beams {
                    running.push(text);
                    beams.push(candidate.beam);
                }
            } else if rank < how.beams {
                self.end(text, how);
            }
        }
        let best = running.first().map_or(f64::NEG_INFINITY, |text| penalised(text, how));
        let worst = self.ended.last().map_or(f64::NEG_INFINITY, |text| text.score);
        self.is_done = self.ended.len() == how.beams && worst >= best;
        // A vocabulary of few tokens may not fill the beams.
        while let (true, Some(last)) = (running.len() < how.beams, self.running.first()) {
            running.push(Text { ids: last.ids.clone(), score: f64::NEG_INFINITY });
            running.last_mut().into_iter().for_each(|text| text.ids.push(eos));
            beams.push(0);
        }
        self.running = running;
        beams
    }

    /// Keeps a text that has ended, if it is one of the best.
    fn end(&mut self, text: Text, how: Generation) {
        let score = penalised(&text, how);
        self.ended.push(Text { score, ..text });
        // Stable: of equal ones the first stays before.
        self.ended.sort_by(|a, b| b.score.total_cmp(&a.score));
        self.ended.truncate(how.beams);
    }

    /// The best text, those among them that the limit ended.
    fn finish(mut self, how: Generation) -> Vec<u32> {
        if !self.is_done {
            for text in std::mem::take(&mut self.running) {
                self.end(text, how);
            }
        }
        self.ended.into_iter().next().map(|text| text.ids).unwrap_or_default()
    }
}

/// A text's log-probability over its length, the start id not counted, to the penalty's power.
fn penalised(text: &Text, how: Generation) -> f64 {
    text.score / ((text.ids.len() - 1) as f64).powf(how.length_penalty)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Model, WHOLE, Weights};
    use crate::testing::{context, model_dir};
    use serde_json::json;

    /// A network of 40 ids.
    fn network(seed: u64) -> T5 {
        let dir = model_dir(&json!({}));
        let weights = Weights::Random(seed);
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

    #[test]
    fn greedy_text_is_that_of_a_decoder_that_keeps_nothing() {
        let (network, inputs) = (network(5), [&[7, 8, 9, 1][..], &[30, 1], &[12, 1]]);
        let how = Generation { limit: 9, beams: 1, length_penalty: 1.0 };
        let found = generate(&network, &inputs, how, || Ok(())).expect("texts");
        for (input, found) in inputs.iter().zip(found) {
            let (memory, mut text) = (memory(&network, input), vec![0]);
            while text.len() < 10 && text.last() != Some(&1) {
                let next = next(&network, &memory, std::slice::from_ref(&text)).remove(0);
                let best = (0..40).max_by(|&a: &usize, &b| next[a].total_cmp(&next[b]));
                text.push(index(best.expect("an id")));
            }
            assert_eq!(found, text);
        }
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
            let found = generate(&network, &[&input], how, || Ok(())).expect("texts").remove(0);
            assert_eq!(found, likeliest(&network, &input, penalty).0, "penalty {penalty}");
        }
    }

    #[test]
    fn a_text_does_not_depend_on_its_neighbours() {
        let (network, inputs) = (network(5), [&[7, 8, 9, 1][..], &[30, 1], &[12, 13, 14, 1]]);
        let how = Generation { limit: 6, beams: 3, length_penalty: 1.0 };
        let together = generate(&network, &inputs, how, || Ok(())).expect("texts");
        for (input, text) in inputs.iter().zip(together) {
            let alone = generate(&network, &[input], how, || Ok(())).expect("a text").remove(0);
            assert_eq!(text, alone);
        }
    }
}
