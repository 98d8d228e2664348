//! From statistics of examples to a number with an interval.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::bootstrap::interval;
use super::classes::{Counts, Pair};
use super::{Aggregate, ExampleScore, Metric, MetricSpec, ScoringRule, mean};
use crate::{Error, ErrorKind, Result};

/// More groups than this are no table for people.
const MOST_GROUPS: usize = 200;

/// The metrics of the examples of one group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupMetrics {
    /// The group, as its examples name it.
    pub group: String,
    /// How many examples it has.
    pub examples: usize,
    /// Their metrics.
    pub metrics: Vec<Metric>,
}

/// Aggregates statistics and adds a 95 % bootstrap interval (1,000 resamples): over examples or, of
/// a mean over groups, over groups. The same scores and seed give the same interval.
///
/// # Errors
///
/// [`ErrorKind::Unexpected`] when a score lacks the statistic.
pub fn aggregate(spec: &MetricSpec, scores: &[ExampleScore], seed: u64) -> Result<Metric> {
    match spec.aggregate.rule() {
        None => of_values(spec, scores, seed),
        Some(rule) => of_classes(spec, rule, scores, seed),
    }
}

/// The means of each group, in the order of their names: what [`Aggregate::Mean`] metrics are in
/// parts. Nothing where there is one group, or more than 200.
///
/// # Errors
///
/// Those of [`aggregate`].
pub fn by_group(
    specs: &[MetricSpec],
    scores: &[ExampleScore],
    seed: u64,
) -> Result<Vec<GroupMetrics>> {
    let specs: Vec<&MetricSpec> =
        specs.iter().filter(|spec| spec.aggregate == Aggregate::Mean).collect();
    let mut groups: BTreeMap<&str, Vec<ExampleScore>> = BTreeMap::new();
    for score in scores {
        groups.entry(&score.group).or_default().push(score.clone());
    }
    if specs.is_empty() || groups.len() < 2 || groups.len() > MOST_GROUPS {
        return Ok(Vec::new());
    }
    let metrics = |(group, scores): (&str, Vec<ExampleScore>)| -> Result<GroupMetrics> {
        let metrics = specs.iter().map(|spec| aggregate(spec, &scores, seed));
        let metrics = metrics.collect::<Result<_>>()?;
        Ok(GroupMetrics { group: group.to_owned(), examples: scores.len(), metrics })
    };
    groups.into_iter().map(metrics).collect()
}

/// The numbers whose mean a metric is: the statistics of the examples or, where it is a mean over
/// groups, the groups' means, in the order of their names. `None` for a metric that is no mean.
///
/// # Errors
///
/// [`ErrorKind::Unexpected`] when a score lacks the statistic.
pub fn mean_values(spec: &MetricSpec, scores: &[ExampleScore]) -> Result<Option<Vec<f64>>> {
    match spec.aggregate.rule() {
        None => averaged(spec, scores).map(Some),
        Some(_) => Ok(None),
    }
}

/// The numbers that a mean is taken of.
fn averaged(spec: &MetricSpec, scores: &[ExampleScore]) -> Result<Vec<f64>> {
    let values = statistics(spec, scores)?;
    if spec.aggregate != Aggregate::GroupMean {
        return Ok(values);
    }
    let mut groups: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (score, value) in scores.iter().zip(values) {
        groups.entry(&score.group).or_default().push(value);
    }
    Ok(groups.into_values().map(|of_group| mean(of_group.into_iter())).collect())
}

/// A metric with its interval.
fn metric(name: &str, n: usize, seed: u64, of: impl Fn(&[usize]) -> f64) -> Metric {
    let all: Vec<usize> = (0..n).collect();
    let value = of(&all);
    let (low, high) = interval(n, seed, of);
    Metric { name: name.to_owned(), value, low, high }
}

/// A mean. Of a mean over groups whole groups are drawn: the examples of one say much the same, or
/// the very same, and an interval over them would be far too narrow.
fn of_values(spec: &MetricSpec, scores: &[ExampleScore], seed: u64) -> Result<Metric> {
    let values = averaged(spec, scores)?;
    Ok(metric(&spec.name, values.len(), seed, |rows| mean(rows.iter().map(|&row| values[row]))))
}

fn of_classes(
    spec: &MetricSpec,
    rule: ScoringRule,
    scores: &[ExampleScore],
    seed: u64,
) -> Result<Metric> {
    // A reader may name a class beyond its own count: it is one more class, and no panic.
    let mut count = 0;
    let pair = |score: &ExampleScore| -> Result<Pair> {
        let classes = score.classes.ok_or_else(|| left_out("the classes", spec))?;
        let (gold, predicted) = (classes.gold, classes.predicted(rule));
        count = count.max(classes.count).max(gold + 1).max(predicted + 1);
        Ok((gold, predicted))
    };
    let pairs = scores.iter().map(pair).collect::<Result<Vec<Pair>>>()?;
    Ok(metric(&spec.name, pairs.len(), seed, |rows| {
        Counts::of(rows, &pairs, count).value(spec.aggregate)
    }))
}

fn statistics(spec: &MetricSpec, scores: &[ExampleScore]) -> Result<Vec<f64>> {
    let value = |score| spec.statistic(score).ok_or_else(|| left_out("a statistic", spec));
    scores.iter().map(value).collect()
}

