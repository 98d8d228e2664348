//! Our vectors against others': a naive BERT in f64, the BERT of candle-transformers, and
//! transformers itself on a real model.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use deft_core::prelude::*;
use serde_json::json;

use crate::testing::{Tensors, Tiny, encode, open, write_tensors};

/// Of different lengths, the longest as long as the shortest model has positions.
const TEXTS: [&str; 4] = ["w3 w29 w7", "", "w9 w8 w7 w6 w5 w4 w21 w20", "w5"];

/// A BERT in plain loops, as the paper has it.
struct Naive {
    tensors: BTreeMap<String, (Vec<usize>, Vec<f64>)>,
    heads: usize,
    layers: [&'static str; 8],
    parent: &'static str,
    first_position: usize,
}

const BERT: [&str; 8] = [
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "attention.output.LayerNorm",
    "intermediate.dense",
    "output.dense",
    "output.LayerNorm",
];
const DISTILBERT: [&str; 8] = [
    "attention.q_lin",
    "attention.k_lin",
    "attention.v_lin",
    "attention.out_lin",
    "sa_layer_norm",
    "ffn.lin1",
    "ffn.lin2",
    "output_layer_norm",
];

type Rows = Vec<Vec<f64>>;

impl Naive {
    fn new(tensors: &Tensors, first_position: usize) -> Self {
        let in_f64 = |values: &[f32]| values.iter().map(|&x| f64::from(x)).collect();
        let tensors: BTreeMap<_, _> = tensors
            .iter()
            .map(|(name, shape, values)| (name.clone(), (shape.clone(), in_f64(values))))
            .collect();
        let is_bert = tensors.contains_key("encoder.layer.0.output.dense.weight");
        let (parent, layers) =
            if is_bert { ("encoder", BERT) } else { ("transformer", DISTILBERT) };
        Self { tensors, heads: 4, layers, parent, first_position }
    }

    fn row(&self, name: &str, row: usize) -> Vec<f64> {
        let (shape, values) = &self.tensors[name];
        let width = shape[shape.len() - 1];
        values[row * width..][..width].to_vec()
    }

    fn linear(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let bias = self.row(&format!("{name}.bias"), 0);
        let output =
            |(row, bias): (usize, &f64)| dot(&self.row(&format!("{name}.weight"), row), x) + bias;
        bias.iter().enumerate().map(output).collect()
    }

    fn norm(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
        let weight = self.row(&format!("{name}.weight"), 0);
        let bias = self.row(&format!("{name}.bias"), 0);
        let scaled =
            |(i, x): (usize, &f64)| (x - mean) / (variance + 1e-12).sqrt() * weight[i] + bias[i];
        x.iter().enumerate().map(scaled).collect()
    }

    fn states(&self, ids: &[usize]) -> Rows {
        let embedded = |(place, &id): (usize, &usize)| {
            let mut x = self.row("embeddings.word_embeddings.weight", id);
            let place = place + self.first_position;
            x = sum(&x, &self.row("embeddings.position_embeddings.weight", place));
            if self.tensors.contains_key("embeddings.token_type_embeddings.weight") {
                x = sum(&x, &self.row("embeddings.token_type_embeddings.weight", 0));
            }
            self.norm("embeddings.LayerNorm", &x)
        };
        let mut states: Rows = ids.iter().enumerate().map(embedded).collect();
        for layer in 0..2 {
            let [q, k, v, output, norm, up, down, last] =
                self.layers.map(|name| format!("{}.layer.{layer}.{name}", self.parent));
            let of = |name: &str| states.iter().map(|x| self.linear(name, x)).collect::<Rows>();
            let mixed = self.attend(&of(&q), &of(&k), &of(&v));
            states = states
                .iter()
                .zip(&mixed)
                .map(|(x, mixed)| {
                    let x = self.norm(&norm, &sum(x, &self.linear(&output, mixed)));
                    let hidden: Vec<f64> = self
                        .linear(&up, &x)
                        .into_iter()
                        .map(|x| x * normal_distribution(x))
                        .collect();
                    self.norm(&last, &sum(&x, &self.linear(&down, &hidden)))
                })
                .collect();
        }
        states
    }

