//! What an entry of the pool is read from: a source, or a file that lists some.

use std::fmt;

use deft_core::schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// What an entry of the pool is read from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(crate = "deft_core::schemars")]
pub enum EntrySource {
    /// File, folder or glob.
    One(String),
    /// All that a file lists.
    Listed(SourceList),
}

/// Sources that a file lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "deft_core::schemars")]
pub struct SourceList {
    /// A text file with a source on each line: file, folder or glob, relative to that file, or
    /// `hf://datasets/ORG/NAME/PATH`. `#` begins a comment. The lines are read in their order.
    pub list: String,
}

impl<'de> Deserialize<'de> for EntrySource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EntryVisitor)
    }
}

/// A text or a map. Serde's own way to read either would not tell which key is wrong.
struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = EntrySource;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a file, folder or glob, or a map with `list`")
    }

    fn visit_str<E: de::Error>(self, source: &str) -> Result<EntrySource, E> {
        Ok(EntrySource::One(source.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<EntrySource, A::Error> {
        SourceList::deserialize(MapAccessDeserializer::new(map)).map(EntrySource::Listed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{HEAD, load};
    use super::*;

    /// A manifest whose only entry of the pool has this source.
    fn with_source(source: &str) -> String {
        HEAD.replace("source: a }", &format!("source: {source} }}"))
    }

    #[test]
    fn a_source_is_a_text_or_a_list_and_stays_what_it_is() {
        for (source, wanted) in [
            ("a/*.jsonl", EntrySource::One("a/*.jsonl".to_owned())),
            ("{ list: p3.txt }", EntrySource::Listed(SourceList { list: "p3.txt".to_owned() })),
        ] {
            let (manifest, _) = load(&with_source(source)).unwrap();
            assert_eq!(manifest.pool[0].source, wanted);
            let written = serde_yaml::to_string(&manifest).unwrap();
            assert_eq!(load(&written).unwrap().0.pool[0].source, wanted, "{written}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_list_is_said_with_its_place() {
        for (source, option, says) in [
            ("{ lists: p3.txt }", "pool[0].source.lists", "unknown option `lists`"),
            ("{}", "pool[0].source", "`list` is missing"),
            ("[a, b]", "pool[0].source", "expected a file, folder or glob, or a map with `list`"),
        ] {
            let error = load(&with_source(source)).unwrap_err();
            assert_eq!(error.option(), Some(option), "{error} for {source}");
            assert!(error.message().contains(says), "{error} for {source}");
            assert!(error.context("at").unwrap().contains("m.yaml:4:"), "{error} for {source}");
        }
    }
}
