//! What an entry of the pool is read from: a source, or a file that lists some.

use std::collections::HashSet;

use deft_core::schemars::JsonSchema;
use serde::de;
use serde::{Deserialize, Deserializer, Serialize};

use super::Manifest;
use super::either::{TextOrMap, text_or_map};

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
        text_or_map(deserializer)
    }
}

impl TextOrMap for EntrySource {
    type Map = SourceList;

    const EXPECTED: &'static str = "a file, folder or glob, or a map with `list`";

    fn of_text<E: de::Error>(source: &str) -> Result<Self, E> {
        Ok(Self::One(source.to_owned()))
    }

    fn of_map(list: SourceList) -> Self {
        Self::Listed(list)
    }
}

/// Something that a manifest names as a source.
#[derive(Debug, Clone, Copy)]
pub(crate) enum NamedSource<'a> {
    /// File, folder or glob, here or of the hub.
    Source(&'a str),
    /// A file that lists such.
    List(&'a str),
}

impl Manifest {
    /// Every source that is named for the first time, with its option.
    pub(crate) fn named_sources(&self) -> Vec<(NamedSource<'_>, String)> {
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        for (i, entry) in self.pool.iter().enumerate() {
            match &entry.source {
                EntrySource::One(source) if seen.insert(source.as_str()) => {
                    found.push((NamedSource::Source(source), format!("pool[{i}].source")));
                }
                EntrySource::One(_) => {}
                EntrySource::Listed(listed) => {
                    found.push((NamedSource::List(&listed.list), format!("pool[{i}].source.list")));
                }
            }
        }
        for (i, task) in self.tasks.iter().enumerate() {
            for (key, source) in task.sources() {
                if seen.insert(source.source()) {
                    let named = NamedSource::Source(source.source());
                    found.push((named, format!("tasks[{i}].{key}")));
                }
            }
        }
        found
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

    #[test]
    fn sources_are_found_once_with_their_places() {
        let text = "version: 1\nname: x\nplugins: []\npool:\n  - { reader: p3, source: a }\n  - { \
                    reader: p3, source: { list: l } }\ntasks:\n  - { name: t, reader: p3, \
                    query_source: a, evaluation_source: { source: b, take: 1 } }\nretriever: bm25\n";
        let manifest: Manifest = serde_yaml::from_str(text).unwrap();
        let found: Vec<(&str, String)> = manifest
            .named_sources()
            .into_iter()
            .map(|(named, option)| match named {
                NamedSource::Source(source) | NamedSource::List(source) => (source, option),
            })
            .collect();
        let expected = [
            ("a", "pool[0].source"),
            ("l", "pool[1].source.list"),
            ("b", "tasks[0].evaluation_source"),
        ];
        assert_eq!(found, expected.map(|(source, option)| (source, option.to_owned())));
    }
}