    fn attend(&self, queries: &Rows, keys: &Rows, values: &Rows) -> Rows {
        let width = queries[0].len() / self.heads;
        let mut mixed = vec![vec![0.0; width * self.heads]; queries.len()];
        for head in 0..self.heads {
            let own = head * width..(head + 1) * width;
            for (query, mixed) in queries.iter().zip(&mut mixed) {
                let score = |key: &Vec<f64>| dot(&query[own.clone()], &key[own.clone()]);
                let weights: Vec<f64> =
                    keys.iter().map(|key| (score(key) / (width as f64).sqrt()).exp()).collect();
                let total: f64 = weights.iter().sum();
                for (weight, value) in weights.iter().zip(values) {
                    for place in own.clone() {
                        mixed[place] += weight / total * value[place];
                    }
                }
            }
        }
        mixed
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn sum(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

/// `Φ(x)` by its series.
fn normal_distribution(x: f64) -> f64 {
    if x.abs() > 8.0 {
        return f64::from(x > 0.0);
    }
    let (mut term, mut sum, mut n) = (x, x, 1.0);
    while term.abs() > 1e-18 {
        n += 2.0;
        term *= x * x / n;
        sum += term;
    }
    0.5 + sum * (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

/// The ids that the tiny tokenizer makes of a text.
fn ids(text: &str) -> Vec<usize> {
    let word = |word: &str| word[1..].parse::<usize>().expect("a number");
    [1].into_iter().chain(text.split_whitespace().map(word)).chain([2]).collect()
}

/// Compares states' means with the oracle's.
fn check(tiny: &Tiny, first_position: usize) {
    let naive = Naive::new(&tiny.tensors, first_position);
    let encoder = open(tiny.write().path(), &json!({})).expect("an encoder");
    let found = encode(&encoder, 2, &TEXTS, TextRole::Pool);
    for (text, found) in TEXTS.iter().zip(found.chunks_exact(encoder.info().dimension)) {
        let states = naive.states(&ids(text));
        for (component, found) in found.iter().enumerate() {
            let wanted =
                states.iter().map(|state| state[component]).sum::<f64>() / states.len() as f64;
            let apart = (f64::from(*found) - wanted).abs();
            assert!(
                apart < 1e-5,
                "{} of {text:?}: {found}, not {wanted}",
                tiny.config["model_type"]
            );
        }
    }
}

#[test]
fn every_family_computes_what_plain_loops_do() {
    check(&Tiny::bert(), 0);
    check(&Tiny::roberta(), 1);
    check(&Tiny::distilbert(), 0);
}

#[test]
fn candle_transformers_computes_the_same() {
    let tiny = Tiny::bert();
    let config = Config {
        vocab_size: 30,
        hidden_size: 16,
        intermediate_size: 24,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        max_position_embeddings: 12,
        ..Config::default()
    };
    let tensors = tiny.tensors.iter().map(|(name, shape, values)| {
        let tensor = Tensor::from_vec(values.clone(), shape.as_slice(), &Device::Cpu);
        (name.clone(), tensor.expect("a tensor"))
    });
    let builder = VarBuilder::from_tensors(tensors.collect(), DType::F32, &Device::Cpu);
    let model = BertModel::load(builder, &config).expect("a model");
    let encoder = open(tiny.write().path(), &json!({"pooling": "first"})).expect("an encoder");
    let found = encode(&encoder, 1, &TEXTS, TextRole::Pool);
    // All texts in one batch, padded and masked.
    let rows: Vec<Vec<u32>> = TEXTS
        .iter()
        .map(|text| ids(text).into_iter().map(|id| u32::try_from(id).expect("small")).collect())
        .collect();
    let length = rows.iter().map(Vec::len).max().expect("texts");
    let padded = |of: &dyn Fn(&u32) -> u32| {
        let row = |row: &Vec<u32>| {
            let own = row.iter().map(of);
            own.chain(std::iter::repeat(0)).take(length).collect::<Vec<_>>()
        };
        let values: Vec<u32> = rows.iter().flat_map(row).collect();
        Tensor::from_vec(values, (rows.len(), length), &Device::Cpu).expect("a tensor")
    };
    let (input, mask) = (padded(&|id| *id), padded(&|_| 1));
    let types = input.zeros_like().expect("zeros");
    let states = model.forward(&input, &types, Some(&mask)).expect("states");
    let wanted = states.narrow(1, 0, 1).and_then(|first| first.flatten_all()?.to_vec1::<f32>());
    for (found, wanted) in found.iter().zip(wanted.expect("values")) {
        assert!((found - wanted).abs() < 1e-5, "{found}, not {wanted}");
    }
}

/// Runs with `DEFT_MINILM`, the folder of all-MiniLM-L6-v2, where `python3` (or `DEFT_PYTHON`) has
/// torch and transformers.
#[test]
fn transformers_computes_the_same_on_a_real_model() {
    let Some(model) = std::env::var_os("DEFT_MINILM").map(PathBuf::from) else {
        println!("skipped: DEFT_MINILM is not set");
        return;
    };
    let texts = real_texts();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let encoder = open(&model, &json!({})).expect("an encoder");
    let found = encode(&encoder, 2, &texts, TextRole::Pool);
    let dir = tempfile::tempdir().expect("a folder");
    let lines: String =
        texts.iter().map(|text| json!({"input": text}).to_string() + "\n").collect();
    let (input, output) = (dir.path().join("texts.jsonl"), dir.path().join("v.safetensors"));
    std::fs::write(&input, lines).expect("written");
    let shape = vec![texts.len(), encoder.info().dimension];
    write_tensors(&output, &vec![("vectors".to_owned(), shape, found)]);
    let python = std::env::var_os("DEFT_PYTHON").unwrap_or_else(|| "python3".into());
    let script =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/check_in_sentence_transformers.py");
    let arguments: [&Path; 4] = [Path::new(script), &model, &input, &output];
    let output = Command::new(python).args(arguments).output().expect("python runs");
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// English, other scripts, an empty text, and some beyond the limit.
fn real_texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "",
        "Does \"The soup was cold\" imply that \"the soup was not warm\"? Yes or no?",
        "Größe, naïve café, Ærøskøbing — and ﬁne ligatures.",
        "日本語のテキスト и немного русского",
        "🥣 e\u{301} \u{200f} [SEP] [MASK] ##ing",
        "unbelievablyantidisestablishmentarian 3.14159e-10",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.extend((1..40).map(|n| "A premise, and whether it follows. ".repeat(n)));
    texts
}
