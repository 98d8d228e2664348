//! How much of the nearest a search finds: pure functions over hits.

use std::collections::{BTreeMap, BTreeSet};

use deft_core::metrics::{Aggregate, ExampleScore, Metric, MetricSpec, aggregate};
use deft_core::{Hit, Result};
use serde::{Deserialize, Serialize};

use crate::selection::{QueryHits, union};

/// The name of the metric.
const RECALL: &str = "recall";

/// `recall.json`: what is known of what a task's search with an arm's retriever misses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recall {
    /// Hits that were asked for of each query.
    pub k: usize,
    /// What is known.
    #[serde(flatten)]
    pub known: Known,
    /// Where the hits come from that the selection is made of.
    pub hits: HitsFrom,
}

/// What is known of what a search misses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "search", rename_all = "snake_case")]
pub enum Known {
    /// It compares every example: it misses nothing.
    Exact,
    /// It was held against the nearest of all.
    Approximate(Measurement),
    /// The retriever does not say.
    Unknown,
}

/// Where hits come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HitsFrom {
    /// The retriever's search.
    Search,
    /// A comparison of every query with every example, since the search missed too much.
    Scan,
}

/// A search held against the nearest of all, for some of its queries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The share of the `k` nearest that is found, as a mean over queries. A hit counts if it is no
    /// farther than the last of the nearest. The interval is over resampled queries.
    pub recall: Metric,
    /// Queries that it was measured with.
    pub queries: usize,
    /// What was compared, which is how far the truth can be trusted.
    pub truth: String,
    /// The selection that these queries make.
    pub selection: Overlap,
    /// Each of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub of_query: Vec<QueryRecall>,
}

/// The recall of one query.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct QueryRecall {
    /// The query's position among the examples of its source, as in `hits.jsonl`.
    pub query: usize,
    /// Its recall.
    pub recall: f64,
}

/// How alike the selections are that hits make, and that the nearest would.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Overlap {
    /// Examples that the hits select.
    pub selected: usize,
    /// Examples that the nearest select.
    pub nearest: usize,
    /// Examples that both do.
    pub both: usize,
    /// The share of what the nearest select that the hits select, too.
    pub found: f64,
    /// `both` as a share of what either selects.
    pub jaccard: f64,
}

/// Some queries with their hits at true scores, and the nearest of all.
#[derive(Debug, Clone, Default)]
pub struct Judged {
    /// The queries.
    pub queries: Vec<usize>,
    /// The hits of each.
    pub found: Vec<QueryHits>,
    /// The nearest of each.
    pub nearest: Vec<QueryHits>,
}

impl Judged {
    /// What these queries say of the search. Of each the first `depth` hits count for the selection.
    ///
    /// # Errors
    ///
    /// [`deft_core::ErrorKind::Unexpected`]: none is known.
    pub fn measure(&self, truth: String, depth: usize, seed: u64) -> Result<Measurement> {
        let pairs = self.queries.iter().zip(self.found.iter().zip(&self.nearest));
        let of_query = |(&query, (found, nearest)): (&usize, (&QueryHits, &QueryHits))| {
            QueryRecall { query, recall: recall(found, nearest) }
        };
        let of_query: Vec<QueryRecall> = pairs.map(of_query).collect();
        let recall = mean_with_interval(&of_query, seed)?;
        let selection = overlap(&cut(&self.found, depth), &cut(&self.nearest, depth));
        Ok(Measurement { recall, queries: of_query.len(), truth, selection, of_query })
    }
}

/// The share of the nearest that is found: hits count that are among them, or no farther than the
/// last of them.
pub fn recall(found: &[Hit], nearest: &[Hit]) -> f64 {
    let Some(last) = nearest.last() else { return 1.0 };
    let ids: BTreeSet<u64> = nearest.iter().map(|hit| hit.id).collect();
    let counts = |hit: &&Hit| hit.score >= last.score || ids.contains(&hit.id);
    let found = found.iter().filter(counts).count();
    found.min(nearest.len()) as f64 / nearest.len() as f64
}

