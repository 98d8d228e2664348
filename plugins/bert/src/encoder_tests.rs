use std::path::Path;

use super::*;
use crate::testing::{Tiny, context, edit_json, encode, open, write_tensors};
use serde_json::{Value, json};
use tempfile::TempDir;

const TEXTS: [&str; 6] =
    ["w3", "w9 w8 w7 w6 w5 w4 w3 w20 w11 w12", "", "w21 w22", "w5 w6 w7 w8 w9", "w3 w4 w5"];

/// The encoder of the tiny BERT, as a folder without modules.
fn encoder(options: &Value) -> BertEncoder {
    open(Tiny::bert().write().path(), options).expect("an encoder")
}

fn pool(encoder: &BertEncoder, texts: &[&str]) -> Vec<f32> {
    encode(encoder, 1, texts, TextRole::Pool)
}

fn write(dir: &Path, name: &str, value: &Value) {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    std::fs::write(path, value.to_string()).expect("written");
}

/// The tiny model as a folder of sentence-transformers.
fn sentence_transformer(pooling: &Value, steps: &[&str]) -> TempDir {
    let dir = Tiny::bert().write();
    let module = |path: &str, name: &str| json!({"path": path, "type": format!("sentence_transformers.models.{name}")});
    let mut modules = vec![module("", "Transformer"), module("1_Pooling", "Pooling")];
    modules.extend(steps.iter().map(|step| module(&format!("2_{step}"), step)));
    write(dir.path(), "modules.json", &json!(modules));
    write(dir.path(), "1_Pooling/config.json", pooling);
    dir
}

fn is_near(a: &[f32], b: &[f32], tolerance: f32) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance)
}

#[test]
fn batches_hold_similar_lengths_within_the_budget() {
    assert_eq!(batches(&[3, 10, 2, 3, 50], 10), [vec![4], vec![1], vec![0, 3, 2]]);
    assert_eq!(batches(&[2, 0, 1], 1), [vec![0], vec![2, 1]]);
}

#[test]
fn a_vector_does_not_depend_on_its_batch() {
    let encoder = encoder(&json!({}));
    let together = pool(&encoder, &TEXTS);
    for (text, vector) in TEXTS.iter().zip(together.chunks_exact(encoder.info().dimension)) {
        let alone = pool(&encoder, &[text]);
        let length = alone.iter().map(|x| x * x).sum::<f32>().sqrt();
        let apart = alone.iter().zip(vector).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
        assert!(apart <= 1e-5 * length, "{text:?}: {apart} of {length}");
    }
}

#[test]
fn vectors_are_the_same_bytes_at_any_thread_count() {
    let encoder = encoder(&json!({"batch_tokens": 8}));
    let one = pool(&encoder, &TEXTS);
    for threads in [2, 3] {
        assert_eq!(encode(&encoder, threads, &TEXTS, TextRole::Pool), one);
    }
}

#[test]
fn a_cut_text_keeps_its_end_and_queries_have_a_limit_of_their_own() {
    let encoder = encoder(&json!({"max_tokens": 4, "max_query_tokens": 6}));
    let mut cut = vec![0.0; 16];
    let long = ["w5 w6 w7 w8"];
    let report = encoder.encode(&context(1), &long, TextRole::Pool, &mut cut).expect("a vector");
    assert_eq!((report.tokens, report.truncated), (4, 1));
    assert_eq!(cut, pool(&encoder, &["w5 w6"]));
    let query = encode(&encoder, 1, &long, TextRole::Query);
    assert_eq!(query, pool(&self::encoder(&json!({})), &long));
}

#[test]
fn the_limit_is_the_folders_and_never_more_than_there_are_positions() {
    let dir = Tiny::bert().write();
    let limit = |options: Value| open(dir.path(), &options).map(|e| e.info().max_tokens);
    assert_eq!(limit(json!({})).expect("valid"), Some(12));
    write(dir.path(), "tokenizer_config.json", &json!({"model_max_length": 1e30}));
    assert_eq!(limit(json!({})).expect("valid"), Some(12));
    write(dir.path(), "tokenizer_config.json", &json!({"model_max_length": 9}));
    assert_eq!(limit(json!({})).expect("valid"), Some(9));
    write(dir.path(), "sentence_bert_config.json", &json!({"max_seq_length": 7}));
    assert_eq!(limit(json!({})).expect("valid"), Some(7));
    assert_eq!(limit(json!({"max_tokens": 12})).expect("valid"), Some(12));
    for wrong in [2, 13] {
        let error = limit(json!({"max_tokens": wrong})).expect_err("refused");
        assert_eq!(error.option(), Some("max_tokens"));
        assert!(error.message().contains("in 3 ..= 12"), "{error}");
    }
}

#[test]
fn the_fingerprint_follows_what_changes_vectors_and_nothing_else() {
    let dir = Tiny::bert().write();
    let of = |options| open(dir.path(), &options).expect("an encoder").info().fingerprint;
    let one = of(json!({}));
    assert_eq!(one, of(json!({"batch_tokens": 1, "device": "cpu", "pooling": "mean"})));
    for options in [
        json!({"max_tokens": 10}),
        json!({"max_query_tokens": 10}),
        json!({"pooling": "first"}),
        json!({"normalize": true}),
        json!({"prefix": "w5 "}),
    ] {
        assert_ne!(one, of(options.clone()), "{options}");
    }
    let mut other = Tiny::bert();
    other.tensors[0].2[0] += 1.0;
    let other = open(other.write().path(), &json!({})).expect("an encoder");
    assert_ne!(one, other.info().fingerprint);
}

