//! Options of `dense`.

use deft_core::VectorType;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Options of the retriever `dense`, beside its children `encoder` and `index`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DenseConfig {
    /// How the pool's vectors are stored: `f16` (default; half the space), `f32` (as the encoder
    /// made them) or `int8` (a quarter of the space; each component is off by at most 1/254 of its
    /// row's largest).
    #[serde(default)]
    pub(crate) vectors: VectorType,
    /// Rows of the pool in one index unit (default 1,000,000; at least 1). Units are built at the
    /// same time, each on one thread; a search goes through all of them.
    #[serde(default = "rows_per_unit")]
    #[schemars(range(min = 1))]
    pub(crate) rows_per_unit: usize,
}

fn rows_per_unit() -> usize {
    1_000_000
}

impl Default for DenseConfig {
    fn default() -> Self {
        Self { vectors: VectorType::default(), rows_per_unit: rows_per_unit() }
    }
}
