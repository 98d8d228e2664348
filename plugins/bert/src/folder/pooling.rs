//! The file of a Pooling module.

use std::path::Path;

use deft_core::Result;
use serde_json::{Map, Value};

use super::{read_json, wrong};
use crate::config::Pooling;

/// The keys of a pooling's file, in the order in which sentence-transformers joins their vectors,
/// each with the name that newer files have for it: theirs are joined in their own order.
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
    let modes = match file.get("pooling_mode") {
        None | Some(Value::Null) => switched_on(file)?,
        Some(Value::String(name)) => vec![mode(name)?],
        Some(Value::Array(names)) if !names.is_empty() => names
            .iter()
            .map(|name| mode(name.as_str().unwrap_or_default()))
            .collect::<Result<_, _>>()?,
        Some(other) => return Err(format!("`pooling_mode` must be a name (found: {other})")),
    };
    let width = ["embedding_dimension", "word_embedding_dimension"]
        .iter()
        .find_map(|key| file.get(*key)?.as_u64())
        .and_then(|width| usize::try_from(width).ok());
    let includes_prompt = file.get("include_prompt").and_then(Value::as_bool).unwrap_or(true);
    Ok(PoolingFile { modes, width, includes_prompt })
}

/// The modes of an older file, which has a switch for each; the mean where none is on.
fn switched_on(file: &Map<String, Value>) -> Result<Vec<Pooling>, String> {
    let mut wanted = Vec::new();
    for (key, value) in file.iter().filter(|(key, _)| key.starts_with("pooling_mode_")) {
        match value {
            Value::Bool(false) => {}
            Value::Bool(true) => wanted.push(match MODES.iter().find(|(known, ..)| known == key) {
                Some((_, name, _)) => mode(name)?,
                None => mode(key)?,
            }),
            other => return Err(format!("`{key}` must be true or false (found: {other})")),
        }
    }
    if wanted.is_empty() {
        return Ok(vec![Pooling::Mean]);
    }
    let modes = MODES.into_iter().map(|(.., pooling)| pooling);
    Ok(modes.filter(|pooling| wanted.contains(pooling)).collect())
}

fn mode(name: &str) -> Result<Pooling, String> {
    let found = MODES.iter().find(|(_, known, _)| *known == name).map(|(.., pooling)| *pooling);
    found.ok_or_else(|| {
        let known = MODES.map(|(_, name, _)| name).join(", ");
        format!("the pooling `{name}` is not supported (allowed: {known})")
    })
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
        let modes = |file| pooling(&file).map(|file| file.modes);
        // The switches are an older program's; a list has an order of its own.
        let both = json!({"pooling_mode": "cls", "pooling_mode_mean_tokens": true});
        assert_eq!(modes(both), Ok(vec![Pooling::First]));
        let list = json!({"pooling_mode": ["mean", "cls"]});
        assert_eq!(modes(list), Ok(vec![Pooling::Mean, Pooling::First]));
        assert_eq!(modes(json!({})), Ok(vec![Pooling::Mean]));
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
        assert!(message(json!({"pooling_mode": []})).contains("must be a name"));
        assert!(message(json!({"pooling_mode_mean_tokens": 1})).contains("true or false"));
    }
}
