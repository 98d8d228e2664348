//! Training: one model for each task, arm and seed, and at once its evaluation.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use deft_core::{Examples, Fingerprint, Kind, Result, ResultExt, Trainer, Training};

use super::folders::{self, Folders};
use super::labelled::Labelled;
use super::mix::{Mix, Supplies};
use super::outputs::Outputs;
use super::select::Selections;
use super::{Results, Run};
use crate::components::Plan;
use crate::manifest::Task;
use crate::pool::StoredPool;
use crate::store;

/// A trainer for one seed, and what it is.
pub(super) struct SeededTrainer {
    pub(super) trainer: Arc<dyn Trainer>,
    pub(super) seed: u64,
    /// Everything that can change a model beside the examples.
    pub(super) fingerprint: String,
    /// What beside the model can change its predictions.
    pub(super) prediction: String,
}

/// What a task, arm and seed ended with.
pub(super) struct TrainedArm<'a> {
    pub(super) arm: &'a str,
    /// What was trained on.
    pub(super) mix: Option<Mix<'a>>,
    /// `None` for the model that training starts from.
    pub(super) model: Option<PathBuf>,
    /// Everything that can change the model.
    pub(super) fingerprint: String,
    pub(super) dir: PathBuf,
}

impl Run {
    /// Trains and, if wanted, evaluates every arm of every task with every seed.
    pub(super) fn train_all(
        &mut self,
        pool: &StoredPool,
        selections: &Selections,
        evaluate: bool,
    ) -> Result<Results> {
        // All of it before the first training: a mistake in the last source should not show hours
        // later.
        let labelled = self.read_labelled()?;
        let supplies = Supplies { pool, selections, labelled: &labelled };
        let mut evaluations = Vec::new();
        for task in self.manifest.tasks.clone() {
            let evaluation = if evaluate { self.read_evaluation(&task)? } else { None };
            evaluations.push((task, evaluation));
        }
        let mut results = Results::default();
        for (task, evaluation) in evaluations {
            let mut of_task = Vec::new();
            for arm in self.manifest.arms.keys().cloned().collect::<Vec<_>>() {
                let Some(plan) = self.trainer_plan(&arm)? else { continue };
                for seed in self.manifest.seeds.clone() {
                    if self.manifest.seeds.len() > 1 {
                        // Each seed has a trainer, possibly a model, of its own: one is held.
                        self.components.clear();
                    }
                    let trainer = self.trainer(&plan, seed)?;
                    let mix = self.mix(&task, &arm, seed, &supplies)?;
                    let validation = labelled.validation(&task.name);
                    let outcome = self.train(&task, &arm, mix, validation, &trainer)?;
                    if let Some(evaluation) = &evaluation {
                        of_task.push(self.evaluate(&task, &trainer, &outcome, evaluation, pool)?);
                    }
                }
            }
            if let Some((evaluation, _)) = &evaluation {
                results.compare(self.compare(&task, &of_task, evaluation.metrics())?);
            }
            for result in of_task {
                results.add(result);
            }
        }
        Ok(results)
    }

    /// The plan of the trainer that trains an arm or, where it does not train, predicts for it.
    pub(super) fn trainer_plan(&self, arm: &str) -> Result<Option<Plan>> {
        let base = self.manifest.trainer.as_ref().map(|block| (block, "trainer".to_owned()));
        let own = self.manifest.trainer_of(arm).filter(|(block, _)| !block.is_none());
        match own.or(base).filter(|(block, _)| !block.is_none()) {
            Some((block, path)) => self.plan(Kind::Trainer, block, &path).map(Some),
            None => Ok(None),
        }
    }

    pub(super) fn trainer(&mut self, plan: &Plan, seed: u64) -> Result<SeededTrainer> {
        let services = self.services("open the model");
        let ctx = services.context(seed);
        let trainer = self.components.trainer(plan, &ctx)?;
        let fingerprint = Fingerprint::new()
            .with(plan.identity().to_string())
            .with(trainer.info().fingerprint)
            .with(seed.to_string())
            .short();
        let prediction = plan.prediction_options().to_string();
        Ok(SeededTrainer { trainer, seed, fingerprint, prediction })
    }

    fn train<'a>(
        &self,
        task: &Task,
        arm: &'a str,
        mix: Option<Mix<'a>>,
        validation: Option<&Labelled>,
        trainer: &SeededTrainer,
    ) -> Result<TrainedArm<'a>> {
        let dir = self.arm_dir(task, arm).join(format!("seed-{}", trainer.seed));
        let Some(mix) = mix else {
            let fingerprint = trainer.fingerprint.clone();
            return Ok(TrainedArm { arm, mix: None, model: None, fingerprint, dir });
        };
        let fingerprint = model_fingerprint(trainer, &mix, validation);
        let mut outputs = Outputs::open(&dir)?;
        let model = dir.join("model");
        let is_current = outputs.has("model", &fingerprint) && model.is_dir();
        if !is_current {
            outputs.begin("model", &fingerprint)?;
            let folders = Folders::make(&dir, &fingerprint)?;
            let label = format!("train {}/{arm} seed {}", task.name, trainer.seed);
            self.make_model(&label, &model, &folders, trainer, &mix, validation)?;
            outputs.note("model", &fingerprint)?;
        }
        // Also where a run was killed right before this.
        folders::remove_scratch(&dir, None)?;
        Ok(TrainedArm { arm, mix: Some(mix), model: Some(model), fingerprint, dir })
    }

    /// Trains into a new folder, leaves the trainer's report in it, and puts it in its place.
    fn make_model(
        &self,
        label: &str,
        model: &Path,
        folders: &Folders,
        trainer: &SeededTrainer,
        mix: &Mix<'_>,
        validation: Option<&Labelled>,
    ) -> Result<()> {
        log::info!("{label}: {}", mix.describe());
        if folders.has_left() {
            log::info!("{label}: goes on from where it was stopped");
        }
        let services = self.services(label);
        let ctx = services.context(trainer.seed);
        let validation = validation.map(|labelled| &labelled.examples as &dyn Examples);
        let made = store::commit(model, |out| {
            std::fs::create_dir(out).or_io("cannot make the model's folder", out)?;
            let training = Training { examples: mix, validation, folders: folders.with_out(out) };
            let report = trainer.trainer.train(&ctx, &training);
            let report = report.map_err(|error| mix.name_examples(error))?;
            store::write_json(&out.join("training.json"), &report)
        });
        if made.is_err() {
            folders.remove_empty_scratch();
        }
        made
    }
}

/// Of everything that can change a model.
fn model_fingerprint(
    trainer: &SeededTrainer,
    mix: &Mix<'_>,
    validation: Option<&Labelled>,
) -> String {
    let fingerprint = Fingerprint::new().with(&trainer.fingerprint).with(mix.fingerprint());
    match validation {
        // A trainer may keep the epoch that is best by these.
        Some(labelled) => fingerprint.with(&labelled.fingerprint).short(),
        None => fingerprint.short(),
    }
}
