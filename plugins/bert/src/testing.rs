//! A tiny model of each family, as a folder.

use std::path::Path;

use deft_core::NoServices;
use deft_core::prelude::*;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::encoder::BertEncoder;

/// Name, shape and values of a tensor.
pub(crate) type Tensors = Vec<(String, Vec<usize>, Vec<f32>)>;

/// A model with 30 tokens, whose word `wN` is id N and whose `[CLS]` and `[SEP]` are 1 and 2.
pub(crate) struct Tiny {
    pub(crate) config: Value,
    pub(crate) tensors: Tensors,
    /// What stands before the names of tensors in the file.
    pub(crate) prefix: &'static str,
}

const WIDTH: usize = 16;
const HIDDEN: usize = 24;
const LAYERS: usize = 2;
const POSITIONS: usize = 12;

impl Tiny {
    pub(crate) fn bert() -> Self {
        let config = json!({
            "model_type": "bert", "vocab_size": 30, "hidden_size": WIDTH,
            "intermediate_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": 4,
            "max_position_embeddings": POSITIONS, "type_vocab_size": 2, "hidden_act": "gelu",
            "layer_norm_eps": 1e-12, "pad_token_id": 0,
        });
        let layer = |n: usize| {
            let square = |name: &str| linear(&format!("encoder.layer.{n}.{name}"), WIDTH, WIDTH);
            let norm = |name: &str| norm(&format!("encoder.layer.{n}.{name}"));
            [
                square("attention.self.query"),
                square("attention.self.key"),
                square("attention.self.value"),
                square("attention.output.dense"),
                norm("attention.output.LayerNorm"),
                linear(&format!("encoder.layer.{n}.intermediate.dense"), HIDDEN, WIDTH),
                linear(&format!("encoder.layer.{n}.output.dense"), WIDTH, HIDDEN),
                norm("output.LayerNorm"),
            ]
            .concat()
        };
        let types = vec![("embeddings.token_type_embeddings.weight".to_owned(), vec![2, WIDTH])];
        let shapes = [embeddings(), types, layer(0), layer(1)].concat();
        Self { config, tensors: random(&shapes), prefix: "" }
    }

    /// The same network with positions as `RoBERTa` has them, and a head's prefix.
    pub(crate) fn roberta() -> Self {
        let mut tiny = Self::bert();
        tiny.config["model_type"] = json!("roberta");
        Self { prefix: "roberta.", ..tiny }
    }

    pub(crate) fn distilbert() -> Self {
        let config = json!({
            "model_type": "distilbert", "vocab_size": 30, "dim": WIDTH, "hidden_dim": HIDDEN,
            "n_layers": LAYERS, "n_heads": 4, "max_position_embeddings": POSITIONS,
            "activation": "gelu",
        });
        let layer = |n: usize| {
            let square =
                |name: &str| linear(&format!("transformer.layer.{n}.{name}"), WIDTH, WIDTH);
            [
                square("attention.q_lin"),
                square("attention.k_lin"),
                square("attention.v_lin"),
                square("attention.out_lin"),
                norm(&format!("transformer.layer.{n}.sa_layer_norm")),
                linear(&format!("transformer.layer.{n}.ffn.lin1"), HIDDEN, WIDTH),
                linear(&format!("transformer.layer.{n}.ffn.lin2"), WIDTH, HIDDEN),
                norm(&format!("transformer.layer.{n}.output_layer_norm")),
            ]
            .concat()
        };
        let shapes = [embeddings(), layer(0), layer(1)].concat();
        Self { config, tensors: random(&shapes), prefix: "distilbert." }
    }

    /// Writes the folder, without modules.
    pub(crate) fn write(&self) -> TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |name: &str, value: &Value| {
            std::fs::write(dir.path().join(name), value.to_string()).expect("written");
        };
        write("config.json", &self.config);
        write("tokenizer.json", &tokenizer());
        let named = |(name, shape, values): &(String, Vec<usize>, Vec<f32>)| {
            (format!("{}{name}", self.prefix), shape.clone(), values.clone())
        };
        let tensors: Tensors = self.tensors.iter().map(named).collect();
        write_tensors(&dir.path().join("model.safetensors"), &tensors);
        dir
    }
}

