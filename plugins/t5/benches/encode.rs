//! Speed of encoding and training: `cargo bench -p deft-t5`.
//!
//! `encode` wants the shared tree (`$DEFT_SHARED`): real prompts and the real vocabulary, on random
//! weights of the t5-small v1.1 shape; without the tree it measures nothing. `train_20_steps` and
//! `score_400_examples` use a model of 220,000 parameters. Training includes reading and writing.
//! Items per second are tokens, padding not counted.

use std::path::{Path, PathBuf};

use deft_core::prelude::*;
use deft_core::{NoServices, options};
use deft_t5::{T5Encoder, T5Trainer};
use divan::Bencher;
use divan::counter::ItemsCount;
use serde_json::{Value, json};

const THREADS: [usize; 2] = [1, 2];

fn main() {
    divan::main();
}

#[divan::bench(args = THREADS, sample_count = 3, sample_size = 1)]
fn encode(bencher: Bencher<'_, '_>, threads: usize) {
    let shared = shared();
    let Ok(tokenizer) = std::fs::read(shared.join("models/t5-tokenizer/tokenizer.json")) else {
        return;
    };
    let config = json!({
        "vocab_size": 32128, "d_model": 512, "d_kv": 64, "d_ff": 1024, "num_layers": 8,
        "num_heads": 6, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": false,
    });
    let model = folder(&config, &tokenizer);
    let options = json!({"model": model.path(), "init": "random"});
    let ctx = Context::new(&NoServices, 1, threads);
    let options = options::parse(&options).expect("valid options");
    let encoder = T5Encoder::new(&ctx, options, Children::none()).expect("an encoder");
    let examples = examples(&shared.join("data/pool/p3_sample_1k.jsonl"));
    let texts: Vec<&str> = examples.iter().map(|e| e.input.as_str()).step_by(10).collect();
    let mut vectors = vec![0.0; texts.len() * encoder.info().dimension];
    let report = encoder.encode(&ctx, &texts, TextRole::Pool, &mut vectors).expect("vectors");
    bencher
        .counter(ItemsCount::new(report.tokens))
        .bench_local(|| encoder.encode(&ctx, &texts, TextRole::Pool, &mut vectors));
}

#[divan::bench(args = THREADS, sample_count = 5, sample_size = 1)]
fn train_20_steps(bencher: Bencher<'_, '_>, threads: usize) {
    let (trainer, model) = small_trainer(threads);
    let ctx = Context::new(&NoServices, 1, threads);
    let examples = small_examples();
    let report = train(&trainer, &ctx, &examples);
    bencher
        .counter(ItemsCount::new(report.tokens))
        .bench_local(|| train(&trainer, &ctx, &examples));
    drop(model);
}

#[divan::bench(args = THREADS, sample_count = 5, sample_size = 1)]
fn score_400_examples(bencher: Bencher<'_, '_>, threads: usize) {
    let (trainer, model) = small_trainer(threads);
    let ctx = Context::new(&NoServices, 1, threads);
    let predictor = trainer.open(&ctx, None).expect("a predictor");
    let mut examples = small_examples();
    examples.truncate(400);
    bencher.counter(ItemsCount::new(examples.len())).bench_local(|| {
        predictor.predict(&ctx, &examples, PredictionKind::OptionScores).expect("scores")
    });
    drop(model);
}

/// Ten steps as the manifests `rte-*.yaml` take them: their small model, which is mostly vocabulary,
/// on real prompts and answers.
#[divan::bench(args = THREADS, sample_count = 3, sample_size = 1)]
fn train_10_steps_of_the_manifests(bencher: Bencher<'_, '_>, threads: usize) {
    let shared = shared();
    let Ok(tokenizer) = std::fs::read(shared.join("models/t5-tokenizer/tokenizer.json")) else {
        return;
    };
    let config = json!({
        "vocab_size": 32128, "d_model": 128, "d_kv": 32, "d_ff": 256, "num_layers": 2,
        "num_heads": 4, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": false,
    });
    let model = folder(&config, &tokenizer);
    let options = json!({"model": model.path(), "init": "random", "steps": 10, "max_tokens": 256});
    let ctx = Context::new(&NoServices, 1, threads);
    let options = options::parse(&options).expect("valid options");
    let trainer = T5Trainer::new(&ctx, options, Children::none()).expect("a trainer");
    let examples = examples(&shared.join("data/pool/p3_sample_1k.jsonl"));
    let report = train(&trainer, &ctx, &examples);
    bencher
        .counter(ItemsCount::new(report.tokens))
        .bench_local(|| train(&trainer, &ctx, &examples));
}

