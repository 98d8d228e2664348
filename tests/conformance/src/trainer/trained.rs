//! Trained models.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deft_core::{
    Context, Example, Examples, Handle, Prediction, PredictionKind, Predictor, Result, ResultExt,
    TrainReport, Trainer, Training, TrainingFolders,
};
use safetensors::SafeTensors;
use tempfile::TempDir;

use super::TrainerChecks;
use crate::report::{Unmet, Verdict};
use crate::services::{SEED, TestServices};

pub(super) fn create(checks: &TrainerChecks) -> Result<Arc<dyn Trainer>> {
    match checks.component.create()? {
        Handle::Trainer(trainer) => Ok(trainer),
        other => unreachable!("a trainer was made, not {other:?}"),
    }
}

/// A model folder and the report of its training.
pub(super) struct Trained {
    pub(super) report: TrainReport,
    folder: TempDir,
}

impl Trained {
    pub(super) fn with(
        trainer: &dyn Trainer,
        ctx: &Context<'_>,
        examples: &Vec<Example>,
    ) -> Result<Self> {
        let scratch = tempfile::tempdir().or_io("no temporary folder", Path::new("/tmp"))?;
        Self::watched(trainer, ctx, examples, None, scratch.path())
    }

    /// With a scratch folder in which an earlier try may have left something.
    pub(super) fn resumed(
        trainer: &dyn Trainer,
        ctx: &Context<'_>,
        examples: &Vec<Example>,
        scratch: &Path,
    ) -> Result<Self> {
        Self::watched(trainer, ctx, examples, Some(examples), scratch)
    }

    /// The same, watched with some examples.
    pub(super) fn watched(
        trainer: &dyn Trainer,
        ctx: &Context<'_>,
        examples: &Vec<Example>,
        validation: Option<&Vec<Example>>,
        scratch: &Path,
    ) -> Result<Self> {
        let folder = tempfile::tempdir().or_io("no temporary folder", Path::new("/tmp"))?;
        let [out, logs] = ["model", "logs"].map(|name| folder.path().join(name));
        for dir in [&out, &logs] {
            std::fs::create_dir(dir).or_io("cannot make the folder", dir)?;
        }
        let folders = TrainingFolders { out: &out, scratch, logs: &logs };
        let validation = validation.map(|examples| examples as &dyn Examples);
        let training = Training { examples, validation, folders };
        Ok(Self { report: trainer.train(ctx, &training)?, folder })
    }

    pub(super) fn new(trainer: &dyn Trainer, examples: &Vec<Example>) -> Result<Self> {
        Self::with(trainer, &TestServices::new().context(SEED, 1), examples)
    }

    pub(super) fn dir(&self) -> PathBuf {
        self.folder.path().join("model")
    }

    /// The model folder under another name: nothing may remember where it was.
    pub(super) fn moved(&self) -> Result<PathBuf> {
        let (from, to) = (self.dir(), self.folder.path().join("moved"));
        std::fs::rename(&from, &to).or_io("cannot move the model", &from)?;
        Ok(to)
    }

    pub(super) fn weights(&self) -> Result<Vec<u8>> {
        let path = self.dir().join("model.safetensors");
        std::fs::read(&path).or_io("cannot read the weights", &path)
    }

    /// The bytes of every tensor, by name.
    pub(super) fn tensors(&self) -> Verdict<BTreeMap<String, Vec<u8>>> {
        let bytes = self.weights()?;
        let tensors = SafeTensors::deserialize(&bytes)
            .map_err(|error| Unmet::Broken(format!("`model.safetensors` is none: {error}")))?;
        let tensor = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
            (name, view.data().to_vec())
        };
        Ok(tensors.tensors().into_iter().map(tensor).collect())
    }
}

pub(super) fn open(trainer: &dyn Trainer, model: Option<&Path>) -> Result<Box<dyn Predictor>> {
    trainer.open(&TestServices::new().context(SEED, 1), model)
}

pub(super) fn predict(
    predictor: &dyn Predictor,
    examples: &[Example],
    kind: PredictionKind,
) -> Result<Vec<Prediction>> {
    predictor.predict(&TestServices::new().context(SEED, 1), examples, kind)
}
