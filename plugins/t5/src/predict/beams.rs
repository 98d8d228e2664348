//! Beam search, as in transformers with `early_stopping=False`.

use deft_neural::Values;

use super::generate::{Decoder, Generation};
use super::{Failure, index};
use crate::network::kernels;

/// The searches for the texts of a batch.
pub(super) struct Beams<'a> {
    decoder: Decoder<'a>,
    how: Generation,
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
    pub(super) fn new(decoder: Decoder<'a>, count: usize, how: Generation) -> Self {
        let start = |beam: usize| {
            // All begin the same: only the first may be gone on with.
            let score = if beam == 0 { 0.0 } else { f64::NEG_INFINITY };
            Text { ids: vec![decoder.network.config().decoder_start], score }
        };
        let running = (0..how.beams).map(start).collect();
        let search = Search { running, ended: Vec::new(), is_done: false };
        Self { decoder, how, inputs: vec![search; count] }
    }

    pub(super) fn run(mut self) -> Result<Vec<Vec<u32>>, Failure> {
        for _ in 0..self.how.limit {
            self.step()?;
            if self.inputs.iter().all(|search| search.is_done) {
                break;
            }
        }
        let how = self.how;
        Ok(self.inputs.into_iter().map(|search| search.finish(how)).collect())
    }

    /// One more token for every running text.
    fn step(&mut self) -> Result<(), Failure> {
        let config = self.decoder.network.config();
        let (eos, width, beams) = (config.eos, config.vocabulary, self.how.beams);
        let texts = self.inputs.iter().flat_map(|search| &search.running);
        let last: Vec<u32> = texts.filter_map(|text| text.ids.last().copied()).collect();
        let logits = self.decoder.logits(&last)?;
        let values = Values::of(&logits);
        let rows = values.get()?.chunks_exact(width * beams);
        let mut kept = Vec::with_capacity(last.len());
        for (row, (search, logits)) in self.inputs.iter_mut().zip(rows).enumerate() {
            let from = search.step(logits, width, eos, self.how);
            let from = from.ok_or(Failure::NotFinite { row })?;
            kept.extend(from.into_iter().map(|beam| index(row * beams + beam)));
        }
        Ok(self.decoder.keep(&kept)?)
    }
}

impl Search {
    /// Takes the next logits of the running texts; tells which of them each new one goes on from,
    /// or `None` if a logit is not finite.
    fn step(
        &mut self,
        logits: &[f32],
        width: usize,
        eos: u32,
        how: Generation,
    ) -> Option<Vec<usize>> {
        if self.is_done {
            return Some((0..how.beams).collect());
        }
        if logits.iter().any(|logit| !logit.is_finite()) {
            return None;
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
        Some(self.go_on(&candidates, eos, how))
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
        let best = self.ended.into_iter().next();
        best.expect("a search has texts that run until some have ended").ids
    }
}

/// A text's log-probability over its length, the start id not counted, to the penalty's power.
fn penalised(text: &Text, how: Generation) -> f64 {
    text.score / ((text.ids.len() - 1) as f64).powf(how.length_penalty)
}
