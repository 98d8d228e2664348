//! Near duplicates: a text that is nearly the same as one before it, such as one record under several
//! prompts.
//!
//! Two texts are compared by their runs of three words ([`super::words`]). Their similarity is Jaccard's:
//! the runs that both have, as a share of those that either has; from the threshold on they are near
//! duplicates. Texts of the same words are so at any threshold, and texts of fewer than three runs only
//! then.
//!
//! Prompts get in the way twice: two records under one long prompt are alike, and one record under two
//! prompts is not. So a sample of the pool can be shown first ([`NearDuplicates::learn`]): a run that eight
//! of its texts have, and one in 1,250, is a prompt's or a phrase of the language, and does not count.
//! What this is worth was tried on a sample of P3 of 50,185 rows, with every fifth shown first and
//! without min-hashing. At 0.8 it finds 92 to 100 % of the pairs of one review or article under two
//! prompts (35 % of the Amazon reviews if nothing is learned), 25 to 83 % of those of one or two
//! sentences, and hardly any of questions of a few words (at 0.7: 48 to 93 %, and 16 to 20 %). Of rows
//! that hold one text, the first 150 of each prompt, 0.6 % are reported for another text under their own
//! prompt (1.6 % if nothing is learned). Where many questions are asked about one passage, which is most of
//! the text, it is 8 % (27 %): these are near duplicates by this measure. The share of the smaller set of
//! runs, instead of Jaccard's, finds more pairs of short texts and reports twice as many wrong ones.
//!
//! Candidates come from min-hashing: 12 bands of 3 rows. A pair of similarity `s` is missed with
//! probability `(1 − s³)¹²`: 0.02 % at 0.8, 0.7 % at 0.7, 5 % at 0.6, 20 % at 0.5. Where more than 32 texts
//! are in a band's bucket the last 32 of them are looked at. A reported pair is certainly right, but for
//! collisions of hashes and for texts of more than 256 runs: of these the 256 smallest hashes are kept, and
//! the similarity is an estimate with a standard error of 0.03 at most.
//!
//! A text that is remembered takes 0.5 to 1.5 kB, and what was learned 8 MB.

use super::hash::{QuickMap, mix, of_hashes, of_text};
use super::words::each_word;

/// Words of a run.
const RUN: usize = 3;

/// Runs from which on a text is compared by them.
const FEWEST: usize = 3;

/// Runs of a text that are kept at most.
const KEPT: usize = 256;

/// Bands, each a place where two texts can meet.
const BANDS: usize = 12;

/// Hashes that must be equal for two texts to meet.
const ROWS: usize = 3;

/// Texts in a bucket that are looked at.
const BUCKET: usize = 32;

/// Counters of what is learned, and runs that are learned in all: few of them then share a counter.
const COUNTERS: usize = 1 << 22;

/// Texts that have a run that does not count: so many, and one in so many.
const COMMON: (usize, usize) = (8, 1250);

/// The end of a chain of links.
const END: u32 = u32::MAX;

/// Texts that were admitted, to compare the next ones with.
#[derive(Debug)]
pub struct NearDuplicates {
    threshold: f64,
    admitted: Vec<Admitted>,
    /// The admitted text of exactly these words, by their hash.
    same_words: QuickMap<u64, u64>,
    /// The last link of each bucket.
    buckets: QuickMap<u64, u32>,
    links: Vec<Link>,
    learned: Learned,
}

#[derive(Debug)]
struct Admitted {
    id: u64,
    sketch: Sketch,
}

/// A text in a bucket, and the link before it.
#[derive(Debug, Clone, Copy)]
struct Link {
    text: u32,
    before: u32,
}

/// Runs of a text by their hashes, in order: all of them, or the smallest.
#[derive(Debug)]
struct Sketch {
    hashes: Box<[u32]>,
    is_whole: bool,
}

/// In how many texts of a sample runs are, counted in a table of fixed size.
#[derive(Debug, Default)]
struct Learned {
    texts: usize,
    runs: usize,
    counts: Vec<u16>,
}

impl NearDuplicates {
    /// Nothing is admitted yet. The threshold is a similarity, above 0 and at most 1.
    pub fn new(threshold: f64) -> Self {
        Self {
            threshold,
            admitted: Vec::new(),
            same_words: QuickMap::default(),
            buckets: QuickMap::default(),
            links: Vec::new(),
            learned: Learned::default(),
        }
    }

    /// Shows a text of a sample, to learn which runs of words say nothing. It is not admitted by this.
    ///
    /// Some ten thousand texts from all over the pool are enough; from four million runs on nothing more
    /// is learned. All of them belong before the first that is admitted: later ones would change what
    /// texts are compared by.
    pub fn learn(&mut self, text: &str) {
        self.learned.add(&runs(&word_hashes(text)));
    }

    /// Admits a text, unless it is a near duplicate of one that was admitted before: then it is not
    /// remembered, and the other's id is returned, the most similar one's that was found.
    pub fn admit(&mut self, id: u64, text: &str) -> Option<u64> {
        let words = word_hashes(text);
        let whole = of_hashes(&words);
        if let Some(&other) = self.same_words.get(&whole) {
            return Some(other);
        }
        let mut runs = runs(&words);
        runs.retain(|&run| !self.learned.is_common(run));
        let keys = if runs.len() < FEWEST { Vec::new() } else { keys(&runs) };
        let sketch = Sketch::new(&runs);
        if let Some(other) = self.most_similar(&keys, &sketch) {
            return Some(other);
        }
        self.same_words.insert(whole, id);
        self.remember(&keys, Admitted { id, sketch });
        None
    }

