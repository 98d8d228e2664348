//! Options of `bm25`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Options of the retriever `bm25`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bm25Config {
    /// How much further occurrences of a word in a text count: 0 not at all (default 0.9, as in
    /// Anserini; 0 to 100).
    #[serde(default = "k1")]
    #[schemars(range(min = 0, max = 100))]
    pub(crate) k1: f64,
    /// How much a text's length is held against it: 0 not at all, 1 in full (default 0.4, as in
    /// Anserini; 0 to 1).
    #[serde(default = "b")]
    #[schemars(range(min = 0, max = 1))]
    pub(crate) b: f64,
    /// Memory in MB that indexing one part of the pool may fill before it writes to disk
    /// (default 64; 15 to 4,000).
    #[serde(default = "index_memory_mb")]
    #[schemars(range(min = 15, max = 4000), extend("x-deft-mark" = "use"))]
    pub(crate) index_memory_mb: usize,
}

fn k1() -> f64 {
    0.9
}

fn b() -> f64 {
    0.4
}

fn index_memory_mb() -> usize {
    64
}

impl Default for Bm25Config {
    fn default() -> Self {
        Self { k1: k1(), b: b(), index_memory_mb: index_memory_mb() }
    }
}
