//! A model's folder: weights, `config.json`, `tokenizer.json`, and `PyTorch`'s pickles.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use deft_core::{Handle, Kind, NoServices, Result, Services, TextRole};
use deft_fuzz::{Seed, fuzz};
use deft_loader::Plugin;
use serde_json::{Value, json};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::support::{component, context, handled, library};

const TEXTS: [&str; 3] = ["a b  a", "", "\u{2581}b \u{e9}\u{301} <pad> </s> \u{10ffff} aaab"];

fn config() -> String {
    json!({
        "model_type": "t5", "vocab_size": 12, "d_model": 8, "d_kv": 4, "d_ff": 16, "num_layers": 1,
        "num_decoder_layers": 1, "num_heads": 2, "relative_attention_num_buckets": 32,
        "relative_attention_max_distance": 128, "dropout_rate": 0.1, "layer_norm_epsilon": 1e-6,
        "feed_forward_proj": "gated-gelu", "tie_word_embeddings": true, "pad_token_id": 0,
        "eos_token_id": 1,
    })
    .to_string()
}

/// A tokenizer of the same parts as T5's.
fn tokenizer() -> String {
    let special = |id: u32, content: &str| {
        json!({
            "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        })
    };
    let end = json!({"id": "</s>", "ids": [1], "tokens": ["</s>"]});
    let (text, stop) = (
        json!({"Sequence": {"id": "A", "type_id": 0}}),
        json!({"SpecialToken": {"id": "</s>", "type_id": 0}}),
    );
    let metaspace = json!({
        "type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true,
    });
    let space = json!({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "});
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [special(0, "<pad>"), special(1, "</s>"), special(2, "<unk>")],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}, space]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace]},
        "post_processor": {
            "type": "TemplateProcessing", "single": [text, stop], "pair": [text, stop],
            "special_tokens": {"</s>": end},
        },
        "decoder": metaspace,
        "model": {
            "type": "Unigram", "unk_id": 2, "byte_fallback": false,
            "vocab": [["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0], ["\u{2581}", -2.0],
                ["\u{2581}a", -2.5], ["a", -3.0], ["b", -3.5], ["aa", -4.0], ["ab", -4.5]],
        },
    })
    .to_string()
}

/// Another one: byte pairs.
fn tokenizer_of_pairs() -> String {
    json!({
        "version": "1.0", "added_tokens": [], "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {
            "type": "BPE", "unk_token": "c", "continuing_subword_prefix": "", "end_of_word_suffix": "",
            "fuse_unk": false, "vocab": {"a": 0, "b": 1, "c": 2, "ab": 3, "aab": 4},
            "merges": [["a", "b"], ["a", "ab"]],
        },
    })
    .to_string()
}

/// Names and shapes of the encoder's tensors.
fn tensors() -> Vec<(String, Vec<usize>)> {
    let block = |name: &str| format!("encoder.block.0.layer.{name}.weight");
    let mut tensors = vec![
        ("shared.weight".to_owned(), vec![12, 8]),
        (block("0.layer_norm"), vec![8]),
        (block("0.SelfAttention.relative_attention_bias"), vec![32, 2]),
        (block("1.layer_norm"), vec![8]),
        (block("1.DenseReluDense.wi_0"), vec![16, 8]),
        (block("1.DenseReluDense.wi_1"), vec![16, 8]),
        (block("1.DenseReluDense.wo"), vec![8, 16]),
        ("encoder.final_layer_norm.weight".to_owned(), vec![8]),
    ];
    tensors.extend(
        ["q", "k", "v", "o"].map(|name| (block(&format!("0.SelfAttention.{name}")), vec![8, 8])),
    );
    tensors
}

/// So many numbers between −1 and 1.
fn values(count: usize) -> Vec<u8> {
    (0..count).flat_map(|i| (((i * 37 % 200) as f32 - 100.0) / 100.0).to_le_bytes()).collect()
}

fn safetensors() -> Seed {
    let mut header = serde_json::Map::new();
    let mut data = Vec::new();
    for (name, shape) in tensors() {
        let start = data.len();
        data.extend(values(shape.iter().product()));
        let entry = json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]});
        header.insert(name, entry);
    }
    let header = Value::Object(header).to_string();
    let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat();
    Seed::new(bytes).hot(0..9).hot(8..8 + header.len())
}

