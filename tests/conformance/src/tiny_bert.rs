//! A tiny BERT for the tests of components that need one.

use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Map, Value, json};

use crate::data::{Random, WORDS};

const WIDTH: usize = 16;
const HIDDEN: usize = 24;
/// Longer than the longest of all texts here but the odd ones.
const POSITIONS: usize = 128;
const SPECIAL: [&str; 4] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"];

/// Writes a sentence-transformers folder of a BERT with one layer of 16 numbers, whose words are
/// those of all texts here: mean pooling, vectors of length 1, weights without meaning.
///
/// # Panics
///
/// When the files cannot be written.
pub fn tiny_bert(dir: &Path) {
    let write = |name: &str, value: &Value| {
        fs::write(dir.join(name), value.to_string()).expect("writable");
    };
    let module = |path: &str, name: &str| json!({"path": path, "type": format!("sentence_transformers.models.{name}")});
    let modules =
        [module("", "Transformer"), module("1_Pooling", "Pooling"), module("2", "Normalize")];
    fs::create_dir_all(dir.join("1_Pooling")).expect("writable");
    write("modules.json", &json!(modules));
    let pooling = json!({"word_embedding_dimension": WIDTH, "pooling_mode_mean_tokens": true});
    write("1_Pooling/config.json", &pooling);
    write("config.json", &config());
    write("tokenizer.json", &tokenizer());
    write_weights(&dir.join("model.safetensors"));
}

fn config() -> Value {
    json!({
        "model_type": "bert",
        "vocab_size": WORDS.len() + SPECIAL.len(),
        "hidden_size": WIDTH,
        "intermediate_size": HIDDEN,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "max_position_embeddings": POSITIONS,
        "type_vocab_size": 2,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0
    })
}

fn tokenizer() -> Value {
    let added = |(id, content): (usize, &&str)| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false,
               "rstrip": false, "normalized": false, "special": true})
    };
    let vocabulary: Map<String, Value> = SPECIAL
        .iter()
        .chain(&WORDS)
        .enumerate()
        .map(|(id, &word)| (word.to_owned(), json!(id)))
        .collect();
    let token = |id: &str| json!({"SpecialToken": {"id": id, "type_id": 0}});
    let text = |id: &str| json!({"Sequence": {"id": id, "type_id": 0}});
    json!({
        "version": "1.0",
        "added_tokens": SPECIAL.iter().enumerate().map(added).collect::<Vec<_>>(),
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [token("[CLS]"), text("A"), token("[SEP]")],
            "pair": [token("[CLS]"), text("A"), text("B"), token("[SEP]")],
            "special_tokens": {
                "[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
                "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}
            }
        },
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"}
    })
}

fn write_weights(path: &Path) {
    let mut random = Random::new(1);
    let shapes = shapes();
    let tensors: Vec<_> = shapes
        .iter()
        .map(|(name, shape)| {
            let values = (0..shape.iter().product::<usize>()).map(|_| random.number());
            (name, shape, values.flat_map(f32::to_le_bytes).collect::<Vec<u8>>())
        })
        .collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (name, TensorView::new(Dtype::F32, (*shape).clone(), bytes).expect("whole numbers"))
    });
    safetensors::serialize_to_file(views, None, path).expect("writable");
}

fn shapes() -> Vec<(String, Vec<usize>)> {
    let mut shapes = Vec::new();
    for (table, rows) in
        [("word", WORDS.len() + SPECIAL.len()), ("position", POSITIONS), ("token_type", 2)]
    {
        shapes.push((format!("embeddings.{table}_embeddings.weight"), vec![rows, WIDTH]));
    }
    let layer = |name: &str| format!("encoder.layer.0.{name}");
    let square = ["self.query", "self.key", "self.value", "output.dense"];
    let mut linear: Vec<_> =
        square.map(|name| (layer(&format!("attention.{name}")), vec![WIDTH, WIDTH])).to_vec();
    linear.push((layer("intermediate.dense"), vec![HIDDEN, WIDTH]));
    linear.push((layer("output.dense"), vec![WIDTH, HIDDEN]));
    let norms = [
        "embeddings.LayerNorm".to_owned(),
        layer("attention.output.LayerNorm"),
        layer("output.LayerNorm"),
    ];
    linear.extend(norms.map(|name| (name, vec![WIDTH])));
    for (name, shape) in linear {
        shapes.push((format!("{name}.bias"), vec![shape[0]]));
        shapes.push((format!("{name}.weight"), shape));
    }
    shapes
}
