//! What several tests need.

use deft_core::NoServices;
use deft_core::prelude::*;
use serde_json::{Map, Value, json};

use crate::limit::Limit;

/// A tokenizer of words and punctuation, with an end token.
pub(crate) fn tokenizer_json() -> String {
    let words = ["<unk>", "</s>", "one", "two", "three", ",", "."];
    let vocabulary: Map<String, Value> =
        words.iter().enumerate().map(|(id, &word)| (word.to_owned(), json!(id))).collect();
    let special = |id: u32, content: &str| {
        json!({
            "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        })
    };
    let text = |id: &str| json!({"Sequence": {"id": id, "type_id": 0}});
    let end = json!({"SpecialToken": {"id": "</s>", "type_id": 0}});
    let tokenizer = json!({
        "version": "1.0",
        "added_tokens": [special(0, "<unk>"), special(1, "</s>")],
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [text("A"), end],
            "pair": [text("A"), end, text("B"), end],
            "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}},
        },
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
    });
    tokenizer.to_string()
}

/// A limit by that tokenizer.
pub(crate) fn limit(tokens: usize) -> Limit {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokenizer.json");
    std::fs::write(&file, tokenizer_json()).unwrap();
    let ctx = Context::new(&NoServices, 0, 1);
    Limit::open(&ctx, &file.display().to_string(), tokens).unwrap()
}
