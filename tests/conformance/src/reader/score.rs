//! Checks of a reader's metrics, on predictions that are made up.

use deft_core::metrics::ExampleScore;
use deft_core::{Example, Prediction, PredictionKind};

use super::{ReaderChecks, read};
use crate::report::{Verdict, ensure, skip_unless};
use crate::services::{SEED, TestServices};

/// How right a made-up prediction is.
#[derive(Debug, Clone, Copy)]
enum Answer {
    Right,
    Wrong,
    Empty,
}

/// The examples that can be scored, and how the reader scores such predictions.
fn scored(it: &ReaderChecks, answer: Answer) -> Verdict<Vec<ExampleScore>> {
    let reader = it.create()?;
    let task = reader.task();
    skip_unless!(!task.metrics.is_empty(), "it has no metric");
    let mut examples = read(reader.as_ref(), it.good(), 16)?.examples;
    examples.retain(|example| match task.prediction {
        PredictionKind::OptionScores => example.gold.is_some() && example.options.len() > 1,
        PredictionKind::Text => example.target.is_some(),
    });
    ensure!(!examples.is_empty(), "no example of the source has a right answer");
    let predict = |example: &Example| prediction(example, task.prediction, answer);
    let predictions: Vec<_> = examples.iter().map(predict).collect();
    let services = TestServices::new();
    Ok(reader.score(&services.context(SEED, 1), &examples, &predictions)?)
}

fn prediction(example: &Example, kind: PredictionKind, answer: Answer) -> Prediction {
    if kind == PredictionKind::Text {
        return Prediction::Text(match answer {
            Answer::Right => example.target.clone().unwrap_or_default(),
            Answer::Wrong => "neither this nor that".to_owned(),
            Answer::Empty => String::new(),
        });
    }
    let score = |option: usize| match (answer, Some(option) == example.gold) {
        (Answer::Right, true) | (Answer::Wrong, false) => -0.125,
        (Answer::Empty, _) => -3.0,
        _ => -9.0,
    };
    let options = example.options.len();
    Prediction::OptionScores {
        log_probs: (0..options).map(score).collect(),
        tokens: vec![1; options],
    }
}

pub(super) fn metrics(it: &ReaderChecks) -> Verdict {
    let metrics = it.create()?.task().metrics;
    for (number, score) in scored(it, Answer::Right)?.iter().enumerate() {
        for metric in &metrics {
            let value = metric.statistic(score);
            let is_number = value.is_some_and(f64::is_finite);
            ensure!(is_number, "`{}` of example {number} is {value:?}", metric.name);
        }
    }
    Ok(())
}

pub(super) fn perfect(it: &ReaderChecks) -> Verdict {
    compare(it, Answer::Wrong, "wrong", true)
}

pub(super) fn poor(it: &ReaderChecks) -> Verdict {
    compare(it, Answer::Wrong, "wrong", false)?;
    compare(it, Answer::Empty, "empty", false)
}

/// No metric may be higher for other answers than for the right ones; nor the same, if `strictly`.
fn compare(it: &ReaderChecks, answer: Answer, name: &str, strictly: bool) -> Verdict {
    let (right, other) = (scored(it, Answer::Right)?, scored(it, answer)?);
    for metric in it.create()?.task().metrics {
        let of = |score: &ExampleScore| metric.statistic(score).unwrap_or(0.0);
        let pairs = || right.iter().map(of).zip(other.iter().map(of));
        let is_lower = pairs().all(|(right, other)| other <= right);
        ensure!(is_lower, "{name} answers score higher in `{}`", metric.name);
        let differs = !strictly || pairs().any(|(right, other)| other < right);
        ensure!(differs, "right answers and {name} ones score the same in `{}`", metric.name);
    }
    Ok(())
}
