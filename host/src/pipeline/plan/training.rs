//! What trainings and evaluations take: a training of the right length is begun and stopped.

use std::collections::HashMap;
use std::time::Duration;

use deft_core::{Example, Examples, PredictionKind, Result, Trainer, Training, TrainingFolders};

use super::fit::Fit;
use super::measure::Meter;
use super::sample::{Sample, Stretched};
use super::watch::Watch;
use super::{Forecast, StageForecast};
use crate::components::Plan;
use crate::machine;
use crate::manifest::{PartSource, Task};
use crate::pipeline::limits::Resource;
use crate::pipeline::schedule::Share;
use crate::pipeline::scoring::EXAMPLES_AT_ONCE;
use crate::pipeline::train::SeededTrainer;
use crate::pipeline::{Run, arms};
use crate::pool::{ReadSource, Rows, glimpse};
use crate::store::bytes_below;

/// The longest training that is begun: a trainer may hold an order of all its examples.
const LONGEST: usize = 1_000_000;
/// Bytes of a weight as it is saved.
const WEIGHT_BYTES: u64 = 4;
/// Evaluation examples that are predicted, as far as there is time: at last as many as a run
/// predicts at once, since its peak of memory is that of so many.
const PREDICTED: [usize; 3] = [1, 8, EXAMPLES_AT_ONCE];
/// Bytes of a line of `predictions.jsonl`, about.
const PREDICTION_BYTES: u64 = 250;

/// What one training took, or would.
#[derive(Debug, Clone, Default)]
struct Trained {
    seconds: Option<f64>,
    peak: Option<u64>,
    disk: Option<u64>,
    why: Option<String>,
}

/// What one evaluation example takes, and the peak of predicting.
#[derive(Debug, Clone, Default)]
struct Predicted {
    time: Option<Fit>,
    peak: Option<u64>,
    why: Option<String>,
}

/// A task's evaluation examples: how many, the first of them, and what is predicted for them.
type Evaluation = (Rows, Vec<Example>, PredictionKind);

/// What was measured: tasks and arms that train alike are measured once.
struct Known<'a> {
    sample: &'a Sample,
    meter: &'a Meter<'a>,
    /// By trainer and number of examples.
    trainings: HashMap<(String, usize), Trained>,
    /// By trainer and task.
    predictions: HashMap<(String, String), Predicted>,
}

impl Run {
    /// Forecasts the training and the evaluation of every task and arm, over all seeds.
    pub(super) fn forecast_trainings(
        &mut self,
        sample: &Sample,
        meter: &Meter<'_>,
        forecast: &mut Forecast,
    ) -> Result<()> {
        let (trainings, predictions) = (HashMap::new(), HashMap::new());
        let mut known = Known { sample, meter, trainings, predictions };
        for task in self.manifest.tasks.clone() {
            let evaluation = self.look_at_evaluation(&task)?;
            for arm in self.manifest.arms.keys().cloned().collect::<Vec<_>>() {
                let Some(plan) = self.trainer_plan(&arm)? else { continue };
                if arms::has_model(&self.manifest, &arm) {
                    let stage = self.forecast_training(&task, &arm, &plan, &mut known)?;
                    forecast.stages.push(stage);
                }
                if let Some(evaluation) = &evaluation {
                    let stage =
                        self.forecast_evaluation(&task, &arm, &plan, evaluation, &mut known)?;
                    forecast.stages.push(stage);
                }
            }
        }
        Ok(())
    }

    /// Whether an output of every seed is there.
    fn has_outputs(&self, task: &Task, arm: &str, output: &str) -> bool {
        let dir = self.arm_dir(task, arm);
        let path = |seed: &u64| dir.join(format!("seed-{seed}")).join(output);
        self.manifest.seeds.iter().all(|seed| path(seed).exists())
    }

    fn forecast_training(
        &mut self,
        task: &Task,
        arm: &str,
        plan: &Plan,
        known: &mut Known<'_>,
    ) -> Result<StageForecast> {
        let seeds = self.manifest.seeds.len();
        let rows = self.mix_size(task, arm, known.sample)?;
        let stage = StageForecast {
            rows,
            units: seeds,
            disk_remedies: self.remedies("train", Resource::Disk, None),
            memory_remedies: self.remedies("train", Resource::Memory, None),
            ..StageForecast::new("train", &format!("{}/{arm}", task.name))
        };
        if self.has_outputs(task, arm, "model") {
            return Ok(stage.finished());
        }
        let key = (plan.completed().to_string(), rows);
        if !known.trainings.contains_key(&key) {
            let trainer = self.trainer(plan, self.manifest.seeds[0])?;
            let one = begin_training(known.meter, &trainer, known.sample, rows)?;
            known.trainings.insert(key.clone(), one);
        }
        let one = &known.trainings[&key];
        Ok(StageForecast {
            disk: one.disk.map(|bytes| bytes * seeds as u64),
            memory: one.peak,
            seconds: one.seconds.map(|seconds| seconds * seeds as f64),
            note: one.why.clone(),
            ..stage
        })
    }

    fn forecast_evaluation(
        &mut self,
        task: &Task,
        arm: &str,
        plan: &Plan,
        (rows, examples, kind): &Evaluation,
        known: &mut Known<'_>,
    ) -> Result<StageForecast> {
        let seeds = self.manifest.seeds.len();
        let stage = StageForecast {
            rows: rows.count,
            units: seeds,
            disk_remedies: self.remedies("evaluate", Resource::Disk, None),
            memory_remedies: self.remedies("evaluate", Resource::Memory, None),
            ..StageForecast::new("evaluate", &format!("{}/{arm}", task.name))
        };
        if self.has_outputs(task, arm, "metrics.json") {
            return Ok(stage.finished());
        }
        let key = (plan.completed().to_string(), task.name.clone());
        if !known.predictions.contains_key(&key) {
            let trainer = self.trainer(plan, self.manifest.seeds[0])?.trainer;
            let one = predict(known.meter, &*trainer, examples, *kind)?;
            known.predictions.insert(key.clone(), one);
        }
        let one = &known.predictions[&key];
        let seconds = one.time.map(|fit| fit.at(rows.count as f64) * seeds as f64);
        Ok(StageForecast {
            disk: Some((rows.count * seeds) as u64 * PREDICTION_BYTES),
            memory: one.peak,
            seconds,
            note: one.why.clone(),
            ..stage
        })
    }

