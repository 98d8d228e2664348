//! Scores of answer options: rank classification.

use std::cmp::Reverse;
use std::ops::Range;

use candle_core::Tensor;
use deft_core::{Context, Prediction, Result};
use deft_neural::Workers;

use super::budget::{Budget, Numbered};
use super::{Failure, Predicting, Tokenised, index, numbered};
use crate::network::{Batch, Memory, Pass};

impl Predicting<'_> {
    /// The log-probability of every option of every example, summed over its tokens.
    pub(super) fn option_scores(
        &self,
        ctx: &Context<'_>,
        workers: &Workers,
        examples: &[Tokenised],
    ) -> Result<Vec<Prediction>> {
        let batches = batches(examples, self.budget);
        let mut predictions = vec![Prediction::Text(String::new()); examples.len()];
        let mut done = 0;
        workers.run(
            batches.len(),
            |task| {
                let pass = Pass::interruptible(ctx);
                let batch = numbered(&batches[task], examples);
                let tokens = |example: &Tokenised| tokens(example, self.budget);
                self.compute(&batch, tokens, &pass, |part| {
                    self.score(part, room(part, self.budget), &pass)
                })
            },
            |task, scores| {
                for (&at, log_probs) in batches[task].iter().zip(scores) {
                    let options = &examples[at].options;
                    let tokens = options.iter().map(|option| index(option.ids.len())).collect();
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
    /// Each input is encoded once, its options side by side, `room` of their padded tokens at once:
    /// cross-attention knows no positions, so that the options of an input are to it like one long
    /// text.
    fn score(
        &self,
        examples: &[Numbered<'_>],
        room: usize,
        pass: &Pass<'_>,
    ) -> Result<Vec<Vec<f64>>, Failure> {
        let network = self.network;
        let inputs = examples.iter().map(|(_, example)| example.input.ids.as_slice());
        let inputs = Batch::padded(inputs, network.config().pad, network.multiple())?;
        let memory = network.memory(&network.encode(&inputs, pass)?, &inputs, pass)?;
        let mut scores = vec![Vec::new(); examples.len()];
        for chunk in chunks(examples, room, self.budget) {
            let options = examples.iter().flat_map(|(_, e)| &e.options[chunk.clone()]);
            let options: Vec<&[u32]> = options.map(|option| option.ids.as_slice()).collect();
            let found = self.log_probs(&options, &memory, pass)?;
            for (scores, found) in scores.iter_mut().zip(found.chunks_exact(chunk.len())) {
                scores.extend_from_slice(found);
            }
        }
        match scores.iter().position(|scores| scores.iter().any(|score| !score.is_finite())) {
            None => Ok(scores),
            Some(row) => Err(Failure::NotFinite { row }),
        }
    }

    /// Log-probabilities of options, the same number for each input of the memory.
    fn log_probs(
        &self,
        options: &[&[u32]],
        memory: &Memory,
        pass: &Pass<'_>,
    ) -> candle_core::Result<Vec<f64>> {
        let (network, vocabulary) = (self.network, self.network.config().vocabulary);
        let shifted = network.decoder_inputs(options)?;
        let states = network.decode(&shifted.ids, memory, pass)?.flatten_to(1)?;
        let places = options.iter().enumerate();
        let places: Vec<(usize, usize)> =
            places.flat_map(|(row, ids)| (0..ids.len()).map(move |at| (row, at))).collect();
        let mut scores = vec![0.0; options.len()];
        for places in places.chunks((self.budget.logits() / vocabulary).max(1)) {
            let rows = places.iter().map(|&(row, at)| index(row * shifted.length + at)).collect();
            let rows = Tensor::from_vec(rows, places.len(), network.device())?;
            let wanted: Vec<u32> = places.iter().map(|&(row, at)| options[row][at]).collect();
            let found = network.log_probs(&states.index_select(&rows, 0)?, &wanted)?;
            for (&(row, _), log_prob) in places.iter().zip(found) {
                scores[row] += f64::from(log_prob);
            }
        }
        Ok(scores)
    }
}

/// Groups positions of examples with the same number of options and similar lengths, within a budget
/// of padded tokens.
fn batches(examples: &[Tokenised], budget: &Budget) -> Vec<Vec<usize>> {
    let longest = |at: usize| longest(&examples[at], budget);
    let input = |at: usize| budget.padded(examples[at].input.ids.len());
    let shape = |at: usize| (examples[at].options.len(), input(at), longest(at));
    let mut order: Vec<usize> = (0..examples.len()).collect();
    order.sort_by_key(|&at| (Reverse(shape(at)), at));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut widest = 0;
    for at in order {
        if let Some(batch) = batches.last_mut() {
            let (options, input, _) = shape(batch[0]);
            let answer = widest.max(longest(at));
            let padded = (batch.len() + 1) * (input + options * answer);
            if shape(at).0 == options && padded <= budget.tokens() {
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

/// Padded tokens of an example and all its options.
fn tokens(example: &Tokenised, budget: &Budget) -> usize {
    budget.padded(example.input.ids.len()) + example.options.len() * longest(example, budget)
}

/// Padded tokens of an example's longest option.
fn longest(example: &Tokenised, budget: &Budget) -> usize {
    let lengths = example.options.iter().map(|option| option.ids.len());
    budget.padded(lengths.max().unwrap_or(0))
}

/// Padded tokens of options that go through the decoder at once: what the inputs leave of a batch,
/// but a quarter of one at least, as one option at a time would take long beside a long input.
fn room(examples: &[Numbered<'_>], budget: &Budget) -> usize {
    let input = examples.iter().map(|(_, example)| example.input.ids.len()).max().unwrap_or(0);
    let inputs = examples.len() * budget.padded(input);
    budget.tokens().saturating_sub(inputs).max(budget.tokens() / 4)
}

/// Ranges of the options that fit into the room, padded, for all of the examples; or of one option.
fn chunks(examples: &[Numbered<'_>], room: usize, budget: &Budget) -> Vec<Range<usize>> {
    let count = examples.first().map_or(0, |(_, example)| example.options.len());
    let longest = |option: usize| {
        let lengths = examples.iter().map(|(_, example)| example.options[option].ids.len());
        budget.padded(lengths.max().unwrap_or(0))
    };
    let (mut chunks, mut widest): (Vec<Range<usize>>, _) = (Vec::new(), 0);
    for option in 0..count {
        let (end, length) = (option + 1, longest(option));
        match chunks.last_mut() {
            Some(chunk) if examples.len() * (end - chunk.start) * length.max(widest) <= room => {
                chunk.end = end;
                widest = length.max(widest);
            }
            _ => {
                chunks.push(option..end);
                widest = length;
            }
        }
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Model, WHOLE, Weights};
    use crate::testing::{context, model_dir};
    use deft_neural::Encoded;
    use serde_json::json;

    /// An example of an input of so many tokens, and of `options` of one to four.
    fn example(input: u32, options: u32) -> Tokenised {
        let text = |start: u32, length: u32| {
            let ids = (0..length - 1).map(|n| 2 + (start * 5 + n * 3) % 38).chain([1]).collect();
            Encoded { ids, is_cut: false }
        };
        let option = |n: u32| text(n + input, 1 + n * 7 % 4);
        Tokenised { input: text(input, input), options: (0..options).map(option).collect() }
    }

    #[test]
    fn chunks_of_options_fit_into_the_room_and_are_all_options_in_order() {
        for (counts, room) in [((1, 1000), 512), ((3, 1000), 512), ((2, 7), 4), ((5, 3), 1000)] {
            let examples: Vec<_> = (0..counts.0).map(|n| example(9 + n, counts.1)).collect();
            let examples: Vec<Numbered<'_>> = examples.iter().enumerate().collect();
            let mut next = 0;
            for chunk in chunks(&examples, room, &Budget::on_cpu()) {
                assert_eq!(chunk.start, next);
                next = chunk.end;
                let options = examples.iter().flat_map(|(_, e)| &e.options[chunk.clone()]);
                let (rows, longest) = (examples.len() * chunk.len(), options.map(|o| o.ids.len()));
                let padded = rows * longest.max().expect("an option");
                assert!(padded <= room || chunk.len() == 1, "{padded} of {room} in {chunk:?}");
            }
            assert_eq!(next, counts.1 as usize);
        }
    }

    #[test]
    fn a_long_input_leaves_a_quarter_of_a_batch_to_its_options() {
        let (short, long) = (example(48, 3), example(5000, 3));
        let budget = Budget::on_cpu();
        assert_eq!(room(&[(0, &short), (1, &short)], &budget), 2048 - 96);
        assert_eq!(room(&[(0, &long)], &budget), 512);
    }

    #[test]
    fn scores_do_not_depend_on_how_options_are_cut_into_chunks() {
        let dir = model_dir(&json!({}));
        let weights = Weights::Random(3);
        let model = Model::open_dir(&context(1), dir.path(), None, weights).expect("a model");
        let network = model.tensors(&context(1), &WHOLE).and_then(|t| model.network(&t));
        let network = network.expect("a network");
        let config = deft_core::options::parse(&json!({"model": dir.path()})).expect("options");
        let budget = Budget::on_cpu();
        let predicting = Predicting::new(&model, &network, &budget, &config);
        for (inputs, options) in [(1, 1000), (3, 9), (4, 1)] {
            let examples: Vec<_> = (0..inputs).map(|n| example(3 + 2 * n, options)).collect();
            let examples: Vec<Numbered<'_>> = examples.iter().enumerate().collect();
            let scores = |room| {
                predicting.score(&examples, room, &Pass::inference()).expect("scores").concat()
            };
            let whole = scores(usize::MAX);
            assert_eq!(whole.len(), (inputs * options) as usize);
            for room in [1, 13, 64, room(&examples, &budget)] {
                let near = whole.iter().zip(scores(room)).all(|(a, b)| (a - b).abs() < 1e-5);
                assert!(near, "{inputs} inputs, room for {room}");
            }
        }
    }
}
