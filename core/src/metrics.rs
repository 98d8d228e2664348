//! Metrics: what readers report per example, and what core makes of it.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Example, Prediction, PredictionKind, Result};

/// What a task wants predicted and which metrics it reports.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// How answers are given.
    pub prediction: PredictionKind,
    /// The metrics, the one to quote first.
    pub metrics: Vec<MetricSpec>,
}

impl TaskSpec {
    /// Accuracy by rank classification, under both scoring rules; see [`rank_classification`].
    pub fn rank_classification() -> Self {
        let mean = |name: &str| MetricSpec { name: name.to_owned(), aggregate: Aggregate::Mean };
        Self {
            prediction: PredictionKind::OptionScores,
            metrics: vec![mean(ACCURACY_SUM), mean(ACCURACY_MEAN)],
        }
    }
}

/// Accuracy where an option's score is its summed log-probability: the rule of T0 and DEFT.
pub const ACCURACY_SUM: &str = "accuracy_sum";

/// Accuracy where an option's score is its mean log-probability per token.
pub const ACCURACY_MEAN: &str = "accuracy_mean";

/// A metric: the statistic of that name, aggregated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricSpec {
    /// Name of the per-example statistic and of the metric; larger is better.
    pub name: String,
    /// How examples become one number.
    pub aggregate: Aggregate,
}

/// How per-example statistics become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// The mean over examples.
    Mean,
    /// The mean over groups of each group's mean.
    GroupMean,
}

/// The statistics of one example.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ExampleScore {
    /// What it is grouped with (a category, a question); empty where there are no groups.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The class predicted, where the task has classes: a position among the options.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted: Option<usize>,
    /// Statistics by name.
    pub values: BTreeMap<String, f64>,
}

/// A metric's value with its bootstrap interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// The metric's name.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// Lower end of the 95 % percentile interval over resampled examples.
    pub low: f64,
    /// Upper end of that interval.
    pub high: f64,
}

/// Scores by rank classification: the option with the highest score is the prediction, ties go to
/// the lowest position.
///
/// # Errors
///
/// [`ErrorKind::Data`] for an example without right answer, [`ErrorKind::Unexpected`] for a
/// prediction that is no option scores.
pub fn rank_classification(
    examples: &[Example],
    predictions: &[Prediction],
) -> Result<Vec<ExampleScore>> {
    examples.iter().zip(predictions).map(|(e, p)| rank_one(e, p)).collect()
}

fn rank_one(example: &Example, prediction: &Prediction) -> Result<ExampleScore> {
    let gold = example.gold.ok_or_else(|| {
        Error::new(ErrorKind::Data, "the example has no right answer to be scored against")
            .with_context("input", crate::excerpt(&example.input))
    })?;
    let Prediction::OptionScores { log_probs, tokens } = prediction else {
        return Err(Error::new(ErrorKind::Unexpected, "option scores are needed, text was given"));
    };
    let means: Vec<f64> =
        log_probs.iter().zip(tokens).map(|(sum, &n)| sum / f64::from(n.max(1))).collect();
    let (by_sum, by_mean) = (first_max(log_probs), first_max(&means));
    let correct = |choice: Option<usize>| f64::from(u8::from(choice == Some(gold)));
    Ok(ExampleScore {
        group: String::new(),
        predicted: by_sum,
        values: BTreeMap::from([
            (ACCURACY_SUM.to_owned(), correct(by_sum)),
            (ACCURACY_MEAN.to_owned(), correct(by_mean)),
        ]),
    })
}

fn first_max(scores: &[f64]) -> Option<usize> {
    (0..scores.len()).reduce(|best, i| if scores[i] > scores[best] { i } else { best })
}

/// Aggregates statistics and adds a 95 % bootstrap interval over examples (1,000 resamples).
///
/// # Errors
///
/// [`ErrorKind::Unexpected`] when a score lacks the statistic.
pub fn aggregate(spec: &MetricSpec, scores: &[ExampleScore], seed: u64) -> Result<Metric> {
    let values = scores
        .iter()
        .map(|score| {
            score.values.get(&spec.name).copied().ok_or_else(|| {
                Error::new(ErrorKind::Unexpected, "the reader left out a statistic")
                    .with_context("statistic", &spec.name)
            })
        })
        .collect::<Result<Vec<f64>>>()?;
    let groups = group_numbers(scores);
    let of = |rows: &[usize]| match spec.aggregate {
        Aggregate::Mean => mean(rows.iter().map(|&row| values[row])),
        Aggregate::GroupMean => group_mean(rows, &values, &groups),
    };
    let all: Vec<usize> = (0..values.len()).collect();
    let value = of(&all);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut resampled: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let rows: Vec<usize> = all.iter().map(|_| rng.random_range(0..values.len())).collect();
            of(&rows)
        })
        .collect();
    resampled.sort_unstable_by(f64::total_cmp);
    let (low, high) = (resampled[RESAMPLES / 40], resampled[RESAMPLES - 1 - RESAMPLES / 40]);
    Ok(Metric { name: spec.name.clone(), value, low, high })
}