    /// Examples of an epoch, at most.
    fn mix_size(&mut self, task: &Task, arm: &str, sample: &Sample) -> Result<usize> {
        let mut size = 0;
        for part in self.manifest.parts_of(arm).to_vec() {
            let available = match part.source(arm, &task.name) {
                PartSource::Selection(arm) => self.selection_size(arm, sample.rows.count),
                PartSource::Task(name) => {
                    let tasks = self.manifest.tasks.clone();
                    match tasks.iter().find(|task| task.name == name) {
                        Some(task) => self.look_at(task, "training")?.map_or(0, |it| it.0.count),
                        None => 0,
                    }
                }
            };
            let count = part.limit().map_or(available, |limit| limit.min(available));
            size += Share { count, weight: part.weight() }.entries();
        }
        Ok(size)
    }

    fn look_at_evaluation(&mut self, task: &Task) -> Result<Option<Evaluation>> {
        let Some((rows, examples)) = self.look_at(task, "evaluation")? else { return Ok(None) };
        let (reader, _) = self.task_reader(task, "evaluation_source")?;
        Ok(Some((rows, examples, reader.task().prediction)))
    }

    /// How many examples a task's source of some use has, and the first of them.
    fn look_at(&mut self, task: &Task, usage: &str) -> Result<Option<(Rows, Vec<Example>)>> {
        let source = match usage {
            "training" => &task.training_source,
            _ => &task.evaluation_source,
        };
        let Some(source) = source else { return Ok(None) };
        let key = format!("{usage}_source");
        let (reader, identity) = self.task_reader(task, &key)?;
        let paths =
            self.expand(source.source(), &format!("tasks[{}].{key}", self.task_index(task)))?;
        let services = self.services("look at the sources");
        let watch = Watch::begin(&services, Duration::MAX);
        let ctx = watch.context(self.manifest.seed, self.threads);
        let read = ReadSource { reader, identity, paths, limit: None };
        let seen = glimpse(&read, Duration::from_secs(1), EXAMPLES_AT_ONCE, &ctx)?;
        let count = source.part().map_or(seen.rows.count, |part| part.count(seen.rows.count));
        Ok(Some((Rows { count, ..seen.rows }, seen.examples)))
    }
}

/// Begins a training of so many examples, and stops it once its pace is known.
fn begin_training(
    meter: &Meter<'_>,
    trainer: &SeededTrainer,
    sample: &Sample,
    rows: usize,
) -> Result<Trained> {
    let labelled = sample.examples.iter().filter(|example| example.target.is_some());
    let labelled: Vec<Example> = labelled.cloned().collect();
    let info = trainer.trainer.info();
    let disk = Some(info.parameters * WEIGHT_BYTES).filter(|bytes| *bytes > 0);
    if labelled.is_empty() || rows == 0 || meter.limit.is_zero() {
        let why = labelled.is_empty().then(|| "no row that was looked at has a target".to_owned());
        return Ok(Trained { disk, why, ..Trained::default() });
    }
    log::info!("measuring the training on {rows} examples");
    let examples = Stretched { examples: &labelled, count: rows.min(LONGEST) };
    let (out, scratch) = (meter.new_dir("model")?, meter.new_dir("scratch")?);
    let logs = meter.new_dir("logs")?;
    let folders = TrainingFolders { out: &out, scratch: &scratch, logs: &logs };
    let watch = meter.watch();
    let ctx = watch.context(trainer.seed, meter.threads);
    let training = Training { examples: &examples, validation: None, folders };
    let done = watch.outcome(trainer.trainer.train(&ctx, &training).map(drop))?;
    let peak = machine::peak_memory();
    let longer = rows as f64 / examples.len() as f64;
    Ok(match done {
        Ok(()) => {
            let disk = Some(bytes_below(&out));
            Trained { seconds: Some(watch.seconds() * longer), peak, disk, why: None }
        }
        Err(why) => {
            let seconds = watch.pace().and_then(|pace| pace.seconds()).map(|it| it * longer);
            let why = seconds.is_none().then_some(why);
            Trained { seconds, peak, disk, why }
        }
    })
}

fn predict(
    meter: &Meter<'_>,
    trainer: &dyn Trainer,
    examples: &[Example],
    kind: PredictionKind,
) -> Result<Predicted> {
    if meter.limit.is_zero() {
        return Ok(Predicted::default());
    }
    log::info!("measuring predictions");
    let watch = meter.watch();
    let ctx = watch.context(meter.seed, meter.threads);
    let mut points = Vec::new();
    let mut try_all = || -> Result<()> {
        let predictor = trainer.open(&ctx, None)?;
        for count in PREDICTED {
            let some = &examples[..count.min(examples.len())];
            let began = watch.seconds();
            predictor.predict(&ctx, some, kind)?;
            points.push((some.len() as f64, watch.seconds() - began));
        }
        Ok(())
    };
    let done = try_all();
    let why = watch.outcome(done)?.err();
    let time = Fit::of_times(&points);
    Ok(Predicted { why: why.filter(|_| time.is_none()), time, peak: machine::peak_memory() })
}
