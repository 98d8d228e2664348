//! Contamination: pool examples that contain an evaluation input of the task, under whatever prompt.
//!
//! Of each evaluation input only its segments count, the record's own words (`segments`: the prompt
//! template's words, found by what inputs share, are taken away; at least three words each, at least five
//! together). A pool example is compared by its words alone ([`super::words`]), wherever they stand in it:
//!
//! - **exact**: every segment of an evaluation input stands in the example as consecutive words, in any
//!   order of the segments.
//! - **ngram**: the example has at least `threshold` of the input's n-grams, and these have five words
//!   together. The n-grams are the different runs of `ngram` words within a segment; a segment that is
//!   shorter is one gram as a whole. Each counts by its words, so that a field of three words is not
//!   worth as much as one of eight: `share = words of the grams found / words of all grams`.
//!
//! The input that is reported is the one with the largest share; among equals one that is exact, and then
//! the first. `span` is the longest run of words of the example that consists of its grams.
//!
//! What this does not see: an input whose own words are fewer than five (answers, titles); in a set of
//! fewer than five inputs, which words are the prompt's; in a set whose inputs have many prompts, none of
//! which a fifth of them share, the same; a text that more than a fifth of all inputs share, which counts
//! as the prompt's; another wording, or another language, of the same record.
//!
//! An example costs time by its words. An evaluation set costs about a hundred bytes for each of its
//! different words in a row: 100 MB for a million.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::hash::{QuickMap, QuickSet};
use super::segments::{FEWEST, Input, UNKNOWN, Vocabulary, number, segments};
use super::words;

/// Characters of a span that are kept.
const SPAN: usize = 200;

/// Words by whose beginnings grams are looked for.
const PREFIX: usize = 3;

/// What counts as containing an evaluation input.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ContaminationOptions {
    /// Words of an n-gram, at least 1.
    pub ngram: usize,
    /// The share of an evaluation input's n-grams, above 0 and at most 1, from which on an example
    /// contains it.
    pub threshold: f64,
}

impl Default for ContaminationOptions {
    fn default() -> Self {
        Self { ngram: 8, threshold: 0.5 }
    }
}

/// How an example contains an evaluation input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchKind {
    /// All of its segments as they are.
    Exact,
    /// A share of its n-grams.
    Ngram,
}

/// An evaluation input that a pool example contains.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Match {
    /// Its position among the evaluation inputs.
    pub evaluation: usize,
    /// How it is contained.
    pub kind: MatchKind,
    /// The share of its n-grams that are found, by words.
    pub share: f64,
    /// The longest run of words of the example that is found, cut to about 200 characters.
    pub span: String,
}

/// The evaluation inputs of a task, to compare pool examples with.
#[derive(Debug)]
pub struct Contamination {
    threshold: f64,
    vocabulary: Vocabulary,
    evaluations: Vec<Evaluation>,
    /// Numbers of the n-grams.
    grams: QuickMap<Box<[u32]>, u32>,
    /// Words of each.
    gram_words: Vec<u32>,
    /// Which inputs have which: pairs of gram and input, in order.
    holders: Vec<(u32, u32)>,
    /// The different lengths of grams.
    lengths: Vec<usize>,
    /// How grams begin: most places of a text are ruled out by it.
    beginnings: QuickSet<[u32; PREFIX]>,
}

/// One evaluation input.
#[derive(Debug)]
struct Evaluation {
    segments: Vec<Box<[u32]>>,
    /// Words of its different grams together.
    words: u32,
}

/// A gram in a text.
#[derive(Debug, Clone, Copy)]
struct Found {
    /// The number of its first word.
    start: usize,
    gram: u32,
}

impl Contamination {
    /// Prepares the comparison with some evaluation inputs, as rendered.
    pub fn new(inputs: &[&str], options: &ContaminationOptions) -> Self {
        let mut vocabulary = Vocabulary::default();
        let read: Vec<Input> =
            inputs.iter().map(|text| Input::read(text, &mut vocabulary)).collect();
        let mut prepared = Self {
            threshold: options.threshold,
            vocabulary,
            evaluations: Vec::with_capacity(inputs.len()),
            grams: QuickMap::default(),
            gram_words: Vec::new(),
            holders: Vec::new(),
            lengths: Vec::new(),
            beginnings: QuickSet::default(),
        };
        let mut lengths = BTreeSet::new();
        for segments in segments(&read) {
            for &segment in &segments {
                let length = options.ngram.clamp(1, segment.len());
                lengths.insert(length);
                segment.windows(length).for_each(|gram| prepared.add(gram));
            }
            let segments: Vec<Box<[u32]>> = segments.into_iter().map(Box::from).collect();
            prepared.evaluations.push(Evaluation { segments, words: 0 });
        }
        prepared.lengths = lengths.into_iter().collect();
        prepared.count_words();
        prepared
    }

    /// Adds a gram of the input that comes next.
    fn add(&mut self, gram: &[u32]) {
        let known = self.grams.get(gram).copied();
        let of_gram = known.unwrap_or_else(|| {
            let new = number(self.grams.len());
            self.grams.insert(gram.into(), new);
            self.gram_words.push(number(gram.len()));
            self.beginnings.insert(beginning(gram));
            new
        });
        self.holders.push((of_gram, number(self.evaluations.len())));
    }