fn mean_with_interval(queries: &[QueryRecall], seed: u64) -> Result<Metric> {
    let score = |one: &QueryRecall| ExampleScore {
        values: BTreeMap::from([(RECALL.to_owned(), one.recall)]),
        ..ExampleScore::default()
    };
    let scores: Vec<ExampleScore> = queries.iter().map(score).collect();
    let spec = MetricSpec { name: RECALL.to_owned(), aggregate: Aggregate::Mean };
    aggregate(&spec, &scores, seed)
}

fn cut(hits: &[QueryHits], depth: usize) -> Vec<QueryHits> {
    hits.iter().map(|hits| hits[..depth.min(hits.len())].to_vec()).collect()
}

/// How alike the unions of hits and of the nearest are.
pub fn overlap(found: &[QueryHits], nearest: &[QueryHits]) -> Overlap {
    let ids = |hits: &[QueryHits]| -> BTreeSet<u64> {
        union(hits, None).into_iter().map(|one| one.id).collect()
    };
    let (selected, nearest) = (ids(found), ids(nearest));
    let both = selected.intersection(&nearest).count();
    let share = |of: usize| if of == 0 { 1.0 } else { both as f64 / of as f64 };
    Overlap {
        selected: selected.len(),
        nearest: nearest.len(),
        both,
        found: share(nearest.len()),
        jaccard: share(selected.union(&nearest).count()),
    }
}

impl Recall {
    /// The measurement, if there is one.
    pub fn measured(&self) -> Option<&Measurement> {
        match &self.known {
            Known::Approximate(measurement) => Some(measurement),
            Known::Exact | Known::Unknown => None,
        }
    }

    /// The same without what each query says.
    #[must_use]
    pub fn in_short(mut self) -> Self {
        if let Known::Approximate(measured) = &mut self.known {
            measured.of_query.clear();
        }
        self
    }

    /// Whether the search is known to find less than this share of the nearest.
    pub fn is_below(&self, least: f64) -> bool {
        self.measured().is_some_and(|measured| measured.recall.value < least)
    }

    /// A cell of a table: the recall and its interval.
    pub fn cell(&self) -> String {
        match (&self.known, self.hits) {
            (Known::Exact, _) => "exact".to_owned(),
            (Known::Unknown, _) => "unknown".to_owned(),
            (Known::Approximate(_), HitsFrom::Scan) => "exact (scan)".to_owned(),
            (Known::Approximate(measured), HitsFrom::Search) => interval(&measured.recall),
        }
    }

    /// A cell of a table: how alike the selection is to that of the nearest.
    pub fn overlap_cell(&self) -> String {
        match (self.measured(), self.hits) {
            (Some(measured), HitsFrom::Search) => format!("{:.3}", measured.selection.jaccard),
            _ => "-".to_owned(),
        }
    }

    /// A line of the log.
    pub fn line(&self) -> String {
        let Known::Approximate(measured) = &self.known else {
            return match self.known {
                Known::Exact => "the search is exact: it misses nothing".to_owned(),
                _ => "the retriever does not say what its search misses: recall is not measured"
                    .to_owned(),
            };
        };
        let Measurement { recall, queries, truth, selection, .. } = measured;
        format!(
            "recall@{} is {} over {queries} of the queries, against a scan of {truth}; of the {} \
             examples that the nearest select, {:.1} % are selected (Jaccard {:.3})",
            self.k,
            interval(recall),
            selection.nearest,
            100.0 * selection.found,
            selection.jaccard
        )
    }
}

/// `0.962 [0.950, 0.973]`
pub fn interval(recall: &Metric) -> String {
    format!("{:.3} [{:.3}, {:.3}]", recall.value, recall.low, recall.high)
}

#[cfg(test)]
#[path = "recall_tests.rs"]
mod tests;
