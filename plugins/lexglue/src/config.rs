//! Options of every reader of this plugin.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Options of every reader of this plugin.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LexglueConfig {
    /// Whose prompt is used where the published code's has a fault; `fixed` by default. These tasks'
    /// prompts have none: both are the same.
    #[serde(default)]
    pub(crate) variant: Variant,
}

/// Whose rules are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Variant {
    /// The prompt as it was meant.
    #[default]
    Fixed,
    /// The prompt of the published code, to the letter.
    Paper,
}
