//! What crossing into a plugin costs: `cargo bench -p deft-host --bench boundary`.
//!
//! The encoder of `docs/examples/hash-encoder` is called twice with the same texts of 200 words:
//! in the loaded plugin, and compiled into this program. No text at all leaves the crossing alone.
//! `info` is answered by the host's side, which asks a plugin once; its time is that of a clone.

#![expect(clippy::print_stdout, reason = "a benchmark's numbers are its output")]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use deft_core::prelude::*;
use deft_core::{Handle, NoServices};
use divan::Bencher;
use divan::counter::ItemsCount;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::json;

// The same source as the plugin's, so that only the way to it differs.
#[path = "../../docs/examples/hash-encoder/src/config.rs"]
pub mod config;
#[allow(dead_code, unused_imports, reason = "its tests have no harness here")]
#[path = "../../docs/examples/hash-encoder/src/encoder.rs"]
pub mod encoder;
mod support;

use support::{is_measuring, median, time};

const DIMENSION: usize = 256;
const WORDS: usize = 200;
const TEXTS: [usize; 3] = [0, 1, 32];

/// Rounds of the comparison at the end, each with one turn per way.
const ROUNDS: usize = 51;
/// Texts that a turn encodes, in as many calls as it takes.
const TEXTS_PER_TURN: usize = 320;
/// Calls of a turn without words.
const EMPTY_CALLS_PER_TURN: usize = 1000;

static PLUGIN: LazyLock<Option<Arc<dyn Encoder>>> = LazyLock::new(|| {
    let how = "CARGO_TARGET_DIR=target/examples cargo build --release --manifest-path \
               docs/examples/hash-encoder/Cargo.toml";
    let plugin = support::load("../examples/release", "hash_encoder", how)?;
    let options = json!({"dimension": DIMENSION});
    let created = plugin.create(&context(), Kind::Encoder, "hash", "", &options, &Children::none());
    match created.expect("valid options") {
        Handle::Encoder(encoder) => Some(encoder),
        other => panic!("not an encoder: {other:?}"),
    }
});

static DIRECT: LazyLock<Arc<dyn Encoder>> = LazyLock::new(|| {
    let config = config::HashConfig { dimension: DIMENSION, lowercase: true };
    let created = encoder::HashEncoder::new(&context(), config, Children::none());
    Arc::new(created.expect("valid options"))
});

fn main() {
    if PLUGIN.is_none() {
        return;
    }
    divan::main();
    if is_measuring() {
        summarize();
    }
}

fn context() -> Context<'static> {
    Context::new(&NoServices, 0, 1)
}

fn plugin() -> &'static dyn Encoder {
    PLUGIN.as_deref().expect("`main` ends without it")
}

fn direct() -> &'static dyn Encoder {
    &**DIRECT
}

#[divan::bench(args = TEXTS)]
fn encode_direct(bencher: Bencher<'_, '_>, texts: usize) {
    bench(bencher, direct(), texts);
}

#[divan::bench(args = TEXTS)]
fn encode_plugin(bencher: Bencher<'_, '_>, texts: usize) {
    bench(bencher, plugin(), texts);
}

#[divan::bench]
fn info_direct() -> EncoderInfo {
    direct().info()
}

#[divan::bench]
fn info_plugin() -> EncoderInfo {
    plugin().info()
}

fn bench(bencher: Bencher<'_, '_>, encoder: &dyn Encoder, texts: usize) {
    let mut batch = TextBatch::new(texts, WORDS);
    bencher.counter(ItemsCount::new(texts)).bench_local(|| batch.encode(encoder));
}

/// Texts and the memory for their vectors.
struct TextBatch {
    texts: Vec<String>,
    vectors: Vec<f32>,
}

impl TextBatch {
    fn new(texts: usize, words: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let texts: Vec<String> = (0..texts).map(|_| support::text(&mut rng, words)).collect();
        let vectors = vec![0.0; texts.len() * DIMENSION];
        Self { texts, vectors }
    }

    /// Makes the list of borrowed texts, too, as a retriever does: it is part of both times.
    fn encode(&mut self, encoder: &dyn Encoder) -> EncodeReport {
        let texts: Vec<&str> = self.texts.iter().map(String::as_str).collect();
        let report = encoder.encode(&context(), &texts, TextRole::Pool, &mut self.vectors);
        report.expect("the encoder cannot fail")
    }
}

/// Compares both ways in turns, so that a busy machine slows both.
///
/// The crossing is measured on empty texts: beside those of 200 words it is less than what the
/// compiler makes differently of the same source.
fn summarize() {
    println!("\none call, median of {ROUNDS} rounds in turns:");
    for texts in TEXTS {
        let (direct, plugin) = compare(texts, WORDS);
        let (direct_empty, plugin_empty) = compare(texts, 0);
        let crossing = plugin_empty - direct_empty;
        println!(
            "{texts:>3} texts: direct {direct:>7.0} ns, plugin {plugin:>7.0} ns; \
             crossing {crossing:>4.0} ns, {:.3} % of direct",
            100.0 * crossing / direct
        );
    }
}

/// Nanoseconds per call: direct, and through the plugin.
fn compare(texts: usize, words: usize) -> (f64, f64) {
    let calls = if texts * words == 0 { EMPTY_CALLS_PER_TURN } else { TEXTS_PER_TURN / texts };
    let mut batch = TextBatch::new(texts, words);
    let mut turn = |encoder| {
        time(|| {
            for _ in 0..calls {
                divan::black_box(batch.encode(encoder));
            }
        })
    };
    let (directs, plugins) = (0..ROUNDS).map(|_| (turn(direct()), turn(plugin()))).unzip();
    let per_call = |turns: Vec<Duration>| median(turns).as_secs_f64() * 1e9 / calls as f64;
    (per_call(directs), per_call(plugins))
}
