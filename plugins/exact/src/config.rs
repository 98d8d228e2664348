//! Options of `exact`.

use deft_scan::Metric;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Options of the index `exact`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExactConfig {
    /// How near two vectors are: `l2` (default), the negated squared Euclidean distance, or `ip`,
    /// the inner product.
    #[serde(default)]
    pub(crate) metric: Metric,
}
