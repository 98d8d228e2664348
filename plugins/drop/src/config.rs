//! Options of the reader.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Options of the reader.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DropConfig {
    /// Whether the target is also the one answer choice: not with `fixed` (default), since there is
    /// nothing to choose; with `paper`, as in the published code. Of the official file, `paper` also
    /// takes the questions and targets that the published code had from Hugging Face. Prompt and
    /// metric are the same.
    #[serde(default)]
    pub(crate) variant: Variant,
}

/// Whose rules are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Variant {
    /// No answer choices.
    #[default]
    Fixed,
    /// The target is the one answer choice.
    Paper,
}
