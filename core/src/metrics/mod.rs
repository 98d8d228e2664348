//! Metrics: what readers report per example, and what core makes of it.
//!
//! A reader scores each example ([`ExampleScore`]) and names its metrics ([`MetricSpec`]);
//! [`aggregate`] makes numbers of them, each with a bootstrap interval. [`rank_classification`] is
//! a whole metric for tasks with answer choices, [`paired`] compares two arms on the same examples.

mod aggregate;
mod baselines;
mod bootstrap;
mod classes;
mod rank;

#[cfg(test)]
mod parity;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::PredictionKind;

pub use aggregate::{GroupMetrics, aggregate, by_group, mean_values};
pub use baselines::{Baselines, baselines, class_names, predicted_shares};
pub use bootstrap::{Difference, mean_of_seeds, over_seeds, paired};
pub use rank::{ACCURACY_MEAN, ACCURACY_SUM, rank_classification};

/// What a task wants predicted and which metrics it reports.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// How answers are given.
    pub prediction: PredictionKind,
    /// The metrics, the one to quote first.
    pub metrics: Vec<MetricSpec>,
}

/// A metric: a statistic of every example, aggregated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricSpec {
    /// Name of the metric and, unless it is about classes, of the statistic; larger is better.
    pub name: String,
    /// How examples become one number.
    pub aggregate: Aggregate,
}

impl MetricSpec {
    /// What an example's score says for this metric: its statistic or, of a metric about classes,
    /// 1 where the class predicted is the right one and 0 where it is not; `None` if that is left
    /// out.
    pub fn statistic(&self, score: &ExampleScore) -> Option<f64> {
        match self.aggregate.rule() {
            None => score.values.get(&self.name).copied(),
            Some(rule) => score
                .classes
                .map(|classes| f64::from(u8::from(classes.predicted(rule) == classes.gold))),
        }
    }
}

/// How examples become one number.
///
/// Those with a `rule` are about classes, which [`ExampleScore::classes`] has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// The mean over examples.
    Mean,
    /// The mean over groups of each group's mean; its interval is over groups.
    GroupMean,
    /// The mean over all classes of each one's F1, which is 0 where the class is never found.
    MacroF1 {
        /// Which prediction counts.
        rule: ScoringRule,
    },
    /// F1 of the counts of all classes together: the accuracy, where every example has one class.
    MicroF1 {
        /// Which prediction counts.
        rule: ScoringRule,
    },
    /// The share of right ones among the examples for which `class` is predicted; 0 without any.
    Precision {
        /// Which prediction counts.
        rule: ScoringRule,
        /// The class, from 0.
        class: usize,
    },
    /// The share of examples found among those whose right class is `class`; 0 without any.
    Recall {
        /// Which prediction counts.
        rule: ScoringRule,
        /// The class, from 0.
        class: usize,
    },
}

impl Aggregate {
    /// By which rule the classes were predicted; `None` unless the metric is about classes.
    pub fn rule(self) -> Option<ScoringRule> {
        match self {
            Self::Mean | Self::GroupMean => None,
            Self::MacroF1 { rule }
            | Self::MicroF1 { rule }
            | Self::Precision { rule, .. }
            | Self::Recall { rule, .. } => Some(rule),
        }
    }
}

/// How an option's tokens become its score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoringRule {
    /// Their summed log-probability: the rule of T0 and DEFT, which favours short options.
    Sum,
    /// Their mean log-probability.
    Mean,
}

impl ScoringRule {
    /// Both rules, that of the paper first.
    pub const ALL: [Self; 2] = [Self::Sum, Self::Mean];

    /// The rule as the last word of a metric's name: `sum` or `mean`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Mean => "mean",
        }
    }
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
    /// The classes right and predicted, where a metric is about classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Classes>,
    /// Statistics by name.
    pub values: BTreeMap<String, f64>,
}

/// The classes of one example: positions among its options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classes {
    /// The right one.
    pub gold: usize,
    /// How many there are.
    pub count: usize,
    /// The one predicted by [`ScoringRule::Sum`].
    pub sum: usize,
    /// The one predicted by [`ScoringRule::Mean`].
    pub mean: usize,
}

impl Classes {
    /// The class predicted by a rule.
    pub const fn predicted(self, rule: ScoringRule) -> usize {
        match rule {
            ScoringRule::Sum => self.sum,
            ScoringRule::Mean => self.mean,
        }
    }
}

/// A metric's value with its bootstrap interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// The metric's name.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// Lower end of the 95 % percentile interval over resampled examples, or over resampled groups
    /// where it is a mean over groups.
    pub low: f64,
    /// Upper end of that interval.
    pub high: f64,
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    if count == 0.0 { 0.0 } else { sum / count }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aggregates_cross_the_boundary_as_words_with_their_rule() {
        let check = |aggregate: Aggregate, json: &str| {
            assert_eq!(serde_json::to_string(&aggregate).unwrap(), json);
            assert_eq!(serde_json::from_str::<Aggregate>(json).unwrap(), aggregate);
        };
        check(Aggregate::Mean, r#""mean""#);
        check(Aggregate::GroupMean, r#""group_mean""#);
        check(Aggregate::MacroF1 { rule: ScoringRule::Sum }, r#"{"macro_f1":{"rule":"sum"}}"#);
        let recall = Aggregate::Recall { rule: ScoringRule::Mean, class: 1 };
        check(recall, r#"{"recall":{"rule":"mean","class":1}}"#);
    }
}
