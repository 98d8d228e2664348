//! Checkpoints: what a stopped training goes on from, bit for bit.
//!
//! A checkpoint is a folder `checkpoint-<step>` of the scratch folder with `state.json` and
//! `tensors.safetensors`: parameters and moments, in f32, whatever the network computes in. It is
//! written beside its place, synced and renamed, so that one that is there is whole.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use deft_core::{ErrorKind, Result, ResultExt};

use crate::config::TrainerConfig;
use crate::model::defect;
use crate::weights::{self, Outgoing, Safetensors};

use super::files::{put, sync};
use super::learner::Learner;
use super::parameters::{Trained, check_shape};
use super::state::State;

const PREFIX: &str = "checkpoint-";
const STATE: &str = "state.json";
const TENSORS: &str = "tensors.safetensors";
/// A checkpoint this fast is made also when the user asks to stop.
const FAST: Duration = Duration::from_millis(500);
/// So many bytes are taken for fast before one was written.
const SMALL: usize = 64 << 20;

/// The checkpoints of one training.
#[derive(Debug)]
pub(crate) struct Checkpoints<'a> {
    dir: &'a Path,
    /// Steps between two of them; 0 makes none.
    every: usize,
    kept: usize,
    /// How long the last one took.
    took: Option<Duration>,
}

impl<'a> Checkpoints<'a> {
    pub(crate) fn new(config: &TrainerConfig, scratch: &'a Path) -> Self {
        let (every, kept) = (config.checkpoint_every, config.keep_checkpoints);
        Self { dir: scratch, every, kept, took: None }
    }

    /// The steps of those that are there, the last first.
    fn steps(&self) -> Result<Vec<usize>> {
        let mut steps = Vec::new();
        let entries = std::fs::read_dir(self.dir).or_io("cannot read the checkpoints", self.dir)?;
        for entry in entries {
            let name = entry.or_io("cannot read the checkpoints", self.dir)?.file_name();
            let step = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse().ok());
            steps.extend::<Option<usize>>(step);
        }
        steps.sort_unstable_by(|a, b| b.cmp(a));
        Ok(steps)
    }

    fn path(&self, step: usize) -> PathBuf {
        self.dir.join(format!("{PREFIX}{step}"))
    }

    /// Sets the learner to the last checkpoint, if there is one.
    pub(crate) fn restore(&self, learner: &mut Learner<'_>) -> Result<Option<State>> {
        let Some(step) = self.steps()?.first().copied() else { return Ok(None) };
        let dir = self.path(step);
        read(&dir, learner).map(Some).map_err(|error| {
            error
                .with_context("checkpoint", dir.display())
                .with_hint("remove it: the training goes on from the one before, or starts anew")
        })
    }

    /// Whether a step is one after which a checkpoint is made.
    pub(crate) fn is_due(&self, step: usize) -> bool {
        self.every > 0 && step.is_multiple_of(self.every)
    }

    /// Whether one more can be made while the user waits for the end.
    pub(crate) fn is_fast(&self, learner: &Learner<'_>) -> bool {
        self.every > 0 && self.took.map_or(learner.bytes() < SMALL, |took| took < FAST)
    }

    /// Makes a checkpoint and removes those that are too many. A failure leaves those that are there.
    pub(crate) fn save(&mut self, state: &State, learner: &Learner<'_>) -> Result<()> {
        let start = Instant::now();
        let (beside, dir) = (self.dir.join("writing"), self.path(state.counts.step));
        if dir.exists() {
            return Ok(());
        }
        // What a kill left.
        remove(&beside)?;
        let written = write(&beside, state, learner).and_then(|()| put(&beside, &dir));
        if let Err(error) = written {
            // They fill a disk that may be full already; the error that counts is the first.
            let _ = remove(&beside);
            return Err(error);
        }
        for step in self.steps()?.into_iter().skip(self.kept) {
            remove(&self.path(step))?;
        }
        self.took = Some(start.elapsed());
        Ok(())
    }
}

fn remove(dir: &Path) -> Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).or_io("cannot remove the checkpoint", dir)
        }
        _ => Ok(()),
    }
}

fn write(dir: &Path, state: &State, learner: &Learner<'_>) -> Result<()> {
    std::fs::create_dir(dir).or_io("cannot make the checkpoint", dir)?;
    learner.write(&dir.join(TENSORS))?;
    let json =
        serde_json::to_vec_pretty(state).or_error(ErrorKind::Unexpected, "the state is no JSON")?;
    let path = dir.join(STATE);
    std::fs::write(&path, json).or_io("cannot write the checkpoint", &path)?;
    sync(&path)
}

fn read(dir: &Path, learner: &mut Learner<'_>) -> Result<State> {
    let path = dir.join(STATE);
    let text = std::fs::read_to_string(&path).or_io("cannot read the checkpoint", &path)?;
    let state =
        serde_json::from_str(&text).or_error(ErrorKind::Data, "the checkpoint is damaged")?;
    learner.read(&Safetensors::open(&dir.join(TENSORS))?)?;
    Ok(state)
}

impl Learner<'_> {
    /// The arrays that make up a checkpoint.
    fn arrays(&self) -> Vec<Outgoing<'static>> {
        let mut arrays = Vec::new();
        for (Trained { name, master, .. }, slot) in
            self.parameters.trained().iter().zip(&self.sums.slots)
        {
            let value = master.as_detached_tensor();
            arrays.push(Outgoing::tensor(format!("value/{name}"), value));
            for (kind, array) in slot.moments.arrays().into_iter().flatten() {
                arrays.push(Outgoing::flat(format!("{kind}/{name}"), array.clone()));
            }
        }
        arrays
    }

    /// The size of a checkpoint.
    fn bytes(&self) -> usize {
        self.arrays().iter().map(Outgoing::bytes).sum()
    }

    fn write(&self, path: &Path) -> Result<()> {
        weights::write(path, self.arrays())
    }

    fn read(&mut self, file: &Safetensors) -> Result<()> {
        self.parameters.set(|name| file.get_f32(&format!("value/{name}")))?;
        let slots = self.sums.slots.iter_mut();
        for (Trained { name, .. }, slot) in self.parameters.trained().iter().zip(slots) {
            for (kind, own) in slot.moments.arrays_mut().into_iter().flatten() {
                let name = format!("{kind}/{name}");
                let tensor = file.get_f32(&name)?;
                check_shape(&name, tensor.dims(), &[own.elem_count()])?;
                let there = tensor.reshape(own.shape()).and_then(|t| t.to_device(own.device()));
                *own = there.map_err(|e| defect(&e))?;
            }
        }
        Ok(())
    }
}
