//! Queries in, hits out.
//!
//! Whole prompts are queries here: hundreds of terms, most of which are somewhere in most texts.
//! Skipping texts that cannot reach the first `k`, the strength of Lucene and tantivy at queries of
//! a few words, has nothing to skip then. So each term's postings are read once, in full, and added
//! to one sum per text.

use std::collections::BTreeMap;

use deft_core::prelude::*;
use deft_core::{Hit, TopK};
use rayon::prelude::*;
use tantivy::postings::TermInfo;

use crate::analyzer::Analyzer;
use crate::segment::Segment;
use crate::similarity::Similarity;

/// Queries whose hits are kept before they are handed to the caller, per thread.
const QUERIES_PER_THREAD: usize = 16;

/// A pool open for search.
pub(crate) struct Bm25Searcher {
    segments: Vec<Segment>,
    similarity: Similarity,
    analyzer: Analyzer,
}

impl Bm25Searcher {
    pub(crate) fn new(segments: Vec<Segment>, similarity: Similarity) -> Self {
        Self { segments, similarity, analyzer: Analyzer::new() }
    }

    /// The best `k` hits for one query.
    fn search(
        &self,
        ctx: &Context<'_>,
        query: &str,
        k: usize,
        scratch: &mut Scratch,
    ) -> Result<Vec<Hit>> {
        let terms = self.terms_of(query, &scratch.analyzer)?;
        let mut best = TopK::new(k.min(self.segments.iter().map(Segment::len).sum()));
        for (number, segment) in self.segments.iter().enumerate() {
            ctx.check()?;
            scratch.sums.clear();
            scratch.sums.resize(segment.len(), 0.0);
            for term in &terms {
                if let Some(info) = &term.infos[number] {
                    self.add_postings(segment, info, term.weight, &mut scratch.sums)?;
                }
            }
            scratch.keep_best(k);
            for &(score, text) in &scratch.candidates {
                best.push(Hit { id: segment.row(text)?, score });
            }
        }
        Ok(best.into_vec())
    }

    /// A query's terms, each once, in a fixed order, with its weight in the whole pool.
    fn terms_of(&self, query: &str, analyzer: &Analyzer) -> Result<Vec<QueryTerm>> {
        let mut counts = BTreeMap::<String, u32>::new();
        analyzer.for_each_term(query, |term| match counts.get_mut(term) {
            Some(count) => *count += 1,
            None => {
                counts.insert(term.to_owned(), 1);
            }
        });
        let mut terms = Vec::with_capacity(counts.len());
        for (term, count) in counts {
            let infos: Vec<_> =
                self.segments.iter().map(|segment| segment.find(&term)).collect::<Result<_>>()?;
            let texts: u64 = infos.iter().flatten().map(|info| u64::from(info.doc_freq)).sum();
            if texts > 0 {
                terms.push(QueryTerm { weight: self.similarity.weight(texts, count), infos });
            }
        }
        Ok(terms)
    }

    fn add_postings(
        &self,
        segment: &Segment,
        info: &TermInfo,
        weight: f32,
        sums: &mut [f64],
    ) -> Result<()> {
        let mut postings = segment.postings(info)?;
        // A block past the last one is empty.
        while !postings.docs().is_empty() {
            for (&text, &count) in postings.docs().iter().zip(postings.freqs()) {
                let score = self.similarity.score(weight, count, segment.length(text));
                sums[text as usize] += f64::from(score);
            }
            postings.advance();
        }
        Ok(())
    }
}

impl Searcher for Bm25Searcher {
    fn retrieve(&self, ctx: &Context<'_>, queries: &[&str], mut hits: HitsMut<'_>) -> Result<()> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(ctx.threads().min(queries.len().max(1)))
            .build()
            .or_error(ErrorKind::Unexpected, "cannot start the threads of the search")?;
        let k = hits.k();
        let mut done = 0;
        for chunk in queries.chunks(QUERIES_PER_THREAD * ctx.threads()) {
            let found: Vec<Vec<Hit>> = pool.install(|| {
                chunk
                    .par_iter()
                    .map_init(
                        || Scratch::new(&self.analyzer),
                        |scratch, query| self.search(ctx, query, k, scratch),
                    )
                    .collect::<Result<_>>()
            })?;
            for mut found in found {
                hits.set(done, &mut found);
                done += 1;
            }
            ctx.progress(done, queries.len(), "queries");
        }
        Ok(())
    }

    /// Every text that has a word in common with the query is scored.
    fn judge(
        &self,
        _ctx: &Context<'_>,
        _queries: &[&str],
        _found: HitsMut<'_>,
        _nearest: HitsMut<'_>,
    ) -> Result<Judgement> {
        Ok(Judgement::Exact)
    }
}

/// A distinct term of a query.
struct QueryTerm {
    weight: f32,
    /// Where its postings lie, for each segment.
    infos: Vec<Option<TermInfo>>,
}

/// Memory that a thread uses again for each of its queries.
struct Scratch {
    analyzer: Analyzer,
    /// Score so far of each text of a segment; f64, as in Lucene, so that the order of additions
    /// does not show.
    sums: Vec<f64>,
    /// The best texts of a segment: score and number.
    candidates: Vec<(f32, u32)>,
}

impl Scratch {
    fn new(analyzer: &Analyzer) -> Self {
        Self { analyzer: analyzer.clone(), sums: Vec::new(), candidates: Vec::new() }
    }

