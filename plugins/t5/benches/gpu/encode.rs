//! How fast texts become vectors.

use std::path::PathBuf;
use std::time::Instant;

use deft_core::options;
use deft_core::prelude::*;
use deft_t5::T5Encoder;
use serde_json::{Value, json};

use super::services::Clock;
use super::texts::{self, Tokens};
use super::watch::{Watch, report_main_memory};
use super::work::{Sizes, Work};
use super::{all_threads, bf16, gpu, line, median, name, pretrained};

/// What is measured.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// A model's folder, with `tokenizer.json`.
    model: PathBuf,
    /// A file of JSON objects with a text `input`, a line each.
    prompts: PathBuf,
    #[serde(default = "gpu")]
    device: String,
    #[serde(default = "bf16")]
    precision: String,
    /// `random` needs no weights in the folder.
    #[serde(default = "pretrained")]
    init: String,
    #[serde(default = "batch_tokens")]
    batch_tokens: usize,
    #[serde(default = "max_tokens")]
    max_tokens: usize,
    /// Texts to encode: the prompts go round as often as needed. Default: each once.
    rows: Option<usize>,
    #[serde(default = "rounds")]
    rounds: usize,
    #[serde(default = "all_threads")]
    threads: usize,
    /// The most that the device can do, in floating-point operations per second.
    peak: Option<f64>,
}

/// Measures encoding.
///
/// The time of a round is that of a call of the encoder: tokenising, all batches, and the way of the
/// vectors back. One call before is not counted, in which kernels and libraries are loaded.
///
/// Tokenising is measured by itself, too, with the same texts and threads: so long a device would wait if
/// nothing were computed meanwhile. What it waits in all is asked of the driver.
pub(crate) fn run(options: &Value) -> Result<()> {
    let options: Options = options::parse(options)?;
    let prompts = texts::read(&options.prompts)?;
    let rows = options.rows.unwrap_or(prompts.len());
    let texts: Vec<&str> = prompts.iter().map(String::as_str).cycle().take(rows).collect();
    let clock = Clock::endless();
    let ctx = Context::new(&clock, 1, options.threads);
    let encoder = encoder(&ctx, &options)?;
    let mut vectors = vec![0.0; texts.len() * encoder.info().dimension];
    let mut encode = || encoder.encode(&ctx, &texts, TextRole::Pool, &mut vectors);
    let tokens = encode()?.tokens;
    let (watch, start) = (Watch::start(&options.device), Instant::now());
    let seconds = timed(options.rounds, || encode().map(|_| ()))?;
    let seen = watch.map(Watch::stop);
    print(&options, rows);
    let (tokenising, work) = work(&options, &texts)?;
    if work.tokens as u64 != tokens {
        return Err(Error::new(ErrorKind::Unexpected, "the encoder has counted other tokens")
            .with_context("found", work.tokens)
            .with_context("encoder", tokens));
    }
    report(&options, &work, seconds, tokenising);
    report_main_memory();
    if let Some(seen) = seen {
        seen.report(start);
    }
    Ok(())
}

fn encoder(ctx: &Context<'_>, options: &Options) -> Result<T5Encoder> {
    let config = json!({
        "model": options.model, "device": options.device, "precision": options.precision,
        "init": options.init, "batch_tokens": options.batch_tokens,
        "max_tokens": options.max_tokens,
    });
    T5Encoder::new(ctx, options::parse(&config)?, Children::none())
}

/// Seconds that tokenising takes by itself, and what there is to compute.
fn work(options: &Options, texts: &[&str]) -> Result<(f64, Work)> {
    let tokens = Tokens::read(&options.model, options.max_tokens)?;
    let mut lengths = Vec::new();
    let seconds = timed(options.rounds, || {
        lengths = tokens.lengths(texts, options.threads)?;
        Ok(())
    })?;
    let is_on_cpu = options.device == "cpu";
    let work = Sizes::read(&options.model)?.work(&lengths, options.batch_tokens, is_on_cpu);
    Ok((seconds, work))
}

/// Seconds that something takes, of several rounds the one in the middle.
fn timed(rounds: usize, mut round: impl FnMut() -> Result<()>) -> Result<f64> {
    let one = |_: usize| {
        let start = Instant::now();
        round().map(|()| start.elapsed().as_secs_f64())
    };
    Ok(median(&(0..rounds.max(1)).map(one).collect::<Result<Vec<_>>>()?))
}

fn print(options: &Options, rows: usize) {
    let Options { device, precision, batch_tokens, rounds, threads, .. } = options;
    println!("encode: deft, {}, {device}, {precision}", name(&options.model));
    line("texts", &format!("{rows}, in batches of {batch_tokens} tokens"));
    line("rounds", &format!("{rounds}, {threads} threads"));
}

fn report(options: &Options, work: &Work, seconds: f64, tokenising: f64) {
    line("time", &format!("{seconds:.3} s"));
    let share = 100.0 * tokenising / seconds;
    line("tokenising by itself", &format!("{tokenising:.3} s, {share:.1} %"));
    line("tokens/s", &format!("{:.0}", work.tokens as f64 / seconds));
    line("padded tokens/s", &format!("{:.0}", work.padded_tokens as f64 / seconds));
    let speeds = [
        ("FLOP/s", work.operations / seconds),
        ("padded FLOP/s", work.padded_operations / seconds),
    ];
    for (name, speed) in speeds {
        let share = options.peak.map_or_else(String::new, |peak| {
            format!(", {:.1} % of {peak:.2e}", 100.0 * speed / peak)
        });
        line(name, &format!("{speed:.3e}{share}"));
    }
}

fn batch_tokens() -> usize {
    32_768
}

fn max_tokens() -> usize {
    512
}

fn rounds() -> usize {
    3
}
