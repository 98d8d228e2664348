//! Arms of a task held against each other, over their training seeds.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use deft_core::metrics::{
    Difference, ExampleScore, Metric, MetricSpec, mean_of_seeds, mean_values, over_seeds, paired,
};
use deft_core::{Error, ErrorKind, Result, ResultExt};
use serde::{Deserialize, Serialize};

use super::{ArmResult, Run};
use crate::manifest::Task;

/// An arm of a task over its training seeds, and against the first arm.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ArmComparison {
    /// The task.
    pub task: String,
    /// The arm.
    pub arm: String,
    /// How many training seeds it has.
    pub seeds: usize,
    /// Where there are several: the metrics that are means, with intervals over examples and seeds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub over_seeds: Vec<Metric>,
    /// How much better it is than the first arm; of that nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<ArmDifference>,
}

/// How much better an arm is than another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ArmDifference {
    /// The other arm.
    pub from: String,
    /// The metric: the first that is a mean.
    pub metric: String,
    /// The paired difference of the examples' means over seeds.
    #[serde(flatten)]
    pub difference: Difference,
}

impl ArmComparison {
    /// A metric over all seeds, if there are several and it is a mean.
    pub fn over_seeds(&self, metric: &str) -> Option<&Metric> {
        self.over_seeds.iter().find(|one| one.name == metric)
    }
}

/// What a line of `predictions.jsonl` has for a comparison.
#[derive(Deserialize)]
struct ScoreLine {
    score: ExampleScore,
}

/// For each seed, the numbers whose mean a metric is.
type OfSeeds = Vec<Vec<f64>>;

impl Run {
    /// Compares the arms of a task by what they left in `predictions.jsonl`: memory holds a number
    /// for each example, metric and seed of one arm.
    pub(super) fn compare(
        &self,
        task: &Task,
        results: &[ArmResult],
        specs: &[MetricSpec],
    ) -> Result<Vec<ArmComparison>> {
        let specs: Vec<&MetricSpec> =
            specs.iter().filter(|spec| spec.aggregate.rule().is_none()).collect();
        if specs.is_empty() || results.len() < 2 {
            return Ok(Vec::new());
        }
        let mut first: Option<(&str, Vec<f64>)> = None;
        let mut comparisons = Vec::new();
        for of_arm in results.chunk_by(|one, other| one.arm == other.arm) {
            let arm = of_arm[0].arm.as_str();
            let values = self.values_of(task, of_arm, &specs)?;
            let mean = mean_of_seeds(&values[0])?;
            let difference = match &first {
                None => None,
                Some((from, others)) => Some(ArmDifference {
                    from: (*from).to_owned(),
                    metric: specs[0].name.clone(),
                    difference: paired(&mean, others, self.manifest.seed)?,
                }),
            };
            comparisons.push(ArmComparison {
                task: task.name.clone(),
                arm: arm.to_owned(),
                seeds: of_arm.len(),
                over_seeds: self.metrics_over_seeds(&specs, &values)?,
                difference,
            });
            first = first.or(Some((arm, mean)));
        }
        Ok(comparisons)
    }

    /// What the seeds of an arm left, for each metric.
    fn values_of(
        &self,
        task: &Task,
        of_arm: &[ArmResult],
        specs: &[&MetricSpec],
    ) -> Result<Vec<OfSeeds>> {
        let mut values: Vec<OfSeeds> = vec![Vec::new(); specs.len()];
        for ArmResult { arm, seed, .. } in of_arm {
            let dir = self.arm_dir(task, arm).join(format!("seed-{seed}"));
            let scores = read_scores(&dir.join("predictions.jsonl"))?;
            for (spec, of_seeds) in specs.iter().zip(&mut values) {
                // Metrics that are no means are not among them.
                of_seeds.extend(mean_values(spec, &scores)?);
            }
        }
        Ok(values)
    }

    fn metrics_over_seeds(&self, specs: &[&MetricSpec], values: &[OfSeeds]) -> Result<Vec<Metric>> {
        let several = specs.iter().zip(values).filter(|(_, of_seeds)| of_seeds.len() > 1);
        let over = |(spec, of_seeds): (&&MetricSpec, &OfSeeds)| {
            over_seeds(&spec.name, of_seeds, self.manifest.seed)
        };
        several.map(over).collect()
    }
}

/// The examples' scores, in their order.
fn read_scores(path: &Path) -> Result<Vec<ExampleScore>> {
    let file = File::open(path).or_io("cannot read the predictions", path)?;
    let mut scores = Vec::new();
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let line = line.or_io("cannot read the predictions", path)?;
        let line: ScoreLine = serde_json::from_str(&line).map_err(|error| {
            Error::new(ErrorKind::Data, "the predictions are damaged")
                .with_context("file", path.display())
                .with_context("line", number + 1)
                .with_source(&error)
                .with_hint("remove the file: the next run makes it again")
        })?;
        scores.push(line.score);
    }
    Ok(scores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_read_back_from_the_predictions_and_a_damaged_line_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("predictions.jsonl");
        let line =
            |value: f64| format!("{{\"id\":0,\"score\":{{\"values\":{{\"em\":{value}}}}}}}\n");
        std::fs::write(&path, [line(1.0), line(0.5)].concat()).unwrap();
        let scores = read_scores(&path).unwrap();
        assert_eq!((scores[0].values["em"], scores[1].values["em"]), (1.0, 0.5));
        std::fs::write(&path, [line(1.0), "{\"id\":1}\n".to_owned()].concat()).unwrap();
        let error = read_scores(&path).unwrap_err();
        assert_eq!((error.kind(), error.context("line")), (ErrorKind::Data, Some("2")));
    }
}
