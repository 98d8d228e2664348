//! The scores of some neighbouring texts of a segment, for each query of a group.
//!
//! First what each of the group's terms adds to a score is worked out, once for all queries that have
//! it with the same weight; then that is added up for one query after another. There are so few texts
//! in a window that a query's sums stay in the processor's first cache.

use std::ops::Range;

use deft_core::Hit;
use deft_core::prelude::*;
use tantivy::TERMINATED;
use tantivy::postings::BlockSegmentPostings;

use crate::best::Best;
use crate::group::{Group, Use};
use crate::segment::Segment;
use crate::similarity::Similarity;

/// Texts of a window: a power of two, so that no place needs to be checked.
const TEXTS: usize = 4096;

/// Sums that are looked at together when the best are looked for.
const RUN: usize = 16;

/// The terms of a group in a segment, read as far as the windows have come.
pub(crate) struct Cursors<'a> {
    /// The text of each term's next posting, [`TERMINATED`] after the last; apart from the rest, which
    /// is large, since most terms have nothing in most windows.
    next: Vec<u32>,
    terms: Vec<Cursor<'a>>,
}

/// A term's postings.
struct Cursor<'a> {
    uses: &'a [Use],
    postings: BlockSegmentPostings,
    /// Place in the block of the next posting.
    at: usize,
}

impl<'a> Cursors<'a> {
    /// Bytes for each term.
    pub(crate) const BYTES: usize = size_of::<Cursor<'_>>();

    /// Stands before the first window of segment `number`.
    pub(crate) fn new(group: &'a Group, segment: &Segment, number: usize) -> Result<Self> {
        let mut cursors = Self { next: Vec::new(), terms: Vec::new() };
        for term in &group.terms {
            if let Some(info) = &term.infos[number] {
                let cursor = Cursor { uses: &term.uses, postings: segment.postings(info)?, at: 0 };
                cursors.next.push(cursor.next());
                cursors.terms.push(cursor);
            }
        }
        Ok(cursors)
    }

    /// A text that no window had: there is none in an index without damage.
    pub(crate) fn left_over(&self) -> Option<u32> {
        self.next.iter().copied().find(|&text| text != TERMINATED)
    }
}

impl Cursor<'_> {
    /// The text of the next posting.
    fn next(&self) -> u32 {
        // A block past the last one is empty.
        self.postings.docs().get(self.at).copied().unwrap_or(TERMINATED)
    }

    /// Gives the postings, block by block, of texts before `end`.
    fn read(&mut self, end: u32, mut each: impl FnMut(&[u32], &[u32])) {
        while self.next() < end {
            let texts = &self.postings.docs()[self.at..];
            let here = match texts.last() {
                Some(&last) if last < end => texts.len(),
                // At least the one that is here, should they be out of order in a damaged index.
                _ => texts.partition_point(|&text| text < end).max(1),
            };
            each(&texts[..here], &self.postings.freqs()[self.at..][..here]);
            self.at += here;
            if self.at == self.postings.docs().len() {
                self.postings.advance();
                self.at = 0;
            }
        }
    }
}

/// A window, in memory that is used for one after another.
pub(crate) struct Window {
    /// The texts of this window.
    texts: Range<u32>,
    /// The byte that stands for a text's length, for each.
    lengths: [u8; TEXTS],
    /// Places in the window of all postings of a term, one term after the other.
    places: Vec<u16>,
    /// What they add to a score, for each weight of the term.
    scores: Vec<f32>,
    /// What the weight is divided by, for the postings of one term.
    divisors: Vec<f32>,
    /// Which of these are a query's, in the order of terms.
    spans: Vec<Vec<Span>>,
    /// A query's scores so far; f64, as in Lucene, so that the order of additions does not show.
    sums: Box<[f64; TEXTS]>,
}

/// What a term adds to a query's scores.
#[derive(Debug, Clone, Copy)]
struct Span {
    places: usize,
    scores: usize,
    len: usize,
}

impl Window {
    /// Bytes that one takes, about: as if each text had 200 of the group's terms, with two weights.
    pub(crate) const BYTES: usize = TEXTS * 200 * (size_of::<u16>() + 2 * size_of::<f32>());

