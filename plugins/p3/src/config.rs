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
    /// Whether other fields that are strings, numbers or booleans go to the example's `extra`;
    /// `false` by default. Costs a second parse of each JSON line.
    #[serde(default)]
    pub(crate) keep_extra: bool,
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
