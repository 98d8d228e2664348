//! Options of `exact`.

use std::fmt;

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

/// How near two vectors are; a larger score is closer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Metric {
    /// Negated squared Euclidean distance: 0 for equal vectors.
    #[default]
    L2,
    /// Inner product: the cosine similarity where vectors have length 1.
    Ip,
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::L2 => "l2",
            Self::Ip => "ip",
        })
    }
}