    /// Makes candidates of the texts with the best `k` sums and of all that tie with the last of
    /// them: which of those is a hit depends on rows, which are costly to look up for every text.
    #[expect(clippy::cast_possible_truncation, reason = "Lucene rounds the sum to f32")]
    fn keep_best(&mut self, k: usize) {
        self.candidates.clear();
        if k == 0 {
            return;
        }
        // Every term adds something, so a sum of 0 is a text without any of them.
        let scored = (0..).zip(&self.sums).filter(|(_, sum)| **sum > 0.0);
        self.candidates.extend(scored.map(|(text, &sum)| (sum as f32, text)));
        if self.candidates.len() > k {
            let (_, &mut (last, _), _) =
                self.candidates.select_nth_unstable_by(k - 1, |a, b| b.0.total_cmp(&a.0));
            self.candidates.retain(|(score, _)| *score >= last);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::config::Bm25Config;
    use crate::testing::{Host, bits};

    const TEXTS: [&str; 7] = [
        "the cat sat on the mat",
        "a dog and a cat",
        "dogs, dogs and more dogs!",
        "",
        "birds sing in the morning",
        "the morning cat; the morning dog",
        "the of and",
    ];

    /// BM25 over all texts, in f64 and without any index.
    fn naive(texts: &[&str], query: &str, k1: f64, b: f64) -> Vec<(u64, f64)> {
        let analyzer = Analyzer::new();
        let bag = |text: &str| {
            let mut counts = HashMap::<String, f64>::new();
            analyzer.for_each_term(text, |term| *counts.entry(term.to_owned()).or_default() += 1.0);
            counts
        };
        let bags: Vec<_> = texts.iter().map(|text| bag(text)).collect();
        let lengths: Vec<f64> = bags.iter().map(|bag| bag.values().sum()).collect();
        let documents = lengths.iter().filter(|&&length| length > 0.0).count() as f64;
        let average = lengths.iter().sum::<f64>() / documents;
        let mut hits = Vec::new();
        for (id, (bag_of_text, length)) in (0..).zip(bags.iter().zip(&lengths)) {
            let mut score = 0.0;
            for (term, in_query) in bag(query) {
                let with = bags.iter().filter(|bag| bag.contains_key(&term)).count() as f64;
                let idf = (1.0 + (documents - with + 0.5) / (with + 0.5)).ln();
                let count = bag_of_text.get(&term).copied().unwrap_or(0.0);
                let norm = k1 * (1.0 - b + b * length / average);
                score += in_query * idf * count / (count + norm);
            }
            if score > 0.0 {
                hits.push((id, score));
            }
        }
        hits.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        hits
    }

    #[test]
    fn hits_are_those_of_a_naive_computation() {
        for (k1, b) in [(0.9, 0.4), (1.2, 0.75), (2.0, 0.0)] {
            let config = Bm25Config { k1, b, ..Bm25Config::default() };
            let host = Host::prepared(config, &TEXTS, 3);
            for query in ["cat", "morning cat dog dog", "the singing of dogs", "absent", "the"] {
                let found = &host.retrieve(&[query], 10, 1)[0];
                let wanted = naive(&TEXTS, query, k1, b);
                assert_eq!(found.len(), wanted.len(), "{query}");
                for (found, wanted) in found.iter().zip(&wanted) {
                    assert_eq!(found.id, wanted.0, "{query}");
                    assert!((f64::from(found.score) - wanted.1).abs() < 1e-5, "{query}");
                }
            }
        }
    }

    #[test]
    fn texts_without_a_term_of_the_query_are_no_hits() {
        let host = Host::prepared(Bm25Config::default(), &TEXTS, 10);
        let ids = |query| -> Vec<u64> {
            host.retrieve(&[query], 10, 1)[0].iter().map(|hit| hit.id).collect()
        };
        assert_eq!(ids("bird"), [4]);
        assert!(ids("unicorn").is_empty());
        assert!(ids("").is_empty());
    }

    #[test]
    fn ties_go_to_the_smaller_row_at_the_cut_too() {
        let texts = ["the same text"; 20];
        let host = Host::prepared(Bm25Config::default(), &texts, 8);
        let ids: Vec<_> = host.retrieve(&["same"], 5, 1)[0].iter().map(|hit| hit.id).collect();
        assert_eq!(ids, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn neither_parts_nor_threads_change_a_bit() {
        // Texts of 3 to 60 words out of 50: every posting list is longer than a block.
        let texts: Vec<String> = (0..700usize)
            .map(|row| {
                let word = |i: usize| format!("w{} ", (row * 31 + i * i * 7 + i) % 50);
                (0..3 + row % 58).map(word).collect()
            })
            .collect();
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        let queries: Vec<_> = texts.iter().copied().step_by(20).collect();
        let wanted =
            bits(&Host::prepared(Bm25Config::default(), &texts, 1000).retrieve(&queries, 30, 1));
        for rows_per_part in [30, 699] {
            let host = Host::prepared(Bm25Config::default(), &texts, rows_per_part);
            for threads in [1, 2] {
                assert_eq!(bits(&host.retrieve(&queries, 30, threads)), wanted, "{rows_per_part}");
            }
        }
    }

    #[test]
    fn a_query_of_ten_thousand_words_is_answered() {
        let query =
            (0..10_000).fold(String::from("cat"), |text, i| text + " other" + &i.to_string());
        let host = Host::prepared(Bm25Config::default(), &TEXTS, 10);
        assert_eq!(host.retrieve(&[&query], 10, 1)[0].len(), 3);
    }
}
