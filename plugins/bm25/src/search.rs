//! Queries in, hits out.
//!
//! Whole prompts are queries here: hundreds of terms, most of which are somewhere in most texts.
//! Skipping texts that cannot reach the first `k`, the strength of Lucene and tantivy at queries of
//! a few words, has nothing to skip then. So each term's postings are read in full, once for some
//! queries at a time, and added to one sum per query and text.

use std::sync::{Mutex, PoisonError};

use deft_core::Hit;
use deft_core::prelude::*;
use rayon::prelude::*;

use crate::analyzer::Analyzer;
use crate::best::Best;
use crate::config::QueryText;
use crate::group::{Group, groups};
use crate::segment::Segment;
use crate::similarity::Similarity;
use crate::window::{Cursors, Window};

/// A pool open for search.
pub(crate) struct Bm25Searcher {
    segments: Vec<Segment>,
    similarity: Similarity,
    query_text: QueryText,
    analyzer: Analyzer,
    /// Working memory that no search uses at the moment. The analyser's share of it takes long to
    /// make again.
    idle: Mutex<Vec<Scratch>>,
}

/// Memory that is used again for one group of queries after another.
struct Scratch {
    analyzer: Analyzer,
    window: Window,
}

impl Bm25Searcher {
    pub(crate) fn new(
        segments: Vec<Segment>,
        similarity: Similarity,
        query_text: QueryText,
    ) -> Self {
        let (analyzer, idle) = (Analyzer::new(), Mutex::new(Vec::new()));
        Self { segments, similarity, query_text, analyzer, idle }
    }

    /// The best `k` hits for each of a few queries, best first.
    fn search(&self, ctx: &Context<'_>, queries: &[&str], k: usize) -> Result<Vec<Vec<Hit>>> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let lent = idle().pop();
        let mut scratch = lent
            .unwrap_or_else(|| Scratch { analyzer: self.analyzer.clone(), window: Window::new() });
        let group = Group::new(
            queries,
            self.query_text,
            &scratch.analyzer,
            &self.segments,
            &self.similarity,
        )?;
        let mut best: Vec<_> = queries.iter().map(|_| Best::new(k)).collect();
        for number in 0..self.segments.len() {
            self.search_segment(ctx, number, &group, &mut scratch.window, &mut best)?;
        }
        idle().push(scratch);
        Ok(best.into_iter().map(Best::into_hits).collect())
    }

    fn search_segment(
        &self,
        ctx: &Context<'_>,
        number: usize,
        group: &Group,
        window: &mut Window,
        best: &mut [Best],
    ) -> Result<()> {
        let segment = &self.segments[number];
        let mut cursors = Cursors::new(group, segment, number)?;
        for first in Window::starts(segment) {
            ctx.check()?;
            window.read(segment, first, group.queries, &mut cursors, &self.similarity);
            for (query, best) in best.iter_mut().enumerate() {
                window.offer(segment, query, best);
            }
        }
        match cursors.left_over() {
            Some(text) => Err(segment.damaged_posting(text)),
            None => Ok(()),
        }
    }
}

impl Searcher for Bm25Searcher {
    fn retrieve(&self, ctx: &Context<'_>, queries: &[&str], hits: HitsMut<'_>) -> Result<()> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(ctx.threads().min(queries.len().max(1)))
            .build()
            .or_error(ErrorKind::Unexpected, "cannot start the threads of the search")?;
        let k = hits.k();
        let filled = Mutex::new((hits, 0));
        pool.install(|| {
            // Queries differ much in length: each group is handed out by itself.
            groups(queries, ctx.threads()).into_par_iter().with_max_len(1).try_for_each(|group| {
                let found = self.search(ctx, &queries[group.clone()], k)?;
                let mut filled = filled.lock().unwrap_or_else(PoisonError::into_inner);
                let (hits, done) = &mut *filled;
                for (query, mut found) in group.zip(found) {
                    hits.set(query, &mut found);
                    *done += 1;
                }
                ctx.progress(*done, queries.len(), "queries");
                Ok(())
            })
        })
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
            let config = Bm25Config { k1: Some(k1), b: Some(b), ..Bm25Config::default() };
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
    fn a_query_of_twenty_thousand_words_is_answered() {
        let others = (0..20_000).fold(String::new(), |text, i| text + " other" + &i.to_string());
        let host = Host::prepared(Bm25Config::default(), &TEXTS, 10);
        let found = host.retrieve(&[&format!("cat{others} cat"), "cat cat"], 10, 1);
        assert_eq!(found[0].len(), 3);
        assert_eq!(bits(&found[..1]), bits(&found[1..]), "words that no text has add nothing");
    }

