//! The file of a Pooling module.

use std::path::Path;

use deft_core::Result;
use serde_json::{Map, Value};

use super::{read_json, wrong};
use crate::config::Pooling;

/// The keys of a pooling's file, in the order in which sentence-transformers joins their vectors,
/// each with the name that newer files have for it.
const MODES: [(&str, &str, Pooling); 6] = [
    ("pooling_mode_cls_token", "cls", Pooling::First),
    ("pooling_mode_max_tokens", "max", Pooling::Max),
    ("pooling_mode_mean_tokens", "mean", Pooling::Mean),
    ("pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", Pooling::MeanSqrtLen),
    ("pooling_mode_weightedmean_tokens", "weightedmean", Pooling::WeightedMean),
    ("pooling_mode_lasttoken", "lasttoken", Pooling::Last),
];

/// What a pooling's file says.
#[derive(Debug, PartialEq)]
pub(super) struct PoolingFile {
    pub(super) modes: Vec<Pooling>,
    pub(super) width: Option<usize>,
    pub(super) includes_prompt: bool,
}

pub(super) fn pooling_of(path: &Path) -> Result<PoolingFile> {
    let file: Map<String, Value> = read_json(path)?.ok_or_else(|| {
        wrong("the pooling's file is missing".to_owned()).with_context("file", path.display())
    })?;
    parse_pooling(&file).map_err(|message| wrong(message).with_context("file", path.display()))
}

fn parse_pooling(file: &Map<String, Value>) -> Result<PoolingFile, String> {
    let known = || MODES.map(|(_, name, _)| name).join(", ");
    let mut wanted: Vec<&str> = match file.get("pooling_mode") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        Some(other) => return Err(format!("`pooling_mode` must be a name (found: {other})")),
    };
    for (key, value) in file.iter().filter(|(key, _)| key.starts_with("pooling_mode_")) {
        let name = MODES.iter().find(|(known, ..)| known == key).map(|(_, name, _)| *name);
        match (value, name) {
            (Value::Bool(false), _) => {}
            (Value::Bool(true), name) => wanted.push(name.unwrap_or(key)),
            (other, _) => return Err(format!("`{key}` must be true or false (found: {other})")),
        }
    }
    if let Some(name) = wanted.iter().find(|name| !MODES.iter().any(|(_, known, _)| known == *name))
    {
        return Err(format!("the pooling `{name}` is not supported (allowed: {})", known()));
    }
    let modes: Vec<Pooling> = MODES
        .into_iter()
        .filter(|(_, name, _)| wanted.contains(name))
        .map(|(.., pooling)| pooling)
        .collect();
    if modes.is_empty() {
        return Err(format!("no pooling is switched on (allowed: {})", known()));
    }
    let width = ["word_embedding_dimension", "embedding_dimension"]
        .iter()
        .find_map(|key| file.get(*key)?.as_u64())
        .and_then(|width| usize::try_from(width).ok());
    let includes_prompt = file.get("include_prompt").and_then(Value::as_bool).unwrap_or(true);
    Ok(PoolingFile { modes, width, includes_prompt })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pooling(file: &Value) -> Result<PoolingFile, String> {
        parse_pooling(file.as_object().expect("an object"))
    }

    #[test]
    fn poolings_are_joined_in_the_order_of_sentence_transformers() {
        let file = json!({
            "word_embedding_dimension": 8, "pooling_mode_lasttoken": true,
            "pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true,
            "pooling_mode_max_tokens": false, "include_prompt": false,
        });
        let modes = vec![Pooling::First, Pooling::Mean, Pooling::Last];
        let wanted = PoolingFile { modes, width: Some(8), includes_prompt: false };
        assert_eq!(pooling(&file), Ok(wanted));
    }

    #[test]
    fn newer_files_name_the_pooling() {
        for file in [json!({"pooling_mode": "cls"}), json!({"pooling_mode": ["cls"]})] {
            assert_eq!(pooling(&file).map(|file| file.modes), Ok(vec![Pooling::First]));
        }
    }

    #[test]
    fn an_unknown_pooling_is_refused_with_what_is_allowed() {
        let message = |file| pooling(&file).expect_err("refused");
        assert_eq!(
            message(json!({"pooling_mode_attention": true})),
            "the pooling `pooling_mode_attention` is not supported (allowed: cls, max, mean, \
             mean_sqrt_len_tokens, weightedmean, lasttoken)"
        );
        assert!(message(json!({"pooling_mode": "middle"})).contains("`middle`"));
        assert!(message(json!({})).starts_with("no pooling is switched on"));
        assert!(message(json!({"pooling_mode_mean_tokens": 1})).contains("true or false"));
    }
}
