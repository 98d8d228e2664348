//! What the plugin does on a GPU, measured: `cargo bench -p deft-t5 --features cuda --bench gpu -- …`.
//!
//! - `encode`: tokens and floating-point operations per second, memory, and the time that the device
//!   waits for the host;
//! - `train`: the time of a step, and memory;
//! - `parity`: vectors and neighbours of the device against those of the CPU in f32.
//!
//! docs/gpu.md has the commands. `PyTorch` is measured on the same models by the scripts beside this
//! file. `--device cpu` tries everything on a small model, also in a build without CUDA. Without
//! options, as in `cargo bench --workspace`, nothing is measured.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its numbers")]

mod encode;
#[cfg(feature = "cuda")]
mod memory;
#[cfg(not(feature = "cuda"))]
#[path = "no_memory.rs"]
mod memory;
mod parity;
mod services;
mod texts;
mod train;
mod watch;
mod work;

use std::num::NonZero;
use std::path::Path;
use std::process::ExitCode;

use deft_core::{Error, ErrorKind, Result};
use serde_json::{Map, Value};

const USAGE: &str =
    "measures `encode`, `train` or `parity`, each with options `--name value` (docs/gpu.md)";

fn main() -> ExitCode {
    // Cargo adds `--bench`.
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let (what, options): (_, Vec<String>) = (arguments.next(), arguments.collect());
    // A word alone is meant for the other benchmarks, as the name of one of theirs.
    let Some(what) = what.filter(|_| !options.is_empty()) else {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    };
    let Err(error) = measure(&what, options) else { return ExitCode::SUCCESS };
    let option = error.option().map_or_else(String::new, |option| format!("`{option}`: "));
    eprintln!("error: {option}{error}");
    if let Some(hint) = error.hint() {
        eprintln!("hint: {hint}");
    }
    ExitCode::FAILURE
}

fn measure(what: &str, options: Vec<String>) -> Result<()> {
    let options = parse(options)?;
    match what {
        "encode" => encode::run(&options),
        "train" => train::run(&options),
        "parity" => parity::run(&options),
        _ => Err(Error::new(ErrorKind::Options, format!("there is no measurement `{what}`"))
            .with_hint(USAGE)),
    }
}

/// Options as JSON: `--batch-tokens 8192` becomes `{"batch_tokens": 8192}`.
fn parse(arguments: Vec<String>) -> Result<Value> {
    let wrong = |message: String| Error::new(ErrorKind::Options, message).with_hint(USAGE);
    let (mut options, mut arguments) = (Map::new(), arguments.into_iter());
    while let Some(argument) = arguments.next() {
        let name = argument
            .strip_prefix("--")
            .ok_or_else(|| wrong(format!("an option begins with `--` (found: {argument})")))?;
        let text = arguments.next().ok_or_else(|| wrong(format!("`--{name}` has no value")))?;
        // What is neither a number nor `true` or `false` is text.
        let value = match serde_json::from_str(&text) {
            Ok(value @ (Value::Number(_) | Value::Bool(_))) => value,
            _ => Value::String(text),
        };
        options.insert(name.replace('-', "_"), value);
    }
    Ok(Value::Object(options))
}

/// A folder's name, which tells the model.
fn name(model: &Path) -> String {
    model.file_name().unwrap_or(model.as_os_str()).display().to_string()
}

fn bf16() -> String {
    "bf16".to_owned()
}

/// The device that is measured unless another is named.
fn gpu() -> String {
    "cuda:0".to_owned()
}

/// Threads of the host: as many as there are.
fn all_threads() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Where weights come from unless it is said: the model's folder.
fn pretrained() -> String {
    "pretrained".to_owned()
}

/// The one in the middle of some numbers, at least one; of two, the greater.
fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// One line of a report.
fn line(name: &str, value: &str) {
    println!("  {name:<24}{value}");
}
