//! Options of `fusion`.

use deft_core::prelude::*;
use deft_fuse::{Method, Normalize, Rule};

/// Options of the retriever `fusion`, beside its children `retrievers`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FusionConfig {
    /// How lists become one: `reciprocal_rank` (default) adds 1 / (`constant` + rank) of each list a hit
    /// is in, `weighted_sum` its score there, once it is normalized.
    #[serde(default)]
    #[schemars(extend("x-deft-mark" = "search"))]
    pub(crate) method: Method,
    /// What `reciprocal_rank` adds to each rank (default 60, that of Cormack et al., 2009; 0 to
    /// 1,000,000). A small one lets the first ranks of a list count for much, a large one lets it count
    /// in how many lists a hit is.
    #[serde(default = "constant")]
    #[schemars(range(min = 0, max = 1_000_000), extend("x-deft-mark" = "search"))]
    pub(crate) constant: f64,
    /// A weight for each retriever, in their order (default 1 each; 0 to 1,000,000, and not all 0).
    /// What a retriever of weight 0 alone finds is no hit.
    #[serde(default)]
    #[schemars(extend("x-deft-mark" = "search", "x-deft-each" = "retrievers"))]
    pub(crate) weights: Option<Vec<f64>>,
    /// What `weighted_sum` does to the scores of each list first: `min_max` (default; the first is 1,
    /// the last 0), `z_score` (mean 0, standard deviation 1) or `none`. A hit that a list lacks gets 0
    /// of it: with `none` that is better than a negative score, as those of `metric: l2` are.
    #[serde(default)]
    #[schemars(extend("x-deft-mark" = "search"))]
    pub(crate) normalize: Normalize,
    /// Hits that each retriever is asked for (default: as many as are wanted of `fusion`; at least 1).
    /// More of them change which hits lists have in common, and take the search as much longer.
    #[serde(default)]
    #[schemars(range(min = 1), extend("x-deft-mark" = "search"))]
    pub(crate) depth: Option<usize>,
}

fn constant() -> f64 {
    Rule::CONSTANT
}

impl Default for FusionConfig {
    fn default() -> Self {
        let (method, normalize) = (Method::default(), Normalize::default());
        Self { method, constant: constant(), weights: None, normalize, depth: None }
    }
}

impl FusionConfig {
    /// How lists become one.
    pub(crate) fn rule(&self) -> Rule {
        let &Self { method, constant, normalize, .. } = self;
        Rule { method, constant, weights: self.weights.clone(), normalize }
    }
}
