//! What is done about pool examples that give an evaluation input away: a selection's
//! `contamination`.

use deft_core::schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use deft_core::{Error, Result};
use serde::de::{self, IntoDeserializer as _};
use serde::{Deserialize, Serialize};

use super::either::TextOrMap;

/// How examples are compared with the task's evaluation inputs, and what is done with those that
/// contain one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(crate = "deft_core::schemars")]
pub struct ContaminationCheck {
    /// What is done with an example that contains an evaluation input.
    pub action: ContaminationAction,
    /// Words of the runs that are compared where an input is not contained as a whole.
    #[schemars(range(min = 1))]
    pub ngram: usize,
    /// The share of an evaluation input's runs, above 0 and at most 1, from which on an example
    /// counts as containing it.
    #[schemars(range(max = 1), extend("exclusiveMinimum" = 0))]
    pub threshold: f64,
}

/// What is done with an example that contains an evaluation input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(crate = "deft_core::schemars")]
pub enum ContaminationAction {
    /// It is not selected, and the next one takes its place.
    #[default]
    Drop,
    /// It is selected and listed.
    Keep,
    /// The run ends.
    Fail,
}

impl ContaminationAction {
    /// The word for it in a manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Keep => "keep",
            Self::Fail => "fail",
        }
    }
}

impl Default for ContaminationCheck {
    fn default() -> Self {
        Self { action: ContaminationAction::default(), ngram: 8, threshold: 0.5 }
    }
}

impl ContaminationCheck {
    pub(super) fn check(&self) -> Result<()> {
        if self.ngram == 0 {
            return Err(Error::option_at("ngram", "must be at least 1"));
        }
        if self.threshold > 0.0 && self.threshold <= 1.0 {
            return Ok(());
        }
        let message = format!("must be above 0 and at most 1 (threshold: {})", self.threshold);
        Err(Error::option_at("threshold", message).with_hint("it is a share: 0.5 for 50 %"))
    }
}

pub(super) fn word_or_map_schema(generator: &mut SchemaGenerator) -> Schema {
    let word = generator.subschema_for::<ContaminationAction>();
    let map = generator.subschema_for::<ContaminationCheck>();
    json_schema!({ "anyOf": [word, map] })
}

/// A bare word is short for the map with that `action`.
impl TextOrMap for ContaminationCheck {
    type Map = Self;

    const EXPECTED: &'static str =
        "`drop`, `keep`, `fail`, or a map with `action`, `ngram` or `threshold`";

    fn of_text<E: de::Error>(word: &str) -> Result<Self, E> {
        let action = ContaminationAction::deserialize(word.into_deserializer())?;
        Ok(Self { action, ..Self::default() })
    }

    fn of_map(check: Self) -> Self {
        check
    }
}