#[test]
fn a_plain_folder_is_pooled_by_the_mean_and_says_so() {
    let plain = encoder(&json!({}));
    assert!(plain.info().notes[0].contains("no modules.json"));
    assert_eq!(pool(&plain, &TEXTS), pool(&encoder(&json!({"pooling": "mean"})), &TEXTS));
    assert!(encoder(&json!({"pooling": "mean"})).info().notes.is_empty());
}

#[test]
fn a_folder_of_sentence_transformers_decides_unless_options_do() {
    let dir = sentence_transformer(
        &json!({"word_embedding_dimension": 16, "pooling_mode_cls_token": true}),
        &["Normalize"],
    );
    let open = |options: Value| open(dir.path(), &options).expect("an encoder");
    let unit = pool(&open(json!({})), &TEXTS);
    assert!(open(json!({})).info().notes.is_empty());
    let first = pool(&encoder(&json!({"pooling": "first"})), &TEXTS);
    assert_eq!(pool(&open(json!({"normalize": false})), &TEXTS), first);
    assert_eq!(pool(&encoder(&json!({"pooling": "first", "normalize": true})), &TEXTS), unit);
    let lengths = unit.chunks_exact(16).map(|v| v.iter().map(|x| x * x).sum::<f32>());
    assert!(lengths.into_iter().all(|length| (length - 1.0).abs() < 1e-6));
}

#[test]
fn two_poolings_and_a_dense_layer_make_one_vector() {
    let modes = json!({"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true});
    let dir = sentence_transformer(&modes, &["Dense"]);
    let dense = json!({
        "in_features": 32, "out_features": 2, "bias": true,
        "activation_function": "torch.nn.modules.linear.Identity",
    });
    write(dir.path(), "2_Dense/config.json", &dense);
    // The first output is the first component of `[CLS]`, the second that of the mean.
    let mut weight = vec![0.0; 64];
    (weight[0], weight[32 + 16]) = (1.0, 1.0);
    let tensors = vec![
        ("linear.weight".to_owned(), vec![2, 32], weight),
        ("linear.bias".to_owned(), vec![2], vec![0.0; 2]),
    ];
    write_tensors(&dir.path().join("2_Dense/model.safetensors"), &tensors);
    let encoder = open(dir.path(), &json!({})).expect("an encoder");
    assert_eq!(encoder.info().dimension, 2);
    let found = pool(&encoder, &TEXTS[..1]);
    let first = pool(&self::encoder(&json!({"pooling": "first"})), &TEXTS[..1]);
    let mean = pool(&self::encoder(&json!({})), &TEXTS[..1]);
    assert!(is_near(&found, &[first[0], mean[0]], 1e-6), "{found:?}");
    edit_json(&dir.path().join("2_Dense/config.json"), |file| {
        file["activation_function"] = json!("torch.nn.modules.activation.ReLU");
    });
    let error = open(dir.path(), &json!({})).expect_err("refused");
    assert!(error.message().contains("allowed: Identity, Tanh"), "{error}");
}

#[test]
fn prefixes_are_put_before_texts_and_queries() {
    let dir = sentence_transformer(&json!({"pooling_mode_mean_tokens": true}), &[]);
    let prompts = json!({"prompts": {"ask": "w5 "}, "default_prompt_name": "ask"});
    write(dir.path(), "config_sentence_transformers.json", &prompts);
    let plain = encoder(&json!({}));
    let with_prompt = open(dir.path(), &json!({"query_prefix": "w6 "})).expect("an encoder");
    assert_eq!(pool(&with_prompt, &["w7"]), pool(&plain, &["w5 w7"]));
    assert_eq!(encode(&with_prompt, 1, &["w7"], TextRole::Query), pool(&plain, &["w6 w7"]));
    let without = open(dir.path(), &json!({"prefix": ""})).expect("an encoder");
    assert_eq!(encode(&without, 1, &["w7"], TextRole::Query), pool(&plain, &["w7"]));
}

#[test]
fn what_does_not_fit_together_is_an_error_that_names_it() {
    let refused = |tiny: &Tiny| open(tiny.write().path(), &json!({})).expect_err("refused");
    let mut tiny = Tiny::bert();
    let missing = tiny.tensors.remove(8).0;
    assert!(refused(&tiny).message().contains(&missing), "{}", refused(&tiny));
    let mut tiny = Tiny::bert();
    tiny.config["intermediate_size"] = json!(25);
    let error = refused(&tiny);
    assert!(error.message().contains("another shape than config.json says"), "{error}");
    assert_eq!(
        (error.context("found"), error.context("wanted")),
        (Some("[24, 16]"), Some("[25, 16]"))
    );
    let dir = sentence_transformer(
        &json!({"word_embedding_dimension": 8, "pooling_mode_cls_token": true}),
        &[],
    );
    let error = open(dir.path(), &json!({})).expect_err("refused");
    assert!(error.message().contains("states of 8 components"), "{error}");
    let error = open(Path::new("/no such folder"), &json!({})).expect_err("refused");
    assert!(error.message().contains("no readable config.json"), "{error}");
}

#[test]
fn cuda_is_refused_by_name() {
    let options = json!({"model": "m", "device": "cuda:0"});
    let config: EncoderConfig = deft_core::options::parse(&options).expect("parsed");
    let error = BertEncoder::check(&config).expect_err("no CUDA");
    assert_eq!(error.option(), Some("device"));
    assert!(error.message().contains("cuda:0"));
}
