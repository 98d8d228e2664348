//! What an index promises.

mod built;
mod files;
mod search;

use crate::Component;
use crate::component::suite;
use crate::data;
use crate::report::Check;

/// How near two vectors are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// The negated squared Euclidean distance.
    L2,
    /// The inner product.
    InnerProduct,
}

impl Metric {
    fn in_core(self) -> deft_core::Metric {
        match self {
            Self::L2 => deft_core::Metric::L2,
            Self::InnerProduct => deft_core::Metric::Ip,
        }
    }
}

/// The checks of an index.
#[derive(Debug, Clone)]
pub struct IndexChecks {
    pub(crate) component: Component,
    dimension: usize,
    rows: usize,
    recall: f64,
    metric: Metric,
}

suite!(IndexChecks, CHECKS);

const CHECKS: &[Check<IndexChecks>] = &[
    Check::new("recall", "the nearest rows are found", search::recall),
    Check::new("scores", "a score is the metric's value, larger is closer", search::scores),
    Check::new("ties", "ties at the cut go to the smaller row", search::ties),
    Check::new("k_beyond_length", "a `k` above the length finds every row", search::k_beyond),
    Check::new("queries", "hits do not depend on other queries or their order", search::queries),
    Check::new("threads", "hits do not depend on the number of threads", search::threads),
    Check::new("concurrent", "searches at once do not disturb each other", search::concurrent),
    Check::new("no_queries", "no query, or a `k` of 0, is no error", search::no_queries),
    Check::new("one_vector", "an index may have a single row", search::one_vector),
    Check::new("duplicates", "equal rows are all found", search::duplicates),
    Check::new("cancelled", "a cancelled search stops within a second", search::cancelled),
    Check::new("length", "an index has as many rows as were added", files::length),
    Check::new("reopened", "an index opened again finds the same", files::reopened),
    Check::new("rebuilt", "an index built again, by other calls, finds the same", files::rebuilt),
    Check::new("damaged", "a damaged folder gives an error or the same hits", files::damaged),
    Check::new("untrained", "rows are refused where training is needed", files::untrained),
];

impl IndexChecks {
    pub(crate) fn new(component: Component) -> Self {
        Self { component, dimension: 16, rows: 1500, recall: 1.0, metric: Metric::L2 }
    }

    /// The share of the true ten nearest rows that must be among the first ten hits; 1 by default,
    /// which an index has to reach to the last row and which makes ties and scores exact.
    #[must_use]
    pub fn with_recall(mut self, recall: f64) -> Self {
        self.recall = recall;
        self
    }

    /// How near two vectors are under the options given; L2 by default.
    #[must_use]
    pub fn with_metric(mut self, metric: Metric) -> Self {
        self.metric = metric;
        self
    }

    /// Rows and components of the vectors; 1,500 and 16 by default.
    #[must_use]
    pub fn with_vectors(mut self, rows: usize, dimension: usize) -> Self {
        (self.rows, self.dimension) = (rows, dimension);
        self
    }

    fn is_exact(&self) -> bool {
        self.recall >= 1.0
    }

    fn rows(&self) -> Vec<f32> {
        data::vectors(self.rows, self.dimension, 11)
    }

    fn queries(&self) -> Vec<f32> {
        data::vectors(QUERIES, self.dimension, 12)
    }
}

const QUERIES: usize = 30;
const K: usize = 10;
