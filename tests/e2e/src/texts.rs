//! Rows for pools of any length: real prompts, varied, or words that follow from a row's number.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::ops::Range;
use std::path::Path;

use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::{Deft, shared};

/// Samples of P3 and of Natural Instructions in the tree of real data.
const SAMPLES: [&str; 2] = ["data/pool/p3_sample.jsonl.gz", "data/ni/ni_v1_sample.jsonl.gz"];

/// Prompts that are taken of each: rows beyond are variations.
const OF_EACH: &str = "20000";

/// Of so many words of a prompt one changes places with another.
const WORDS_OF_A_SWAP: usize = 16;

/// Words that generated texts are made of; a row has 40 of them, about 250 characters.
const WORDS: u64 = 50_000;

/// What rows are made of.
#[derive(Debug, Clone)]
pub enum Texts {
    /// Prompts with their targets; each row is a variation of one.
    Real(Vec<(String, String)>),
    /// Words, frequent ones more often.
    Generated,
}

impl Texts {
    /// The prompts of the samples, where these are.
    ///
    /// # Panics
    ///
    /// When the program cannot read them.
    pub fn of_samples() -> Option<Self> {
        let root = shared()?;
        let files = SAMPLES.map(|sample| root.join(sample));
        if !files.iter().all(|file| file.is_file()) {
            return None;
        }
        let mut prompts = Vec::new();
        for file in files {
            let read = Deft::new(&["read", "--reader", "p3", "--limit", OF_EACH, "--source"]);
            for line in read.arg(&file).succeed().stdout.lines() {
                let example: Value = serde_json::from_str(line).expect("JSON");
                let text = |name: &str| example[name].as_str().unwrap_or_default().to_owned();
                prompts.push((text("input"), text("target")));
            }
        }
        Some(Self::Real(prompts))
    }

    /// Writes rows as JSON lines; each follows from its number and the seed.
    ///
    /// # Panics
    ///
    /// When the file cannot be written.
    pub fn write(&self, path: &Path, rows: Range<usize>, seed: u64) {
        let mut out = BufWriter::new(File::create(path).expect("made"));
        for row in rows {
            writeln!(out, "{}", self.row(row as u64, seed)).expect("written");
        }
        out.flush().expect("written");
    }

    fn row(&self, row: u64, seed: u64) -> Value {
        match self {
            Self::Real(prompts) => {
                let mut random = ChaCha8Rng::seed_from_u64(mixed(seed) ^ row);
                let (input, target) = &prompts[random.random_range(0..prompts.len())];
                let input = varied(input, row, &mut random);
                json!({"input": input, "target": target, "dataset": "sample"})
            }
            Self::Generated => {
                json!({"input": generated(mixed(seed) ^ row), "target": "yes", "dataset": "d"})
            }
        }
    }
}

/// A seed whose neighbours are far away; 0 stays 0.
fn mixed(seed: u64) -> u64 {
    seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The prompt with some of its words in others' places, and a sentence that no other row has.
fn varied(prompt: &str, row: u64, random: &mut ChaCha8Rng) -> String {
    let mut words: Vec<&str> = prompt.split(' ').collect();
    for _ in 0..words.len().div_ceil(WORDS_OF_A_SWAP) {
        let (one, other) =
            (random.random_range(0..words.len()), random.random_range(0..words.len()));
        words.swap(one, other);
    }
    format!("{} This is text number {row}.", words.join(" "))
}

fn generated(row: u64) -> String {
    let mut text = String::new();
    let mut state = mixed(row) | 1;
    for _ in 0..40 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let uniform = (state >> 33) % (WORDS * WORDS);
        let _ = write!(text, "w{} ", uniform / WORDS * (uniform % WORDS) / WORDS);
    }
    text.truncate(text.trim_end().len());
    text
}
