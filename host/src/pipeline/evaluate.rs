//! Evaluation: predictions for a task's examples, their metrics, and what to hold them against.

use std::collections::HashMap;

use deft_core::metrics::{Baselines, GroupMetrics, Metric};
use deft_core::{Error, Examples, Fingerprint, Result, TrainReport};
use serde::{Deserialize, Serialize};

use super::outputs::Outputs;
use super::scoring::{Evaluation, check_has_metric};
use super::train::{SeededTrainer, TrainedArm};
use super::{ArmComparison, ArmRecall, Run};
use crate::manifest::Task;
use crate::pool::StoredPool;
use crate::recall::Recall;
use crate::store;

/// `metrics.json`: the result of one task, arm and seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmResult {
    /// The task.
    pub task: String,
    /// The arm.
    pub arm: String,
    /// The training seed.
    pub seed: u64,
    /// Evaluation examples scored.
    pub evaluated: usize,
    /// Examples of an epoch of the training; none for the model as it is.
    pub trained_on: usize,
    /// Optimizer steps.
    pub steps: u64,
    /// Share of the pool examples trained on that comes from data sets named as related, if any
    /// were named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub related: Option<f64>,
    /// The metrics, the one to quote first.
    pub metrics: Vec<Metric>,
    /// Those that are means, by the groups that the reader tells (a category, a kind of answer), if
    /// there are several and not too many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupMetrics>,
    /// Chance and majority class, where the task has classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baselines: Option<Baselines>,
    /// The share of each class among the predictions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub predicted: Vec<(String, f64)>,
    /// What a reader of the numbers should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// The results of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Results {
    arms: Vec<ArmResult>,
    comparisons: Vec<ArmComparison>,
    recalls: Vec<ArmRecall>,
}

impl Results {
    /// Results in the order of tasks, arms and seeds.
    pub fn iter(&self) -> impl Iterator<Item = &ArmResult> {
        self.arms.iter()
    }

    /// The arms of each task over their seeds and against the first, where there is something to
    /// compare.
    pub fn comparisons(&self) -> &[ArmComparison] {
        &self.comparisons
    }

    /// An arm of a task over its seeds and against the first.
    pub fn comparison(&self, task: &str, arm: &str) -> Option<&ArmComparison> {
        self.comparisons.iter().find(|one| one.task == task && one.arm == arm)
    }

    /// What is known of what each search misses.
    pub fn recalls(&self) -> &[ArmRecall] {
        &self.recalls
    }

    /// What is known of what an arm's search for a task misses; none where it does not search.
    pub fn recall(&self, task: &str, arm: &str) -> Option<&Recall> {
        let found = self.recalls.iter().find(|one| one.task == task && one.arm == arm);
        found.map(|one| &one.recall)
    }

    pub(crate) fn add(&mut self, result: ArmResult) {
        self.arms.push(result);
    }

    pub(crate) fn compare(&mut self, comparisons: Vec<ArmComparison>) {
        self.comparisons.extend(comparisons);
    }

    pub(crate) fn set_recalls(&mut self, recalls: Vec<ArmRecall>) {
        self.recalls = recalls;
    }
}

impl Run {
    /// Reads a task's evaluation examples, with the fingerprint of all that can change their scores
    /// beside the predictions; `None` where it has no source of them.
    pub(super) fn read_evaluation(&mut self, task: &Task) -> Result<Option<(Evaluation, String)>> {
        let Some(source) = &task.evaluation_source else { return Ok(None) };
        let i = self.task_index(task);
        let (reader, _) = self.task_reader(task, "evaluation_source")?;
        let within = |error: Error| error.within_option(&format!("tasks[{i}]"));
        check_has_metric(&*reader, task).map_err(within)?;
        let (taken, fingerprint) = self.read_source(task, "evaluation", source)?;
        let services = self.services("look at the evaluation examples");
        let ctx = services.context(self.manifest.seed);
        let evaluation = Evaluation::new(reader, &ctx, taken, source)?;
        Ok(Some((evaluation, fingerprint.with(self.manifest.seed.to_string()).short())))
    }

    /// Predicts and scores, unless that has been done.
    pub(super) fn evaluate(
        &self,
        task: &Task,
        trainer: &SeededTrainer,
        outcome: &TrainedArm<'_>,
        (evaluation, fingerprint): &(Evaluation, String),
        pool: &StoredPool,
    ) -> Result<ArmResult> {
        let fingerprint = Fingerprint::new()
            .with(&outcome.fingerprint)
            .with(fingerprint)
            .with(&trainer.prediction)
            .with(task.related.join("\n"))
            .short();
        let mut outputs = Outputs::open(&outcome.dir)?;
        let path = outcome.dir.join("metrics.json");
        if outputs.has("metrics", &fingerprint)
            && outcome.dir.join("predictions.jsonl").exists()
            && let Some(result) = store::read_json(&path)
        {
            return Ok(result);
        }
        outputs.begin("metrics", &fingerprint)?;
        let label = format!("evaluate {}/{} seed {}", task.name, outcome.arm, trainer.seed);
        let services = self.services(&label);
        let ctx = services.context(trainer.seed);
        let predictor = trainer.trainer.open(&ctx, outcome.model.as_deref())?;
        let lines = outcome.dir.join("predictions.jsonl");
        let scored = evaluation.score(&*predictor, &ctx, Some(&lines), self.manifest.seed)?;
        let report: Option<TrainReport> =
            outcome.model.as_ref().and_then(|dir| store::read_json(&dir.join("training.json")));
        let result = ArmResult {
            task: task.name.clone(),
            arm: outcome.arm.to_owned(),
            seed: trainer.seed,
            evaluated: evaluation.count(),
            trained_on: outcome.mix.as_ref().map_or(0, Examples::len),
            steps: report.map_or(0, |report| report.steps),
            related: related_share(task, outcome, pool)?,
            metrics: scored.metrics,
            groups: scored.groups,
            baselines: scored.baselines,
            predicted: scored.predicted,
            notes: trainer.trainer.info().notes,
        };
        store::write_json(&path, &result)?;
        outputs.note("metrics", &fingerprint)?;
        Ok(result)
    }
}

/// The share of related data sets among the pool examples trained on.
fn related_share(task: &Task, outcome: &TrainedArm<'_>, pool: &StoredPool) -> Result<Option<f64>> {
    let Some(mix) = outcome.mix.as_ref().filter(|_| !task.related.is_empty()) else {
        return Ok(None);
    };
    let ids = mix.pool_ids();
    if ids.is_empty() {
        return Ok(None);
    }
    let patterns = task.related_patterns()?;
    let counts = dataset_counts(pool, &ids)?;
    let related: usize = counts
        .iter()
        .filter(|(name, _)| patterns.iter().any(|pattern| pattern.matches(name)))
        .map(|(_, count)| count)
        .sum();
    Ok(Some(related as f64 / ids.len() as f64))
}

/// How many examples come from each data set.
fn dataset_counts(pool: &StoredPool, ids: &[usize]) -> Result<HashMap<String, usize>> {
    let mut counts = HashMap::new();
    for chunk in ids.chunks(4096) {
        for example in pool.get(chunk)? {
            *counts.entry(example.provenance.dataset).or_default() += 1;
        }
    }
    Ok(counts)
}
