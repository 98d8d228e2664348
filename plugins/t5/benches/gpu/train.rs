//! How fast a model is trained.

use std::path::{Path, PathBuf};
use std::time::Instant;

use deft_core::options;
use deft_core::prelude::*;
use deft_t5::T5Trainer;
use serde_json::{Value, json};

use super::services::Clock;
use super::watch::{Watch, report_main_memory};
use super::work::Sizes;
use super::{all_threads, bf16, gpu, line, median, name, pretrained, texts};

/// What is measured.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// A model's folder, with `tokenizer.json`.
    model: PathBuf,
    #[serde(default = "gpu")]
    device: String,
    #[serde(default = "bf16")]
    precision: String,
    /// `random` needs no weights in the folder.
    #[serde(default = "pretrained")]
    init: String,
    /// `full`, `ia3` or `lora`.
    #[serde(default = "full")]
    method: String,
    /// Examples of a step.
    #[serde(default = "batch")]
    batch: usize,
    /// Tokens of every input.
    #[serde(default = "input")]
    input: usize,
    /// Tokens of every target.
    #[serde(default = "target")]
    target: usize,
    #[serde(default)]
    gradient_checkpointing: bool,
    /// Steps that are measured.
    #[serde(default = "steps")]
    steps: usize,
    /// Steps before them.
    #[serde(default = "warmup")]
    warmup: usize,
    #[serde(default = "all_threads")]
    threads: usize,
}

/// Measures training with Adam and without limits for gradients.
///
/// All inputs have the same length, and so have all targets: nothing is padding. The time of a step is
/// that from its end to the next one's. After the last the training is stopped: no model is written.
pub(crate) fn run(options: &Value) -> Result<()> {
    let options: Options = options::parse(options)?;
    // The time of the first step begins with the end of one before.
    let clock = Clock::stopping_after(options.warmup.max(1) + options.steps.max(1));
    let ctx = Context::new(&clock, 1, options.threads);
    let (watch, start) = (Watch::start(&options.device), Instant::now());
    let config = options::parse(&config(&options)?)?;
    let trainer = T5Trainer::new(&ctx, config, Children::none())?;
    match train(&trainer, &ctx, &examples(&options)) {
        Err(error) if error.kind() == ErrorKind::Cancelled => {}
        other => other.map(drop)?,
    }
    let (total, seen) = (start.elapsed().as_secs_f64(), watch.map(Watch::stop));
    report(&options, trainer.info().parameters, &clock.seconds(), total);
    report_main_memory();
    if let Some(seen) = seen {
        seen.report(clock.end_of(options.warmup).unwrap_or(start));
    }
    Ok(())
}

fn config(options: &Options) -> Result<Value> {
    let Options { model, init, device, precision, method, batch, input, target, .. } = options;
    let mut config = json!({
        "model": model, "init": init, "device": device, "precision": precision,
        "method": method, "batch_size": batch, "gradient_accumulation": 1,
        "max_tokens": input, "max_answer_tokens": target,
        "gradient_checkpointing": options.gradient_checkpointing,
        "steps": options.warmup.max(1) + options.steps.max(1) + 1,
        "schedule": "constant", "learning_rate": 1e-4, "clip_value": null,
        "checkpoint_every": 0, "log_every": 0,
    });
    if method == "ia3" {
        // The paper's, or where there is no gate what comes nearest.
        let gate = if Sizes::read(model)?.gated() { "wi_1" } else { "wi" };
        config["modules"] = json!(["k", "v", gate]);
    }
    Ok(config)
}

/// Examples that are cut to the lengths that are wanted.
fn examples(options: &Options) -> Vec<Example> {
    let example = |n: usize| Example {
        input: texts::long(n, options.input),
        target: Some(texts::long(n + 1, options.target)),
        ..Example::default()
    };
    (0..4 * options.batch).map(example).collect()
}

/// Trains into folders that are gone afterwards.
fn train(trainer: &T5Trainer, ctx: &Context<'_>, examples: &Vec<Example>) -> Result<TrainReport> {
    let folder =
        || tempfile::tempdir().or_io("cannot make a folder", Path::new("the temporary one"));
    let (out, scratch, logs) = (folder()?, folder()?, folder()?);
    let folders = TrainingFolders { out: out.path(), scratch: scratch.path(), logs: logs.path() };
    trainer.train(ctx, &Training { examples, validation: None, folders })
}

fn report(options: &Options, parameters: u64, seconds: &[f64], total: f64) {
    let Options { device, precision, method, batch, input, target, steps, .. } = options;
    println!("train: deft, {}, {device}, {precision}, {method}", name(&options.model));
    let checkpointing = if options.gradient_checkpointing { "with" } else { "without" };
    line("step", &format!("{batch} examples of {input} and {target} tokens"));
    line("activations", &format!("{checkpointing} gradient checkpointing"));
    line("trained parameters", &parameters.to_string());
    // What is left of the steps are the last ones.
    let measured = &seconds[seconds.len().saturating_sub((*steps).max(1))..];
    let step = median(measured);
    line("time of a step", &format!("{step:.4} s, the median of {}", measured.len()));
    line("tokens/s", &format!("{:.0}", (batch * (input + target)) as f64 / step));
    line("time in all", &format!("{total:.1} s, reading the weights included"));
}

fn full() -> String {
    "full".to_owned()
}

fn batch() -> usize {
    8
}

fn input() -> usize {
    512
}

fn target() -> usize {
    64
}

fn steps() -> usize {
    20
}

fn warmup() -> usize {
    3
}
