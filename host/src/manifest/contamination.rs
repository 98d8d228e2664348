//! What is done about pool examples that give an evaluation input away: a selection's
//! `contamination`.

use std::fmt;

use deft_core::schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use deft_core::{Error, Result};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, IntoDeserializer as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

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

/// A bare word is short for the map with that `action`.
pub(super) fn word_or_map<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<ContaminationCheck, D::Error> {
    deserializer.deserialize_any(FormVisitor)
}

pub(super) fn word_or_map_schema(generator: &mut SchemaGenerator) -> Schema {
    let word = generator.subschema_for::<ContaminationAction>();
    let map = generator.subschema_for::<ContaminationCheck>();
    json_schema!({ "anyOf": [word, map] })
}

/// Serde's own way to read either form would not tell which key is wrong.
struct FormVisitor;

impl<'de> Visitor<'de> for FormVisitor {
    type Value = ContaminationCheck;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`drop`, `keep`, `fail`, or a map with `action`, `ngram` or `threshold`")
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<ContaminationCheck, E> {
        let action = ContaminationAction::deserialize(word.into_deserializer())?;
        Ok(ContaminationCheck { action, ..ContaminationCheck::default() })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ContaminationCheck, A::Error> {
        ContaminationCheck::deserialize(MapAccessDeserializer::new(map))
    }
}