fn left_out(what: &str, spec: &MetricSpec) -> Error {
    Error::new(ErrorKind::Unexpected, format!("the reader left out {what}"))
        .with_context("statistic", &spec.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Classes;

    fn of(group: &str, value: f64) -> ExampleScore {
        ExampleScore {
            group: group.to_owned(),
            values: BTreeMap::from([("em".to_owned(), value)]),
            ..ExampleScore::default()
        }
    }

    fn spec(aggregate: Aggregate) -> MetricSpec {
        MetricSpec { name: "em".to_owned(), aggregate }
    }

    fn classes(gold: usize, sum: usize, mean: usize) -> ExampleScore {
        let classes = Some(Classes { gold, count: 2, sum, mean });
        ExampleScore { classes, ..ExampleScore::default() }
    }

    #[test]
    fn group_means_weigh_groups_alike() {
        let all = [of("a", 1.0), of("a", 1.0), of("a", 1.0), of("b", 0.0)];
        let mean = aggregate(&spec(Aggregate::Mean), &all, 1).expect("aggregated");
        let grouped = aggregate(&spec(Aggregate::GroupMean), &all, 1).expect("aggregated");
        assert_eq!((mean.value, grouped.value), (0.75, 0.5));
        assert!(mean.low <= mean.value && mean.value <= mean.high);
    }

    #[test]
    fn rows_that_repeat_their_groups_value_do_not_narrow_the_interval_of_the_groups() {
        let value = |group: u8| f64::from(group % 2);
        let name = |group: u8| format!("{group:02}");
        let rows: Vec<_> =
            (0..750).map(|row: u16| u8::try_from(row % 30).expect("below 30")).collect();
        let rows: Vec<_> = rows.iter().map(|&group| of(&name(group), value(group))).collect();
        let groups: Vec<_> = (0..30).map(|group| of(&name(group), value(group))).collect();
        let found = aggregate(&spec(Aggregate::GroupMean), &rows, 1).expect("aggregated");
        assert_eq!(found, aggregate(&spec(Aggregate::Mean), &groups, 1).expect("aggregated"));
        assert!(found.low < 0.4 && found.value == 0.5 && 0.6 < found.high, "{found:?}");
        let again = aggregate(&spec(Aggregate::GroupMean), &rows, 1).expect("aggregated");
        assert_eq!(again, found, "the seed decides");
    }

    #[test]
    fn the_mean_of_mean_values_is_the_metric_and_others_have_none() {
        let all = [of("b", 1.0), of("a", 1.0), of("b", 0.0), of("b", 0.0)];
        let values = |aggregate| mean_values(&spec(aggregate), &all).unwrap();
        assert_eq!(values(Aggregate::Mean), Some(vec![1.0, 1.0, 0.0, 0.0]));
        assert_eq!(values(Aggregate::GroupMean), Some(vec![1.0, 1.0 / 3.0]));
        assert_eq!(values(Aggregate::MicroF1 { rule: ScoringRule::Sum }), None);
        let lacking = mean_values(&spec(Aggregate::Mean), &[ExampleScore::default()]);
        assert_eq!(lacking.unwrap_err().context("statistic"), Some("em"));
    }

    #[test]
    fn each_rule_has_its_own_predictions() {
        let all = [classes(0, 0, 1), classes(1, 1, 1), classes(1, 0, 1)];
        let value = |aggregate| aggregate_of(aggregate, &all).value;
        let (sum, mean) = (ScoringRule::Sum, ScoringRule::Mean);
        assert_eq!(value(Aggregate::Precision { rule: sum, class: 0 }), 0.5);
        assert_eq!(value(Aggregate::Precision { rule: mean, class: 0 }), 0.0);
        assert_eq!(value(Aggregate::Recall { rule: sum, class: 1 }), 0.5);
        assert_eq!(value(Aggregate::Recall { rule: mean, class: 1 }), 1.0);
    }

    fn aggregate_of(of: Aggregate, scores: &[ExampleScore]) -> Metric {
        let found = aggregate(&spec(of), scores, 3).expect("aggregated");
        assert!(found.low <= found.value && found.value <= found.high, "{found:?}");
        found
    }

    #[test]
    fn a_class_beyond_the_count_is_one_more_class() {
        let rule = ScoringRule::Sum;
        let found =
            aggregate_of(Aggregate::MacroF1 { rule }, &[classes(0, 0, 0), classes(5, 5, 5)]);
        assert!((found.value - 2.0 / 6.0).abs() < 1e-12);
    }

    #[test]
    fn what_a_reader_left_out_is_named() {
        let error = aggregate(&spec(Aggregate::Mean), &[ExampleScore::default()], 1).unwrap_err();
        assert_eq!(error.to_string(), "the reader left out a statistic (statistic: em)");
        let macro_f1 = spec(Aggregate::MacroF1 { rule: ScoringRule::Sum });
        let error = aggregate(&macro_f1, &[of("", 1.0)], 1).unwrap_err();
        assert_eq!(error.to_string(), "the reader left out the classes (statistic: em)");
    }

    #[test]
    fn groups_have_means_of_their_own_unless_there_is_but_one() {
        let specs = [spec(Aggregate::Mean), spec(Aggregate::GroupMean)];
        let all = [of("b", 0.0), of("a", 1.0), of("b", 1.0)];
        let found = by_group(&specs, &all, 1).expect("grouped");
        let short: Vec<_> = found
            .iter()
            .map(|one| (one.group.as_str(), one.examples, one.metrics[0].value))
            .collect();
        assert_eq!(short, [("a", 1, 1.0), ("b", 2, 0.5)]);
        assert_eq!(found[0].metrics.len(), 1);
        assert!(by_group(&specs, &all[..1], 1).expect("grouped").is_empty());
        let many: Vec<_> = (0..201).map(|group| of(&group.to_string(), 1.0)).collect();
        assert!(by_group(&specs, &many, 1).expect("grouped").is_empty());
    }
}
