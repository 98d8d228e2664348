//! Options of the reader.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Options of the reader.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CaseholdConfig {
    /// What becomes of a few-shot row, whose `target` is a number: `fixed` (default) takes it,
    /// `paper` leaves it out as the published code does. The prompt is the same. `fixed` leaves out
    /// records with an empty holding or two equal ones.
    #[serde(default)]
    pub(crate) variant: Variant,
}

/// Whose rules are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Variant {
    /// Few-shot rows are read.
    #[default]
    Fixed,
    /// Few-shot rows are left out.
    Paper,
}