    pub(crate) fn new() -> Self {
        let sums = vec![0.0; TEXTS].into_boxed_slice();
        Self {
            texts: 0..0,
            lengths: [0; TEXTS],
            places: Vec::new(),
            scores: Vec::new(),
            divisors: Vec::new(),
            spans: Vec::new(),
            sums: sums.try_into().expect("as many as there are texts"),
        }
    }

    /// The first text of each window of a segment.
    pub(crate) fn starts(segment: &Segment) -> impl Iterator<Item = usize> {
        (0..segment.len()).step_by(TEXTS)
    }

    /// Reads the postings of a window's texts; the windows come in order.
    pub(crate) fn read(
        &mut self,
        segment: &Segment,
        first: usize,
        queries: usize,
        cursors: &mut Cursors<'_>,
        similarity: &Similarity,
    ) {
        let lengths = &segment.lengths()[first..];
        let lengths = &lengths[..lengths.len().min(TEXTS)];
        self.lengths[..lengths.len()].copy_from_slice(lengths);
        self.texts = text(first)..text(first + lengths.len());
        self.spans.resize_with(queries, Vec::new);
        for spans in &mut self.spans {
            spans.clear();
        }
        self.places.clear();
        self.scores.clear();
        for (next, cursor) in cursors.next.iter_mut().zip(&mut cursors.terms) {
            if *next < self.texts.end {
                self.read_term(cursor, similarity);
                *next = cursor.next();
            }
        }
    }

    /// In steps that a compiler can do for several postings at once.
    fn read_term(&mut self, cursor: &mut Cursor<'_>, similarity: &Similarity) {
        let first = self.places.len();
        self.divisors.clear();
        cursor.read(self.texts.end, |texts, counts| {
            let (place_of, length_of) = (self.places.len(), &self.lengths);
            self.places.extend(texts.iter().map(|&text| place(text)));
            let places = &self.places[place_of..];
            let factors = places.iter().map(|&place| similarity.factor(length_of[at(place)]));
            let start = self.divisors.len();
            self.divisors.extend(factors);
            for (divisor, &count) in self.divisors[start..].iter_mut().zip(counts) {
                *divisor = Similarity::divisor(count, *divisor);
            }
        });
        for uses in cursor.uses.chunk_by(|a, b| a.weight.total_cmp(&b.weight).is_eq()) {
            let weight = uses[0].weight;
            let span = Span { places: first, scores: self.scores.len(), len: self.divisors.len() };
            let scores = self.divisors.iter().map(|&divisor| Similarity::score(weight, divisor));
            self.scores.extend(scores);
            for one in uses {
                self.spans[one.query].push(span);
            }
        }
    }

    /// Adds up a query's scores, and offers the texts of the window as its hits.
    #[expect(clippy::cast_possible_truncation, reason = "Lucene rounds the sum to f32")]
    pub(crate) fn offer(&mut self, segment: &Segment, query: usize, best: &mut Best) {
        self.add_up(query);
        let sums = &self.sums[..self.texts.len()];
        for (first, run) in self.texts.clone().step_by(RUN).zip(sums.chunks(RUN)) {
            // What is rounded up to the floor is above the number before it.
            let below = f64::from(best.floor().next_down());
            // Counting, unlike looking for the first, is done for several sums at once.
            if run.iter().filter(|&&sum| sum > below).count() == 0 {
                continue;
            }
            for (text, &sum) in (first..).zip(run) {
                let score = sum as f32;
                if score >= best.floor() {
                    best.push(Hit { id: segment.row(text), score });
                }
            }
        }
    }

    fn add_up(&mut self, query: usize) {
        self.sums.fill(0.0);
        for span in &self.spans[query] {
            let places = &self.places[span.places..][..span.len];
            let scores = &self.scores[span.scores..][..span.len];
            for (&place, &score) in places.iter().zip(scores) {
                self.sums[at(place)] += f64::from(score);
            }
        }
    }
}

/// Where a text lies in its window.
#[expect(clippy::cast_possible_truncation, reason = "a window has fewer texts than a u16 counts")]
fn place(text: u32) -> u16 {
    (text as usize & (TEXTS - 1)) as u16
}

/// A place, which the compiler sees to be within the window.
fn at(place: u16) -> usize {
    usize::from(place) & (TEXTS - 1)
}

fn text(number: usize) -> u32 {
    u32::try_from(number).expect("a segment counts its texts in 32 bits")
}
