//! Options of the reader.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Options of the reader.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SciqConfig {
    /// Where the right answer stands among the four: `fixed` (default) shuffles each question's by its
    /// own text and leaves out a question one of whose distractors is the right answer, `paper` has
    /// it third in every question and asks them all, as the published code does.
    #[serde(default)]
    pub(crate) variant: Variant,
}

/// Whose rules are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Variant {
    /// The answers' order depends on the question.
    #[default]
    Fixed,
    /// The right answer is always the third.
    Paper,
}