    fn most_similar(&self, keys: &[u64], sketch: &Sketch) -> Option<u64> {
        let mut candidates: Vec<u32> = keys.iter().flat_map(|key| self.bucket(*key)).collect();
        candidates.sort_unstable();
        candidates.dedup();
        let mut best: Option<(f64, u64)> = None;
        for candidate in candidates {
            let other = &self.admitted[candidate as usize];
            let similarity = sketch.similarity(&other.sketch);
            // Of equals, the one that was admitted first.
            if similarity >= self.threshold && best.is_none_or(|(before, _)| similarity > before) {
                best = Some((similarity, other.id));
            }
        }
        best.map(|(_, id)| id)
    }

    /// The texts in a bucket that are looked at, the last one first.
    fn bucket(&self, key: u64) -> impl Iterator<Item = u32> {
        let mut next = self.buckets.get(&key).copied().unwrap_or(END);
        let texts = std::iter::from_fn(move || {
            let link = self.links.get(next as usize)?;
            next = link.before;
            Some(link.text)
        });
        texts.take(BUCKET)
    }

    fn remember(&mut self, keys: &[u64], admitted: Admitted) {
        let full = "a billion texts do not fit into memory";
        let text = u32::try_from(self.admitted.len()).expect(full);
        for &key in keys {
            let link = u32::try_from(self.links.len()).expect(full);
            let before = self.buckets.insert(key, link).unwrap_or(END);
            self.links.push(Link { text, before });
        }
        self.admitted.push(admitted);
    }
}

impl Sketch {
    fn new(runs: &[u64]) -> Self {
        let mut hashes: Vec<u32> = runs.iter().map(|&run| upper_half(run)).collect();
        hashes.sort_unstable();
        hashes.dedup();
        let is_whole = hashes.len() <= KEPT;
        hashes.truncate(KEPT);
        Self { hashes: hashes.into_boxed_slice(), is_whole }
    }

    /// The largest hash up to which all runs are kept.
    fn limit(&self) -> u32 {
        self.hashes.last().copied().filter(|_| !self.is_whole).unwrap_or(u32::MAX)
    }

    /// Jaccard's similarity: of all runs, or of those whose hashes both texts would have kept.
    fn similarity(&self, other: &Self) -> f64 {
        let limit = self.limit().min(other.limit());
        let (mut one, mut two) = (self.up_to(limit), other.up_to(limit));
        let all = one.len() + two.len();
        let mut both = 0;
        while let (Some((a, rest_of_one)), Some((b, rest_of_two))) =
            (one.split_first(), two.split_first())
        {
            both += usize::from(a == b);
            if a <= b {
                one = rest_of_one;
            }
            if b <= a {
                two = rest_of_two;
            }
        }
        if all == 0 { 0.0 } else { both as f64 / (all - both) as f64 }
    }

    fn up_to(&self, limit: u32) -> &[u32] {
        &self.hashes[..self.hashes.partition_point(|&hash| hash <= limit)]
    }
}

impl Learned {
    fn add(&mut self, runs: &[u64]) {
        if self.runs + runs.len() > COUNTERS {
            return;
        }
        self.counts.resize(COUNTERS, 0);
        self.texts += 1;
        self.runs += runs.len();
        for &run in runs {
            let count = &mut self.counts[counter(run)];
            *count = count.saturating_add(1);
        }
    }

    fn is_common(&self, run: u64) -> bool {
        let (least, one_in) = COMMON;
        let needed = least.max(self.texts / one_in);
        self.counts.get(counter(run)).is_some_and(|&count| usize::from(count) >= needed)
    }
}

/// The counter of a run.
fn counter(run: u64) -> usize {
    // The upper half makes the sketches.
    upper_half(run << 32) as usize % COUNTERS
}

fn upper_half(hash: u64) -> u32 {
    u32::try_from(hash >> 32).unwrap_or(u32::MAX)
}

fn word_hashes(text: &str) -> Vec<u64> {
    let mut words = Vec::new();
    each_word(text, |word, _| words.push(of_text(word)));
    words
}

/// The different runs of words, in no order that means anything.
fn runs(words: &[u64]) -> Vec<u64> {
    let mut runs: Vec<u64> = words.windows(RUN).map(of_hashes).collect();
    runs.sort_unstable();
    runs.dedup();
    runs
}

/// The buckets that a text belongs into: one for each band.
fn keys(runs: &[u64]) -> Vec<u64> {
    let smallest = |number: u64| {
        let (flipped, factor) = (mix(2 * number + 1), mix(2 * number + 2) | 1);
        runs.iter().map(|run| (run ^ flipped).wrapping_mul(factor)).min().unwrap_or(0)
    };
    let of_band = |band: u64| {
        let first = band * ROWS as u64;
        let hashes: [u64; ROWS] = std::array::from_fn(|row| smallest(first + row as u64));
        mix(of_hashes(&hashes) ^ band)
    };
    (0..BANDS as u64).map(of_band).collect()
}

#[cfg(test)]
#[path = "near_tests.rs"]
mod tests;
