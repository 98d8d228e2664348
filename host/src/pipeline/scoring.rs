//! Predictions of a model for a task's evaluation examples, and what the task's metrics make of them.

use std::path::Path;
use std::sync::Arc;

use deft_core::metrics::{
    Baselines, ExampleScore, GroupMetrics, Metric, MetricSpec, TaskSpec, aggregate, baselines,
    by_group, class_names, predicted_shares,
};
use deft_core::{Context, Error, Prediction, Predictor, Reader, Result};
use serde::Serialize;

use super::scorable::check_scorable;
use super::splits::Taken;
use crate::manifest::{Task, TaskSource};
use crate::store::{self, LineWriter};

/// Examples predicted in one call.
pub(super) const EXAMPLES_AT_ONCE: usize = 128;

/// A task's evaluation examples, and how they are scored.
pub(super) struct Evaluation {
    reader: Arc<dyn Reader>,
    spec: TaskSpec,
    taken: Taken,
}

/// What a model's predictions come to.
pub(super) struct Scored {
    pub(super) metrics: Vec<Metric>,
    pub(super) groups: Vec<GroupMetrics>,
    pub(super) baselines: Option<Baselines>,
    pub(super) predicted: Vec<(String, f64)>,
}

/// A line of `predictions.jsonl`: enough to compute every scoring rule again.
#[derive(Serialize)]
struct PredictionLine<'a> {
    /// Position among the examples of the evaluation source.
    id: usize,
    gold: Option<usize>,
    target: Option<&'a str>,
    predicted: Option<usize>,
    #[serde(flatten)]
    prediction: &'a Prediction,
    score: &'a ExampleScore,
}

/// Refuses a task whose reader has no metric, at its `reader`.
pub(super) fn check_has_metric(reader: &dyn Reader, task: &Task) -> Result<()> {
    if !reader.task().metrics.is_empty() {
        return Ok(());
    }
    let message = format!("reader `{}` has no metric", task.reader.component);
    Err(Error::option_at("reader", message)
        .with_hint("leave out `evaluation_source`, or take a reader that has one"))
}

impl Evaluation {
    /// Examples of a source with the reader that gave them; those that could not be scored are
    /// refused before anything is predicted.
    pub(super) fn new(
        reader: Arc<dyn Reader>,
        ctx: &Context<'_>,
        taken: Taken,
        source: &TaskSource,
    ) -> Result<Self> {
        check_scorable(&*reader, ctx, &taken, source.source())?;
        Ok(Self { spec: reader.task(), reader, taken })
    }

    /// How many examples there are.
    pub(super) fn count(&self) -> usize {
        self.taken.examples.len()
    }

    /// The metrics, the one to quote first.
    pub(super) fn metrics(&self) -> &[MetricSpec] {
        &self.spec.metrics
    }

    /// Predicts and scores; the predictions are written to `lines`, if that is wanted. `seed` is that
    /// of the bootstrap intervals.
    pub(super) fn score(
        &self,
        predictor: &dyn Predictor,
        ctx: &Context<'_>,
        lines: Option<&Path>,
        seed: u64,
    ) -> Result<Scored> {
        let examples = &self.taken.examples;
        let predictions = self.predict_all(predictor, ctx)?;
        let scores = self.reader.score(ctx, examples, &predictions)?;
        if let Some(path) = lines {
            store::commit(path, |out| self.write_predictions(out, &predictions, &scores))?;
        }
        let specs = &self.spec.metrics;
        let metrics = specs.iter().map(|spec| aggregate(spec, &scores, seed));
        Ok(Scored {
            metrics: metrics.collect::<Result<_>>()?,
            groups: by_group(specs, &scores, seed)?,
            baselines: baselines(examples),
            predicted: predicted_shares(&class_names(examples), &scores),
        })
    }

    fn predict_all(&self, predictor: &dyn Predictor, ctx: &Context<'_>) -> Result<Vec<Prediction>> {
        let mut predictions = Vec::with_capacity(self.count());
        for examples in self.taken.examples.chunks(EXAMPLES_AT_ONCE) {
            ctx.check()?;
            predictions.extend(predictor.predict(&ctx.quiet(), examples, self.spec.prediction)?);
            ctx.progress(predictions.len(), self.count(), "examples");
        }
        Ok(predictions)
    }

    fn write_predictions(
        &self,
        path: &Path,
        predictions: &[Prediction],
        scores: &[ExampleScore],
    ) -> Result<()> {
        let mut out = LineWriter::create(path)?;
        let examples = self.taken.examples.iter().zip(&self.taken.positions);
        for (((example, &id), prediction), score) in examples.zip(predictions).zip(scores) {
            let line = PredictionLine {
                id,
                gold: example.gold,
                target: example.target.as_deref(),
                predicted: score.predicted,
                prediction,
                score,
            };
            out.write(&line)?;
        }
        out.finish()
    }
}
