//! A tiny T5 for the tests of components that need one.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::data::WORDS;

/// Writes `config.json` and `tokenizer.json` of a T5 with one layer of 16 numbers, whose words are
/// those of all texts here; without weights: initialize them at random.
///
/// # Panics
///
/// When the files cannot be written.
pub fn tiny_t5(dir: &Path) {
    tiny_t5_of(dir, &WORDS);
}

/// The same with other words.
///
/// # Panics
///
/// When the files cannot be written.
pub fn tiny_t5_of(dir: &Path, words: &[&str]) {
    fs::write(dir.join("config.json"), config(words).to_string()).expect("writable");
    fs::write(dir.join("tokenizer.json"), tokenizer(words).to_string()).expect("writable");
}

fn config(words: &[&str]) -> Value {
    json!({
        "model_type": "t5",
        "vocab_size": words.len() + 3,
        "d_model": 16,
        "d_kv": 4,
        "d_ff": 24,
        "num_layers": 1,
        "num_decoder_layers": 1,
        "num_heads": 4,
        "relative_attention_num_buckets": 8,
        "relative_attention_max_distance": 16,
        "dropout_rate": 0.1,
        "layer_norm_epsilon": 1e-6,
        "initializer_factor": 1.0,
        "feed_forward_proj": "gated-gelu",
        "tie_word_embeddings": false,
        "is_encoder_decoder": true,
        "decoder_start_token_id": 0,
        "pad_token_id": 0,
        "eos_token_id": 1
    })
}

fn tokenizer(words: &[&str]) -> Value {
    let special = ["<pad>", "</s>", "<unk>"];
    let added: Vec<Value> = special
        .iter()
        .enumerate()
        .map(|(id, content)| {
            json!({"id": id, "content": content, "single_word": false, "lstrip": false,
                   "rstrip": false, "normalized": false, "special": true})
        })
        .collect();
    let vocabulary: Map<String, Value> = special
        .iter()
        .chain(words)
        .enumerate()
        .map(|(id, &word)| (word.to_owned(), json!(id)))
        .collect();
    json!({
        "version": "1.0",
        "added_tokens": added,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}},
                       {"SpecialToken": {"id": "</s>", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}},
                     {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}}
        },
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"}
    })
}
