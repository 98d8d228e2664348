//! How near the vectors of a device are to those of the CPU.

use std::collections::BTreeSet;
use std::path::PathBuf;

use deft_core::options;
use deft_core::prelude::*;
use deft_t5::T5Encoder;
use serde_json::{Value, json};

use super::services::Clock;
use super::{all_threads, gpu, line, name, pretrained, texts};

/// What is compared.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// A model's folder, with `tokenizer.json`.
    model: PathBuf,
    /// A file of JSON objects with a text `input`, a line each.
    prompts: PathBuf,
    #[serde(default = "gpu")]
    device: String,
    /// `random` needs no weights in the folder.
    #[serde(default = "pretrained")]
    init: String,
    /// Prompts that are encoded, the first of the file.
    #[serde(default = "rows")]
    rows: usize,
    /// Of these, the ones whose neighbours are sought among the others.
    #[serde(default = "queries")]
    queries: usize,
    /// Nearest neighbours that are compared.
    #[serde(default = "neighbours")]
    neighbours: usize,
    #[serde(default = "all_threads")]
    threads: usize,
}

/// Vectors of the same texts, one after the other.
struct Vectors {
    numbers: Vec<f32>,
    dimension: usize,
}

/// Compares f32 and bf16 on the device with f32 on the CPU.
pub(crate) fn run(options: &Value) -> Result<()> {
    let options: Options = options::parse(options)?;
    let mut prompts = texts::read(&options.prompts)?;
    prompts.truncate(options.rows);
    let (rows, queries) = (prompts.len(), options.queries);
    if queries == 0 || queries >= rows {
        return Err(Error::option_at("queries", "some prompts are queries, and some are not")
            .with_context("prompts", rows)
            .with_context("queries", queries));
    }
    println!("parity: deft, {}, {} and the CPU", name(&options.model), options.device);
    let wanted = vectors(&options, &prompts, "cpu", "f32")?;
    let count = options.neighbours.min(rows - queries);
    let near = wanted.neighbours(queries, count);
    for precision in ["f32", "bf16"] {
        let found = vectors(&options, &prompts, &options.device, precision)?;
        report_deviation(precision, &found, &wanted);
        report_overlap(precision, &found.neighbours(queries, count), &near, count);
    }
    Ok(())
}

fn vectors(
    options: &Options,
    prompts: &[String],
    device: &str,
    precision: &str,
) -> Result<Vectors> {
    let config = json!({
        "model": options.model, "init": options.init, "device": device, "precision": precision,
    });
    let clock = Clock::endless();
    let ctx = Context::new(&clock, 1, options.threads);
    let encoder = T5Encoder::new(&ctx, options::parse(&config)?, Children::none())?;
    let dimension = encoder.info().dimension;
    let texts: Vec<&str> = prompts.iter().map(String::as_str).collect();
    let mut numbers = vec![0.0; texts.len() * dimension];
    encoder.encode(&ctx, &texts, TextRole::Pool, &mut numbers)?;
    Ok(Vectors { numbers, dimension })
}

impl Vectors {
    fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.numbers.chunks_exact(self.dimension)
    }

    /// The nearest of the other vectors to each of the first `queries`, by Euclidean distance.
    fn neighbours(&self, queries: usize, count: usize) -> Vec<BTreeSet<usize>> {
        let nearest = |query: &[f32]| {
            let distance =
                |(position, row): (usize, &[f32])| (squared_distance(query, row), position);
            let mut distances: Vec<(f64, usize)> =
                self.rows().enumerate().skip(queries).map(distance).collect();
            distances.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            distances.into_iter().take(count).map(|(_, position)| position).collect()
        };
        self.rows().take(queries).map(nearest).collect()
    }
}

/// The length of a text's difference over that of its vector: the largest, and the mean.
fn report_deviation(precision: &str, found: &Vectors, wanted: &Vectors) {
    let deviation = |(found, wanted): (&[f32], &[f32])| {
        let length = squared_distance(wanted, &vec![0.0; wanted.len()]);
        (squared_distance(found, wanted) / length).sqrt()
    };
    let deviations: Vec<f64> = found.rows().zip(wanted.rows()).map(deviation).collect();
    // `max` passes over what is no number.
    let largest = deviations.iter().copied().max_by(f64::total_cmp).unwrap_or(f64::NAN);
    let mean = deviations.iter().sum::<f64>() / deviations.len() as f64;
    line(
        &format!("{precision}: deviation"),
        &format!("{largest:.2e} at most, {mean:.2e} in the mean of {} texts", deviations.len()),
    );
}

/// The share of the neighbours that both have.
fn report_overlap(
    precision: &str,
    found: &[BTreeSet<usize>],
    wanted: &[BTreeSet<usize>],
    count: usize,
) {
    let common = |(found, wanted): (&BTreeSet<usize>, &BTreeSet<usize>)| {
        100.0 * found.intersection(wanted).count() as f64 / count as f64
    };
    let shares: Vec<f64> = found.iter().zip(wanted).map(common).collect();
    let least = shares.iter().copied().fold(100.0, f64::min);
    let mean = shares.iter().sum::<f64>() / shares.len() as f64;
    line(
        &format!("{precision}: neighbours"),
        &format!(
            "{mean:.2} % of {count} the same, {least:.2} % at least, of {} texts",
            shares.len()
        ),
    );
}

fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
}

fn rows() -> usize {
    2000
}

fn queries() -> usize {
    200
}

fn neighbours() -> usize {
    500
}
