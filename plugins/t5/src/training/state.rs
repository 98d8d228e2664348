//! How far a training is.

use deft_core::{TrainReport, ValidationReport};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::micro_batch::MicroBatch;

/// What has been done so far; with the parameters and the optimizer's moments it is all that a
/// training goes on from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) counts: Counts,
    /// Losses of the present epoch's steps.
    pub(crate) epoch: Vec<f64>,
    /// Mean losses of the epochs before.
    pub(crate) losses: Vec<f64>,
    pub(crate) validation: Vec<ValidationReport>,
    /// The best of them so far, where the best is kept.
    pub(crate) best: Option<ValidationReport>,
}

/// What is counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// Optimizer steps.
    pub(crate) step: usize,
    /// Each has dropout masks of its own.
    pub(crate) micro_batches: u64,
    /// Of inputs and targets.
    pub(crate) tokens: u64,
    inputs_cut: u64,
    targets_cut: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, batch: &MicroBatch) {
        self.tokens += batch.tokens() as u64;
        self.inputs_cut += batch.inputs_cut;
        self.targets_cut += batch.targets_cut;
    }
}

impl State {
    /// Closes an epoch.
    pub(crate) fn end_epoch(&mut self) {
        self.losses.push(self.epoch.iter().sum::<f64>() / self.epoch.len() as f64);
        self.epoch.clear();
    }

    /// What the host is told at the end.
    pub(crate) fn report(self) -> TrainReport {
        let mut report = TrainReport {
            steps: self.counts.step as u64,
            losses: self.losses,
            tokens: self.counts.tokens,
            validation: self.validation,
            ..TrainReport::default()
        };
        report.extra.insert("inputs_cut".to_owned(), json!(self.counts.inputs_cut));
        report.extra.insert("targets_cut".to_owned(), json!(self.counts.targets_cut));
        if let Some(best) = self.best {
            report.extra.insert("kept_step".to_owned(), json!(best.step));
        }
        report
    }
}