/// What `torch.save` makes of a dictionary of tensors: the pickle alone.
fn pickle() -> Vec<u8> {
    let text = |text: &str| {
        let length = u32::try_from(text.len()).expect("short").to_le_bytes();
        [b"X", &length[..], text.as_bytes()].concat()
    };
    let number =
        |number: usize| [b"J", &u32::try_from(number).expect("small").to_le_bytes()[..]].concat();
    let mut pickle = b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01(".to_vec();
    for (storage, (name, shape)) in tensors().into_iter().enumerate() {
        let count: usize = shape.iter().product();
        let strides: Vec<usize> =
            (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect();
        let each = |numbers: &[usize]| numbers.iter().flat_map(|&n| number(n)).collect::<Vec<u8>>();
        pickle.extend(text(&name));
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        pickle.extend(text("storage"));
        pickle.extend(b"ctorch\nFloatStorage\n");
        pickle.extend([text(&storage.to_string()), text("cpu"), number(count)].concat());
        pickle.extend(b"tq\x02QK\x00(");
        pickle.extend([each(&shape), b"t(".to_vec(), each(&strides)].concat());
        pickle.extend(b"t\x89h\x00)RtR");
    }
    pickle.extend(b"u.");
    pickle
}

/// The archive around a pickle.
fn archive(pickle: &[u8]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    zip.start_file("archive/data.pkl", options).expect("an entry");
    zip.write_all(pickle).expect("written");
    for (storage, (_, shape)) in tensors().into_iter().enumerate() {
        zip.start_file(format!("archive/data/{storage}"), options).expect("an entry");
        zip.write_all(&values(shape.iter().product())).expect("written");
    }
    zip.finish().expect("written").into_inner()
}

/// A host with a folder for converted weights and nothing else.
struct Cache(PathBuf);

impl Services for Cache {
    fn log(&self, _level: log::Level, _target: &str, _message: &str) {}

    fn progress(&self, _done: u64, _total: u64, _unit: &str) {}

    fn is_cancelled(&self) -> bool {
        false
    }

    fn resolve(&self, name: &str) -> Result<PathBuf> {
        Ok(PathBuf::from(name))
    }

    fn call(&self, name: &str, json: &str) -> Result<String> {
        match name {
            "cache_dir" => Ok(json!({"dir": self.0}).to_string()),
            _ => NoServices.call(name, json),
        }
    }
}

/// A model's folder in which one file is mutated.
struct Model {
    dir: TempDir,
    plugin: Plugin,
}

impl Model {
    fn new(weights: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let write =
            |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).expect("written");
        write("config.json", config().as_bytes());
        write("tokenizer.json", tokenizer().as_bytes());
        match weights {
            "model.safetensors" => write(weights, &safetensors().bytes),
            _ => write(weights, &archive(&pickle())),
        }
        Self { dir, plugin: Plugin::load(&library("t5")).expect("a plugin") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Whether the model can be opened.
    fn encode(&self, services: &dyn Services) -> bool {
        let options = json!({"model": self.dir.path()});
        let encoder = component(&self.plugin, services, Kind::Encoder, "t5", &options);
        let Some(Handle::Encoder(encoder)) = handled(encoder) else { return false };
        let mut out = vec![0.0; TEXTS.len() * encoder.info().dimension];
        handled(encoder.encode(&context(services), &TEXTS, TextRole::Pool, &mut out));
        true
    }

    fn check(&self, kind: &str, name: &str, seeds: &[Seed], words: &'static [&'static str]) {
        assert!(self.encode(&NoServices), "the model is good");
        fuzz(kind, seeds, words, |input| {
            fs::write(self.path(name), input).expect("written");
            self.encode(&NoServices);
        });
    }
}

#[test]
fn mutated_weights_are_read_or_refused() {
    const WORDS: &[&str] = &[
        "\"shared.weight\":",
        "\"dtype\":",
        "\"F16\"",
        "\"BF16\"",
        "\"F64\"",
        "\"I8\"",
        "\"shape\":[",
        "\"data_offsets\":[",
        "[0,0]",
        "\"__metadata__\":{",
        "9223372036854775807,2",
    ];
    Model::new("model.safetensors").check("weights", "model.safetensors", &[safetensors()], WORDS);
}

#[test]
fn mutated_configurations_are_read_or_refused() {
    const WORDS: &[&str] = &[
        "\"d_model\":",
        "\"d_kv\":",
        "\"num_layers\":",
        "\"vocab_size\":",
        "\"num_heads\":0,",
        "\"relu\"",
        "\"gated-gelu\"",
        "1000000",
        "4",
        "1e30",
        "-1e-6",
        "0.999999999",
    ];
    let model = Model::new("model.safetensors");
    model.check("config", "config.json", &[Seed::new(config())], WORDS);
}

#[test]
fn mutated_tokenizers_are_read_or_refused() {
    const WORDS: &[&str] = &[
        "\"type\":\"Unigram\"",
        "\"type\":\"BPE\"",
        "\"WordLevel\"",
        "\"WordPiece\"",
        "\"unk_id\":",
        "\"vocab\":",
        "[\"a\",-1.0]",
        "\"Regex\":\"(a|aa)+$\"",
        "\"NFD\"",
        "\"BertNormalizer\"",
        "\"Strip\"",
        "\"byte_fallback\":true",
        "\"Precompiled\"",
        "\"ByteLevel\"",
        "\"Digits\"",
        "\"strategy\":",
        "\"max_length\":0",
        "\"truncation\":{",
        "\u{2581}",
        "\"ids\":[",
        "[]",
    ];
    let model = Model::new("model.safetensors");
    let seeds = [Seed::new(tokenizer()), Seed::new(tokenizer_of_pairs())];
    model.check("tokenizer", "tokenizer.json", &seeds, WORDS);
}

const OPCODES: &[&str] = &[
    "\u{0}",
    "(",
    ")",
    "t",
    "R",
    "Q",
    "q\u{2}",
    "h\u{1}",
    "h\u{2}",
    "}",
    "]",
    "u",
    "s",
    "e",
    "a",
    "b",
    "N",
    ".",
    "X\u{4}\u{0}\u{0}\u{0}",
    "J\u{ff}",
    "K\u{1}",
    "M",
    "G",
    "d",
    "ctorch._utils\n_rebuild_parameter\n",
    "ctorch._tensor\n_rebuild_from_type_v2\n",
    "ctorch\nHalfStorage\n",
    "ctorch\nLongStorage\n",
    "ccollections\nOrderedDict\n",
];

/// With and without a host that keeps converted weights.
fn check_pickle(model: &Model, cache: &Path, bytes: &[u8]) {
    fs::write(model.path("pytorch_model.bin"), bytes).expect("written");
    model.encode(&NoServices);
    model.encode(&Cache(cache.to_owned()));
    // Times of change may be too coarse to tell one input from the next.
    let _ = fs::remove_dir_all(cache);
}

#[test]
fn mutated_pickles_are_read_or_refused() {
    let (model, cache) = (Model::new("pytorch_model.bin"), tempfile::tempdir().expect("a folder"));
    assert!(model.encode(&NoServices), "the model is good");
    fuzz("pickle", &[Seed::new(pickle()), Seed::new(pickle()).hot(0..200)], OPCODES, |input| {
        check_pickle(&model, &cache.path().join("c"), &archive(input));
    });
}

#[test]
fn mutated_torch_archives_are_read_or_refused() {
    const WORDS: &[&str] =
        &["PK\u{1}\u{2}", "PK\u{3}\u{4}", "PK\u{5}\u{6}", "data.pkl", "archive/"];
    let (model, cache) = (Model::new("pytorch_model.bin"), tempfile::tempdir().expect("a folder"));
    let whole = archive(&pickle());
    let end = whole.len();
    let seed = Seed::new(whole).hot(end - 1000..end).hot(end - 22..end).hot(0..200);
    fuzz("torch-archive", &[seed], WORDS, |input| {
        check_pickle(&model, &cache.path().join("c"), input);
    });
}
