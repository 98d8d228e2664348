//! Training: one model for each task, arm and seed, and at once its evaluation.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use deft_core::{Context, Error, Examples, Fingerprint, Kind, Result, ResultExt, Trainer};

use super::outputs::Outputs;
use super::select::{SelectedExamples, Selection, Selections};
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
}

/// What a task, arm and seed ended with.
pub(super) struct TrainedArm<'a> {
    pub(super) arm: &'a str,
    pub(super) selection: Option<&'a Selection>,
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
        let mut results = Results::default();
        for task in self.manifest.tasks.clone() {
            let evaluation = if evaluate { self.read_evaluation(&task)? } else { None };
            for arm in self.manifest.arms.keys().cloned().collect::<Vec<_>>() {
                let Some(plan) = self.trainer_plan(&arm)? else { continue };
                for seed in self.manifest.seeds.clone() {
                    if self.manifest.seeds.len() > 1 {
                        // Each seed has a trainer, possibly a model, of its own: one is held.
                        self.components.clear();
                    }
                    let trainer = self.trainer(&plan, seed)?;
                    let selection = selections.get(&(task.name.clone(), arm.clone()));
                    let outcome = self.train(&task, &arm, selection, &trainer, pool)?;
                    if let Some(evaluation) = &evaluation {
                        results.add(self.evaluate(&task, &trainer, &outcome, evaluation, pool)?);
                    }
                }
            }
        }
        Ok(results)
    }

    /// The plan of the trainer that trains an arm or, where it does not train, predicts for it.
    fn trainer_plan(&self, arm: &str) -> Result<Option<Plan>> {
        let base = self.manifest.trainer.as_ref().map(|block| (block, "trainer".to_owned()));
        let own = self.manifest.trainer_of(arm).filter(|(block, _)| !block.is_none());
        match own.or(base).filter(|(block, _)| !block.is_none()) {
            Some((block, path)) => self.plan(Kind::Trainer, block, &path).map(Some),
            None => Ok(None),
        }
    }

    fn trainer(&mut self, plan: &Plan, seed: u64) -> Result<SeededTrainer> {
        let services = self.services("open the model");
        let ctx = services.context(seed);
        let trainer = self.components.trainer(plan, &ctx)?;
        let fingerprint = Fingerprint::new()
            .with(plan.identity().to_string())
            .with(trainer.info().fingerprint)
            .with(seed.to_string())
            .short();
        Ok(SeededTrainer { trainer, seed, fingerprint })
    }

    fn train<'a>(
        &self,
        task: &Task,
        arm: &'a str,
        selection: Option<&'a Selection>,
        trainer: &SeededTrainer,
        pool: &StoredPool,
    ) -> Result<TrainedArm<'a>> {
        let dir = self.arm_dir(task, arm).join(format!("seed-{}", trainer.seed));
        let Some(selection) = selection else {
            let fingerprint = trainer.fingerprint.clone();
            return Ok(TrainedArm { arm, selection: None, model: None, fingerprint, dir });
        };
        if selection.ids.is_empty() {
            return Err(Error::option_at(format!("arms.{arm}"), "nothing is selected to train on"));
        }
        let fingerprint =
            Fingerprint::new().with(&trainer.fingerprint).with(&selection.fingerprint).short();
        let mut outputs = Outputs::open(&dir)?;
        let model = dir.join("model");
        let is_current = outputs.has("model", &fingerprint) && model.is_dir();
        if !is_current {
            outputs.begin("model", &fingerprint)?;
            let label = format!("train {}/{arm} seed {}", task.name, trainer.seed);
            log::info!("{label}: {} examples", selection.ids.len());
            let services = self.services(&label);
            let ctx = services.context(trainer.seed);
            let examples = SelectedExamples { pool, ids: &selection.ids };
            let trainer = &*trainer.trainer;
            store::commit(&model, |out| train_into(out, trainer, &examples, &ctx))?;
            outputs.note("model", &fingerprint)?;
        }
        let model = Some(model);
        Ok(TrainedArm { arm, selection: Some(selection), model, fingerprint, dir })
    }
}

/// Trains into a new folder and leaves the trainer's report in it.
fn train_into(
    out: &Path,
    trainer: &dyn Trainer,
    examples: &dyn Examples,
    ctx: &Context<'_>,
) -> Result<()> {
    std::fs::create_dir(out).or_io("cannot make the model's folder", out)?;
    let report = trainer.train(ctx, examples, out)?;
    store::write_json(&out.join("training.json"), &report)
}
