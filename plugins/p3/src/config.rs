//! Options of the reader.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Options of the reader `p3`.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct P3Config {
    /// How the right answer is found among the options; `fixed` by default.
    #[serde(default)]
    pub(crate) variant: Variant,
    /// What becomes of a row without target: `skip` (default, as in the published code) leaves it
    /// out and counts it; `keep` makes it an unlabelled example, which is what queries are.
    #[serde(default)]
    pub(crate) unlabelled: Unlabelled,
    /// Whether other fields that are strings, numbers or booleans go to the example's `extra`;
    /// `false` by default. Costs a second parse of each JSON line.
    #[serde(default)]
    pub(crate) keep_extra: bool,
}

/// What becomes of a row without target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Unlabelled {
    /// It is left out.
    #[default]
    Skip,
    /// It is an example without target and right answer.
    Keep,
}

/// Which rules make an example of a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Variant {
    /// The right answer is the first option equal to the target; a row without answer choices has
    /// no options.
    #[default]
    Fixed,
    /// As in the published code: the right answer is the first option that contains the target; a
    /// row without answer choices has its target as the one option.
    Paper,
}