const RESAMPLES: usize = 1000;

/// A number from 0 for each distinct group, per example.
fn group_numbers(scores: &[ExampleScore]) -> Vec<usize> {
    let mut numbers = BTreeMap::new();
    scores
        .iter()
        .map(|score| {
            let next = numbers.len();
            *numbers.entry(score.group.as_str()).or_insert(next)
        })
        .collect()
}

fn group_mean(rows: &[usize], values: &[f64], groups: &[usize]) -> f64 {
    let mut sums: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    for &row in rows {
        let (sum, count) = sums.entry(groups[row]).or_default();
        *sum += values[row];
        *count += 1.0;
    }
    mean(sums.values().map(|(sum, count)| sum / count))
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    if count == 0.0 { 0.0 } else { sum / count }
}

/// What an accuracy must be held against.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baselines {
    /// Expected accuracy of a uniform guess among each example's options.
    pub chance: f64,
    /// Accuracy of always answering the most frequent class.
    pub majority: f64,
    /// That class.
    pub majority_class: String,
}

/// The names of the classes: the options' texts where every example has the same options, their
/// positions otherwise (`option 1`).
pub fn class_names(examples: &[Example]) -> Vec<String> {
    let Some(first) = examples.first() else { return Vec::new() };
    if examples.iter().all(|example| example.options == first.options) {
        return first.options.clone();
    }
    let most = examples.iter().map(|example| example.options.len()).max().unwrap_or(0);
    (1..=most).map(|position| format!("option {position}")).collect()
}

/// Chance and majority class of an evaluation set with options; `None` without them.
pub fn baselines(examples: &[Example]) -> Option<Baselines> {
    let names = class_names(examples);
    let mut counts = vec![0.0; names.len()];
    for example in examples {
        *counts.get_mut(example.gold?)? += 1.0;
    }
    let majority = (0..counts.len()).reduce(|a, b| if counts[b] > counts[a] { b } else { a })?;
    Some(Baselines {
        chance: mean(examples.iter().map(|example| 1.0 / example.options.len() as f64)),
        majority: counts[majority] / examples.len() as f64,
        majority_class: names[majority].clone(),
    })
}

/// The share of each class among the predictions, in the order of `names`.
pub fn predicted_shares(names: &[String], scores: &[ExampleScore]) -> Vec<(String, f64)> {
    let share =
        |class| mean(scores.iter().map(|s| f64::from(u8::from(s.predicted == Some(class)))));
    names.iter().enumerate().map(|(class, name)| (name.clone(), share(class))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(options: &[&str], gold: usize) -> Example {
        let options = options.iter().map(|&option| option.to_owned()).collect();
        Example { options, gold: Some(gold), ..Example::default() }
    }

    fn scores(log_probs: &[f64], tokens: &[u32]) -> Prediction {
        Prediction::OptionScores { log_probs: log_probs.to_vec(), tokens: tokens.to_vec() }
    }

    #[test]
    fn sum_and_mean_rules_can_disagree_and_ties_go_to_the_first() {
        let examples = [example(&["a", "b"], 1), example(&["a", "b"], 0)];
        let predictions = [scores(&[-2.0, -3.0], &[1, 3]), scores(&[-1.0, -1.0], &[1, 1])];
        let scored = rank_classification(&examples, &predictions).expect("scored");
        assert_eq!(scored[0].predicted, Some(0));
        assert_eq!(scored[0].values[ACCURACY_SUM], 0.0);
        assert_eq!(scored[0].values[ACCURACY_MEAN], 1.0);
        assert_eq!(scored[1].predicted, Some(0));
    }

    #[test]
    fn group_means_weigh_groups_alike() {
        let of = |group: &str, value| ExampleScore {
            group: group.to_owned(),
            predicted: None,
            values: BTreeMap::from([("em".to_owned(), value)]),
        };
        let all = [of("a", 1.0), of("a", 1.0), of("a", 1.0), of("b", 0.0)];
        let spec = |aggregate| MetricSpec { name: "em".to_owned(), aggregate };
        let mean = aggregate(&spec(Aggregate::Mean), &all, 1).expect("aggregated");
        let grouped = aggregate(&spec(Aggregate::GroupMean), &all, 1).expect("aggregated");
        assert_eq!((mean.value, grouped.value), (0.75, 0.5));
        assert!(mean.low <= mean.value && mean.value <= mean.high);
    }

    #[test]
    fn baselines_count_gold_labels_and_options() {
        let examples = [example(&["y", "n"], 0), example(&["y", "n"], 0), example(&["y", "n"], 1)];
        let found = baselines(&examples).expect("options");
        assert_eq!((found.chance, found.majority_class.as_str()), (0.5, "y"));
        assert!((found.majority - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(baselines(&[Example::default()]), None);
    }
}
