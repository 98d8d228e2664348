//! Options of `fusion`.

use deft_core::prelude::*;
use deft_fuse::{Method, Normalize, Rule};

/// Options of the retriever `fusion`, beside its children `retrievers`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FusionConfig {
    /// How lists become one: `reciprocal_rank` (default) adds 1 / (`constant` + rank) of each list a hit
    /// is in, `weighted_sum` its score there, once it is normalized.
    #[serde(default)]
    #[schemars(extend("x-deft-mark" = "search"))]
    pub(crate) method: Method,
    /// What `reciprocal_rank` adds to each rank (default 60, that of Cormack et al., 2009; 0 to
    /// 1,000,000). A small one lets the first ranks of a list count for much, a large one lets it count
    /// in how many lists a hit is. `weighted_sum` has none, and refuses it.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000), extend("x-deft-mark" = "search"))]
    pub(crate) constant: Option<f64>,
    /// A weight for each retriever, in their order (default 1 each; 0 to 1,000,000, and not all 0).
    /// What a retriever of weight 0 alone finds is no hit.
    #[serde(default)]
    #[schemars(extend("x-deft-mark" = "search", "x-deft-each" = "retrievers"))]
    pub(crate) weights: Option<Vec<f64>>,
    /// What `weighted_sum` does to the scores of each list first: `min_max` (default; the first is 1,
    /// the last 0), `z_score` (mean 0, standard deviation 1) or `none`. A hit that a list lacks gets 0
    /// of it: with `none` that is better than a negative score, as those of `metric: l2` are.
    /// `reciprocal_rank` looks at no score, and refuses it.
    #[serde(default)]
    #[schemars(extend("x-deft-mark" = "search"))]
    pub(crate) normalize: Option<Normalize>,
    /// Hits that each retriever is asked for (default: as many as are wanted of `fusion`; at least 1).
    /// More of them change which hits lists have in common, and take the search as much longer.
    #[serde(default)]
    #[schemars(range(min = 1), extend("x-deft-mark" = "search"))]
    pub(crate) depth: Option<usize>,
}

impl FusionConfig {
    /// How lists become one.
    pub(crate) fn rule(&self) -> Result<Rule> {
        Rule::new(self.method, self.constant, self.weights.clone(), self.normalize)
    }
}
