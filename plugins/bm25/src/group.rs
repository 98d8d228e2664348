//! Queries that are searched with together: a term that several of them have is read once.

use std::collections::BTreeMap;
use std::ops::Range;

use deft_core::prelude::*;
use tantivy::postings::TermInfo;

use crate::analyzer::Analyzer;
use crate::config::QueryText;
use crate::segment::Segment;
use crate::similarity::Similarity;

/// The most queries of a group.
const QUERIES: usize = 64;

/// Terms that a group has, about; as many words have room in [`BYTES`].
pub(crate) const TERMS: usize = 8192;

/// Bytes of queries from which on a group takes no other: each of its terms takes memory.
const BYTES: usize = 256 << 10;

/// The terms of a group of queries, in a fixed order.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) queries: usize,
    pub(crate) terms: Vec<GroupTerm>,
}

/// A term that some queries of a group have.
#[derive(Debug)]
pub(crate) struct GroupTerm {
    /// Where its postings lie, for each segment.
    pub(crate) infos: Vec<Option<TermInfo>>,
    /// Who has it; those with the same weight stand together.
    pub(crate) uses: Vec<Use>,
}

/// A term in a query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Use {
    /// The query's place in the group.
    pub(crate) query: usize,
    pub(crate) weight: f32,
}

impl Group {
    /// Looks up the terms of queries.
    pub(crate) fn new(
        queries: &[&str],
        query_text: QueryText,
        analyzer: &Analyzer,
        segments: &[Segment],
        similarity: &Similarity,
    ) -> Result<Self> {
        let mut terms = Vec::new();
        for (term, counts) in counts(queries, query_text, analyzer) {
            let infos: Vec<_> =
                segments.iter().map(|segment| segment.find(&term)).collect::<Result<_>>()?;
            let texts: u64 = infos.iter().flatten().map(|info| u64::from(info.doc_freq)).sum();
            if texts > 0 {
                let uses = counts.iter().map(|&(count, query)| {
                    let weight = similarity.weight(texts, count);
                    Use { query, weight }
                });
                terms.push(GroupTerm { uses: uses.collect(), infos });
            }
        }
        Ok(Self { queries: queries.len(), terms })
    }
}

/// For each term, in order, how often which query has it, ordered by that number.
fn counts(
    queries: &[&str],
    query_text: QueryText,
    analyzer: &Analyzer,
) -> BTreeMap<String, Vec<(u32, usize)>> {
    let mut terms = BTreeMap::<String, Vec<(u32, usize)>>::new();
    for (query, text) in queries.iter().enumerate() {
        analyzer.for_each_term(&query_text.of(text), |term| match terms.get_mut(term) {
            Some(counts) => match counts.last_mut() {
                Some((count, last)) if *last == query => *count += 1,
                _ => counts.push((1, query)),
            },
            None => {
                terms.insert(term.to_owned(), vec![(1, query)]);
            }
        });
    }
    for counts in terms.values_mut() {
        counts.sort_unstable();
    }
    terms
}

/// Cuts queries into groups, at least one for each thread where there are as many queries.
pub(crate) fn groups(queries: &[&str], threads: usize) -> Vec<Range<usize>> {
    let most = queries.len().div_ceil(threads.max(1)).min(QUERIES);
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (query, text) in queries.iter().enumerate() {
        match groups.last_mut() {
            Some(group) if group.len() < most && bytes + text.len() <= BYTES => group.end += 1,
            _ => {
                groups.push(query..query + 1);
                bytes = 0;
            }
        }
        bytes += text.len();
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_query_is_in_one_group_and_every_thread_has_one() {
        for (queries, threads, lengths) in [
            (0, 2, vec![]),
            (1, 2, vec![1]),
            (5, 2, vec![3, 2]),
            (129, 2, vec![64, 64, 1]),
            (4, 8, vec![1; 4]),
        ] {
            let groups = groups(&vec!["text"; queries], threads);
            assert_eq!(groups.iter().map(ExactSizeIterator::len).collect::<Vec<_>>(), lengths);
            assert!(groups.into_iter().flatten().eq(0..queries));
        }
    }

    #[test]
    fn long_queries_are_not_put_together() {
        let long = "x".repeat(BYTES);
        assert_eq!(groups(&["a", "b", &long, "c"], 1), [0..2, 2..3, 3..4]);
    }

    #[test]
    fn a_term_is_counted_in_each_query_that_has_it() {
        let queries = ["dog cat dog", "cat", "the cat cat"];
        let counts = counts(&queries, QueryText::Whole, &Analyzer::new());
        let wanted = [("cat", vec![(1, 0), (1, 1), (2, 2)]), ("dog", vec![(2, 0)])];
        let counts: Vec<_> = counts.iter().map(|(term, c)| (term.as_str(), c.clone())).collect();
        assert_eq!(counts, wanted);
    }
}