/// A step of the t5-small v1.1 shape on 8 examples of 256 tokens, their answers as long.
#[divan::bench(args = THREADS, sample_count = 1, sample_size = 1)]
fn train_step_t5_small(bencher: Bencher<'_, '_>, threads: usize) {
    let config = json!({
        "vocab_size": 32128, "d_model": 512, "d_kv": 64, "d_ff": 1024, "num_layers": 8,
        "num_heads": 6, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": false,
    });
    let model = folder(&config, small_tokenizer().to_string().as_bytes());
    let options = json!({"model": model.path(), "init": "random", "steps": 1});
    let ctx = Context::new(&NoServices, 1, threads);
    let options = options::parse(&options).expect("valid options");
    let trainer = T5Trainer::new(&ctx, options, Children::none()).expect("a trainer");
    let example =
        |n| Example { input: text(n, 255), target: Some(text(n + 1, 255)), ..Example::default() };
    let examples: Vec<Example> = (0..8).map(example).collect();
    bencher.counter(ItemsCount::new(8usize * 512)).bench_local(|| train(&trainer, &ctx, &examples));
}

/// Trains into a new folder.
fn train(trainer: &T5Trainer, ctx: &Context<'_>, examples: &Vec<Example>) -> TrainReport {
    let (out, beside) = (tempfile::tempdir(), tempfile::tempdir());
    let (out, beside) = (out.expect("a folder"), beside.expect("a folder"));
    let folders = TrainingFolders { out: out.path(), scratch: beside.path(), logs: beside.path() };
    let training = Training { examples, validation: None, folders };
    trainer.train(ctx, &training).expect("trained")
}

fn small_trainer(threads: usize) -> (T5Trainer, tempfile::TempDir) {
    let config = json!({
        "vocab_size": 1000, "d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2,
        "num_heads": 4, "feed_forward_proj": "gated-gelu",
    });
    let model = folder(&config, small_tokenizer().to_string().as_bytes());
    let options = json!({
        "model": model.path(), "init": "random", "steps": 20, "batch_size": 8,
        "gradient_accumulation": 2,
    });
    let ctx = Context::new(&NoServices, 1, threads);
    let options = options::parse(&options).expect("valid options");
    (T5Trainer::new(&ctx, options, Children::none()).expect("a trainer"), model)
}

fn small_tokenizer() -> Value {
    let vocabulary: serde_json::Map<String, Value> =
        (0..1000).map(|id| (format!("w{id}"), json!(id))).collect();
    json!({
        "version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "w2"},
    })
}

fn text(start: usize, words: usize) -> String {
    let word = |n| format!("w{}", 3 + (start * 31 + n * 7) % 997);
    (0..words).map(word).collect::<Vec<_>>().join(" ")
}

fn small_examples() -> Vec<Example> {
    let example = |n| Example {
        input: text(n, 25 + n % 10),
        target: Some(text(n, 1)),
        options: vec![text(n, 1), text(n + 1, 2)],
        ..Example::default()
    };
    (0..1000).map(example).collect()
}

fn folder(config: &Value, tokenizer: &[u8]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("config.json"), config.to_string()).expect("written");
    std::fs::write(dir.path().join("tokenizer.json"), tokenizer).expect("written");
    dir
}

fn shared() -> PathBuf {
    std::env::var_os("DEFT_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    )
}

fn examples(path: &Path) -> Vec<Example> {
    let text = std::fs::read_to_string(path).expect("readable");
    let example = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let text = |key: &str| line[key].as_str().map(str::to_owned);
        Example {
            input: text("input").unwrap_or_default(),
            target: text("target"),
            ..Example::default()
        }
    };
    text.lines().map(example).collect()
}