    #[test]
    fn an_empty_query_and_one_of_stop_words_have_no_hits() {
        let host = Host::prepared(Bm25Config::default(), &TEXTS, 3);
        let found = host.retrieve(&["", " \n", "the of", "cat"], 10, 2);
        assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [0, 0, 0, 3]);
    }

    #[test]
    fn a_row_without_a_term_is_never_a_hit_and_no_part_of_the_averages() {
        let with = Host::prepared(Bm25Config::default(), &["cat", "", "the", "cat dog"], 2);
        let found = with.retrieve(&["cat dog"], 10, 1);
        assert_eq!(found[0].iter().map(|hit| hit.id).collect::<Vec<_>>(), [3, 0]);
        let without = Host::prepared(Bm25Config::default(), &["cat", "cat dog"], 2);
        let scores = |hits: &[Hit]| hits.iter().map(|hit| hit.score.to_bits()).collect::<Vec<_>>();
        assert_eq!(scores(&found[0]), scores(&without.retrieve(&["cat dog"], 10, 1)[0]));
    }

    #[test]
    fn a_pool_of_texts_without_terms_has_no_hits() {
        let host = Host::prepared(Bm25Config::default(), &["", "the", "of"], 2);
        assert!(host.retrieve(&["the cat"], 10, 1)[0].is_empty());
    }

    #[test]
    fn a_part_of_several_windows_is_searched_as_one() {
        // Five windows; a word in one text of three thousand, one in every other, one in all.
        let text = |row: usize| match (row % 3000, row % 2) {
            (7, _) => format!("all rare {}", "pad ".repeat(row % 13)),
            (_, 0) => "all even".to_owned(),
            _ => "all".to_owned(),
        };
        let texts: Vec<String> = (0..17_000).map(text).collect();
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        let queries = ["rare", "even rare all all", "all"];
        let whole = Host::prepared(Bm25Config::default(), &texts, 17_000).retrieve(&queries, 20, 1);
        let parts = Host::prepared(Bm25Config::default(), &texts, 1500).retrieve(&queries, 20, 2);
        assert_eq!(bits(&whole), bits(&parts));
        let ids = |hits: &[Hit]| hits.iter().map(|hit| hit.id).collect::<Vec<_>>();
        assert_eq!(ids(&whole[0]), [6007, 3007, 15_007, 7, 12_007, 9007], "by length");
        assert_eq!(whole[1][0].id, 6007);
        let odd: Vec<u64> = (0..41).map(|i| 2 * i + 1).filter(|id| id % 3000 != 7).collect();
        assert_eq!(ids(&whole[2]), odd[..20], "the shortest, which tie");
    }

    #[test]
    fn queries_of_the_paper_are_searched_without_their_line_breaks() {
        let paper = Bm25Config { query_text: QueryText::Paper, ..Bm25Config::default() };
        let host = Host::prepared(paper, &["one", "two", "onetwo"], 10);
        let ids =
            |query| host.retrieve(&[query], 10, 1)[0].iter().map(|h| h.id).collect::<Vec<_>>();
        assert_eq!(ids("one\ntwo"), [2]);
        assert_eq!(ids("one\ttwo"), [0, 1]);
        let host = Host::prepared(Bm25Config::default(), &["one", "two", "onetwo"], 10);
        assert_eq!(host.retrieve(&["one\ntwo"], 10, 1)[0].len(), 2);
    }
}
