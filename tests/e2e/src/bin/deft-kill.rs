//! `deft-kill [KILLS [SEED]] [--rows N [--retriever NAME]]`: kills runs at random moments, continues
//! them, and compares the ends. With `--rows` it is one large pool that is searched, and nothing is
//! trained.

use std::process::ExitCode;
use std::time::Instant;

use deft_e2e::{Kills, LARGE_RETRIEVERS, Large, Texts, skipped};

const USAGE: &str = "usage: deft-kill [KILLS [SEED]] [--rows N [--retriever faiss|exact|bm25]]";

struct Arguments {
    kills: usize,
    seed: u64,
    rows: Option<usize>,
    retriever: String,
}

/// `None` where they are not understood.
fn arguments(mut words: impl Iterator<Item = String>) -> Option<Arguments> {
    let (mut numbers, mut rows, mut retriever) = (Vec::new(), None, None);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--rows" => rows = Some(words.next()?.parse().ok()?),
            "--retriever" => retriever = Some(words.next()?),
            number => numbers.push(number.parse::<u64>().ok()?),
        }
    }
    let is_there = |retriever: &String| LARGE_RETRIEVERS.iter().any(|(name, _)| name == retriever);
    let is_understood =
        retriever.as_ref().is_none_or(|retriever| rows.is_some() && is_there(retriever));
    if numbers.len() > 2 || !is_understood {
        return None;
    }
    let number = |place: usize, default: u64| numbers.get(place).copied().unwrap_or(default);
    Some(Arguments {
        kills: usize::try_from(number(0, 500)).ok()?,
        seed: number(1, 1),
        rows,
        retriever: retriever.unwrap_or_else(|| "faiss".to_owned()),
    })
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]
fn main() -> ExitCode {
    let Some(arguments) = arguments(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let start = Instant::now();
    match run(&arguments, |line| println!("{line}")) {
        Ok(kills) => {
            println!("{kills}");
            let (total, seconds) = (kills.total(), start.elapsed().as_secs());
            println!("{total} kills, every end equal ({seconds} s)");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("not equal: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments, tell: impl FnMut(&str)) -> Result<Kills, String> {
    let Arguments { kills, seed, rows, retriever } = arguments;
    let Some(rows) = *rows else { return deft_e2e::kill_runs(*seed, *kills, tell) };
    let texts = Texts::of_samples().unwrap_or_else(|| {
        skipped("the samples of P3 and NI are not there; rows are generated");
        Texts::Generated
    });
    let large = Large::new(retriever, rows, texts, *seed).ok_or("no such retriever")?;
    deft_e2e::kill_large_runs(&large, *seed, *kills, tell)
}
