//! The options of the encoder `hash`.

use deft_core::prelude::*;

/// What a user may write beside `use: hash`.
///
/// The host reads these comments: `deft plugin inspect` prints them, and an unknown or misspelt
/// option is refused with the nearest name. The two `crate` attributes save this project from
/// depending on serde and schemars itself.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "deft_core::serde", deny_unknown_fields)]
#[schemars(crate = "deft_core::schemars")]
pub struct HashConfig {
    /// Number of components of each vector, 1 to 65536. Fewer components, more words that share
    /// one. Default 256.
    #[serde(default = "default_dimension")]
    pub dimension: usize,

    /// Whether `Soup` and `soup` are the same word. Default true.
    #[serde(default = "default_lowercase")]
    pub lowercase: bool,
}

fn default_dimension() -> usize {
    256
}

fn default_lowercase() -> bool {
    true
}
