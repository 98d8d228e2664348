//! Options of the readers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Options of every reader of this plugin.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct T0Config {
    /// Whose prompt is used where the published code's has a fault; `fixed` by default. The
    /// README says for each task what differs.
    #[serde(default)]
    pub(crate) variant: Variant,
}

/// Whose prompt is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Variant {
    /// The prompt as it was meant.
    #[default]
    Fixed,
    /// The prompt of the published code, to the letter.
    Paper,
}
