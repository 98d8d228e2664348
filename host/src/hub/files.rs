//! Which files of a repository a model is made of.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use deft_core::{Error, ErrorKind, Result};
use serde::Deserialize;

use super::is_plain;
use crate::store::read_json;

/// What describes a model, and the whole of an adapter. Weights come after it: a model whose weights
/// are in the cache has the rest there too.
const DESCRIPTION: [&str; 10] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "adapter_config.json",
    "adapter_model.safetensors",
];

/// Without one of these a model is whole only if its repository has none.
pub(super) const ESSENTIAL: [&str; 2] = ["config.json", "tokenizer.json"];

/// The forms of weights, the best first: a file, or an index of several.
pub(super) const WEIGHTS: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

/// The files of a list that a model needs, those of an index left out; weights come last.
pub(super) fn wanted(all: &[String]) -> Vec<&str> {
    let has = |name: &&str| all.iter().any(|file| file == name);
    let mut wanted: Vec<&str> = DESCRIPTION.into_iter().filter(has).collect();
    if has(&"modules.json") {
        // The modules of sentence-transformers: `1_Pooling/config.json`, `2_Dense/model.safetensors`.
        wanted.extend(all.iter().map(String::as_str).filter(|file| is_of_module(file)));
    }
    wanted.extend(WEIGHTS.into_iter().find(has));
    wanted
}

fn is_of_module(file: &str) -> bool {
    file.split_once('/').is_some_and(|(dir, name)| {
        // Other folders have weights, too: those of another runtime.
        let is_weights = name == "model.safetensors" && dir.ends_with("_Dense");
        is_plain(dir) && (name == "config.json" || is_weights)
    })
}

/// Whether a form of weights is an index.
pub(super) fn is_index(file: &str) -> bool {
    file == WEIGHTS[1] || file == WEIGHTS[3]
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The files that an index of weights names.
///
/// # Errors
///
/// [`ErrorKind::Model`] when it is no index, or names what lies elsewhere.
pub(super) fn shards(index: &Path) -> Result<BTreeSet<String>> {
    read_json::<Index>(index)
        .map(|index| index.weight_map.into_values().collect())
        .filter(|shards: &BTreeSet<String>| shards.iter().all(|shard| is_plain(shard)))
        .ok_or_else(|| {
            Error::new(ErrorKind::Model, "the list of shards is damaged")
                .with_context("file", index.display())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(all: &[&str], expected: &[&str]) {
        let all: Vec<String> = all.iter().map(|&file| file.to_owned()).collect();
        assert_eq!(wanted(&all), expected);
    }

    #[test]
    fn one_form_of_weights_is_wanted_and_none_of_other_programs() {
        check(
            &["model.safetensors", "config.json", "pytorch_model.bin", "tf_model.h5", "README.md"],
            &["config.json", "model.safetensors"],
        );
        check(
            &["pytorch_model.bin", "rust_model.ot", "flax_model.msgpack", "onnx/config.json"],
            &["pytorch_model.bin"],
        );
        check(
            &["model-00001-of-00002.safetensors", "model.safetensors.index.json", "config.json"],
            &["config.json", "model.safetensors.index.json"],
        );
    }

    #[test]
    fn modules_of_sentence_transformers_and_adapters_are_wanted() {
        check(
            &[
                "modules.json",
                "1_Pooling/config.json",
                "2_Dense/model.safetensors",
                "onnx/model.safetensors",
                "../config.json",
                "model.safetensors",
            ],
            &[
                "modules.json",
                "1_Pooling/config.json",
                "2_Dense/model.safetensors",
                "model.safetensors",
            ],
        );
        check(
            &["adapter_model.safetensors", "adapter_config.json", "adapter_model.bin"],
            &["adapter_config.json", "adapter_model.safetensors"],
        );
    }

    #[test]
    fn an_index_that_names_files_elsewhere_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let index = dir.path().join("index.json");
        let read = |text: &str| {
            std::fs::write(&index, text).unwrap();
            shards(&index)
        };
        let two =
            read(r#"{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}"#);
        assert_eq!(two.unwrap().len(), 2);
        for text in [r#"{"weight_map": {"a": "../x"}}"#, r#"{"weight_map": 7}"#, "no JSON"] {
            assert_eq!(read(text).unwrap_err().kind(), ErrorKind::Model, "{text}");
        }
    }
}