fn embeddings() -> Vec<(String, Vec<usize>)> {
    let table = |name: &str, rows: usize| (format!("embeddings.{name}.weight"), vec![rows, WIDTH]);
    let tables = vec![table("word_embeddings", 30), table("position_embeddings", POSITIONS)];
    [tables, norm("embeddings.LayerNorm")].concat()
}

fn linear(name: &str, outputs: usize, inputs: usize) -> Vec<(String, Vec<usize>)> {
    vec![(format!("{name}.weight"), vec![outputs, inputs]), (format!("{name}.bias"), vec![outputs])]
}

fn norm(name: &str) -> Vec<(String, Vec<usize>)> {
    vec![(format!("{name}.weight"), vec![WIDTH]), (format!("{name}.bias"), vec![WIDTH])]
}

/// Numbers in −1 ..< 1 without a pattern (a linear congruential generator).
fn random(shapes: &[(String, Vec<usize>)]) -> Tensors {
    let mut state = 1_u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    let tensor = |(name, shape): &(String, Vec<usize>)| {
        let values = (0..shape.iter().product::<usize>()).map(|_| next()).collect();
        (name.clone(), shape.clone(), values)
    };
    shapes.iter().map(tensor).collect()
}

/// Words `w3` to `w29`; others are `w3`.
fn tokenizer() -> Value {
    let special = ["[PAD]", "[CLS]", "[SEP]"];
    let mut vocabulary: Map<String, Value> =
        (3..30).map(|id| (format!("w{id}"), json!(id))).collect();
    for (id, name) in special.iter().enumerate() {
        vocabulary.insert((*name).to_owned(), json!(id));
    }
    let added = |(id, content): (usize, &&str)| {
        json!({
            "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        })
    };
    let token = |id: &str| json!({"SpecialToken": {"id": id, "type_id": 0}});
    let text = |id: &str| json!({"Sequence": {"id": id, "type_id": 0}});
    json!({
        "version": "1.0",
        "added_tokens": special.iter().enumerate().map(added).collect::<Vec<_>>(),
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [token("[CLS]"), text("A"), token("[SEP]")],
            "pair": [token("[CLS]"), text("A"), text("B"), token("[SEP]")],
            "special_tokens": {
                "[CLS]": {"id": "[CLS]", "ids": [1], "tokens": ["[CLS]"]},
                "[SEP]": {"id": "[SEP]", "ids": [2], "tokens": ["[SEP]"]},
            },
        },
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "w3"},
    })
}

pub(crate) fn write_tensors(path: &Path, tensors: &Tensors) {
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(.., values)| values.iter().flat_map(|value| value.to_le_bytes()).collect())
        .collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
        (name, TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a tensor"))
    });
    safetensors::serialize_to_file(views, None, path).expect("written");
}

/// Changes a JSON file in place.
pub(crate) fn edit_json(path: &Path, edit: impl FnOnce(&mut Value)) {
    let text = std::fs::read_to_string(path).expect("readable");
    let mut value = serde_json::from_str(&text).expect("JSON");
    edit(&mut value);
    std::fs::write(path, value.to_string()).expect("written");
}

/// A context without a host.
pub(crate) fn context(threads: usize) -> Context<'static> {
    Context::new(&NoServices, 7, threads)
}

/// The encoder of a folder, with options besides.
pub(crate) fn open(dir: &Path, options: &Value) -> Result<BertEncoder> {
    let mut config = json!({"model": dir});
    for (key, value) in options.as_object().expect("an object") {
        config[key] = value.clone();
    }
    let config = deft_core::options::parse(&config).expect("valid options");
    BertEncoder::new(&context(2), config, Children::none())
}

pub(crate) fn encode(
    encoder: &BertEncoder,
    threads: usize,
    texts: &[&str],
    role: TextRole,
) -> Vec<f32> {
    let mut out = vec![0.0; texts.len() * encoder.info().dimension];
    encoder.encode(&context(threads), texts, role, &mut out).expect("vectors");
    out
}