    /// Sorts out who has which gram, and how many words each input's different grams have.
    fn count_words(&mut self) {
        self.holders.sort_unstable();
        self.holders.dedup();
        for &(gram, evaluation) in &self.holders {
            self.evaluations[evaluation as usize].words += self.gram_words[gram as usize];
        }
    }

    /// How many of the evaluation inputs have words enough to be compared.
    pub fn comparable(&self) -> usize {
        self.evaluations.iter().filter(|input| input.words > 0).count()
    }

    /// The evaluation input that a text contains, if it contains one.
    pub fn look(&self, text: &str) -> Option<Match> {
        let words = self.vocabulary.read(text);
        let found = self.find(&words);
        let mut best: Option<(f64, bool, u32)> = None;
        for (&evaluation, &shared) in &self.shared_words(&found) {
            let input = &self.evaluations[evaluation as usize];
            let share = f64::from(shared) / f64::from(input.words);
            let is_exact = shared == input.words && input.is_in(&words);
            let is_enough = share >= self.threshold && shared as usize >= FEWEST;
            let is_better = best.is_none_or(|(other, was_exact, before)| {
                let order = share.total_cmp(&other).then(is_exact.cmp(&was_exact));
                order.then(before.cmp(&evaluation)).is_gt()
            });
            if (is_exact || is_enough) && is_better {
                best = Some((share, is_exact, evaluation));
            }
        }
        let (share, is_exact, evaluation) = best?;
        let kind = if is_exact { MatchKind::Exact } else { MatchKind::Ngram };
        let span = self.span(text, &found, evaluation);
        Some(Match { evaluation: evaluation as usize, kind, share, span })
    }

    /// Every gram in a text, in order of where they start.
    fn find(&self, words: &[u32]) -> Vec<Found> {
        let (mut found, mut known_end) = (Vec::new(), 0);
        for start in 0..words.len() {
            if start >= known_end {
                let known = words[start..].iter().take_while(|word| **word != UNKNOWN);
                known_end = start + known.count();
            }
            // No gram goes beyond the words that are known.
            let rest = &words[start..known_end];
            if rest.is_empty() || !self.begins_gram(rest) {
                continue;
            }
            for &length in &self.lengths {
                let gram = rest.get(..length).and_then(|gram| self.grams.get(gram));
                found.extend(gram.map(|&gram| Found { start, gram }));
            }
        }
        found
    }

    fn begins_gram(&self, words: &[u32]) -> bool {
        // Grams of one word or two are there where such are asked for.
        let shortest = self.lengths.first().copied().unwrap_or(PREFIX);
        let length = shortest.min(PREFIX);
        words.len() >= length && self.beginnings.contains(&beginning(&words[..length]))
    }

    /// The words of the different grams found, for each input that has some of them.
    fn shared_words(&self, found: &[Found]) -> QuickMap<u32, u32> {
        let mut grams: Vec<u32> = found.iter().map(|one| one.gram).collect();
        grams.sort_unstable();
        grams.dedup();
        let mut shared = QuickMap::default();
        for gram in grams {
            for &(_, evaluation) in self.holders_of(gram) {
                *shared.entry(evaluation).or_insert(0) += self.gram_words[gram as usize];
            }
        }
        shared
    }

    fn holders_of(&self, gram: u32) -> &[(u32, u32)] {
        let start = self.holders.partition_point(|&(other, _)| other < gram);
        let count = self.holders[start..].partition_point(|&(other, _)| other == gram);
        &self.holders[start..start + count]
    }

    /// The longest run of words of a text that consists of an input's grams.
    fn span(&self, text: &str, found: &[Found], evaluation: u32) -> String {
        let (mut run, mut longest): (Range<usize>, Range<usize>) = (0..0, 0..0);
        for one in found {
            if self.holders.binary_search(&(one.gram, evaluation)).is_err() {
                continue;
            }
            let end = one.start + self.gram_words[one.gram as usize] as usize;
            run = if one.start > run.end { one.start..end } else { run.start..run.end.max(end) };
            if run.len() > longest.len() {
                longest = run.clone();
            }
        }
        let spans = words::spans(text);
        let bytes =
            spans.get(longest).and_then(|spans| Some(spans.first()?.start..spans.last()?.end));
        cut(bytes.map_or("", |bytes| &text[bytes]))
    }
}

impl Evaluation {
    /// Whether every segment stands in a text of these words.
    fn is_in(&self, words: &[u32]) -> bool {
        self.segments.iter().all(|segment| words.windows(segment.len()).any(|at| *at == **segment))
    }
}

/// The first words of a gram.
fn beginning(gram: &[u32]) -> [u32; PREFIX] {
    let mut first = [UNKNOWN; PREFIX];
    for (place, &word) in first.iter_mut().zip(gram) {
        *place = word;
    }
    first
}

/// The beginning of a text that is too long to be shown.
fn cut(text: &str) -> String {
    match text.char_indices().nth(SPAN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
#[path = "contamination_tests.rs"]
mod tests;
