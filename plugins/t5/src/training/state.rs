//! How far a training is.

use std::fmt;

use candle_core::Device;
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
    /// Losses of the steps since the last line of the log.
    #[serde(default)]
    pub(crate) untold: Mean,
    /// What has computed the last step; `None` at the beginning, and where an older version has not
    /// noted it.
    #[serde(default)]
    processor: Option<Processor>,
}

/// What computes steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Processor {
    Cpu,
    Cuda,
}

/// A mean of numbers that come one by one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mean {
    sum: f64,
    count: usize,
}

impl Mean {
    fn add(&mut self, number: f64) {
        self.sum += number;
        self.count += 1;
    }

    /// The mean of what has come, of which there must be something; a new one begins.
    pub(crate) fn take(&mut self) -> f64 {
        let Self { sum, count } = std::mem::take(self);
        sum / count as f64
    }
}

impl Processor {
    /// The one behind a device.
    pub(crate) fn of(device: &Device) -> Self {
        if device.is_cpu() { Self::Cpu } else { Self::Cuda }
    }
}

impl fmt::Display for Processor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "CPU",
            Self::Cuda => "GPU",
        })
    }
}

/// What is counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// Optimizer steps done.
    pub(crate) step: usize,
    /// Each has dropout masks of its own.
    pub(crate) micro_batches: u64,
    /// Of inputs and targets.
    pub(crate) tokens: u64,
    inputs_cut: u64,
    targets_cut: u64,
}

impl Counts {
    /// Takes in a step with its micro-batches.
    pub(crate) fn add<'a>(&mut self, micro_batches: impl Iterator<Item = &'a MicroBatch>) {
        self.step += 1;
        for batch in micro_batches {
            self.micro_batches += 1;
            self.tokens += batch.tokens() as u64;
            self.inputs_cut += batch.inputs_cut();
            self.targets_cut += batch.targets_cut();
        }
    }
}

impl State {
    /// Notes what computes the next steps. Returns what the user is told where another has computed
    /// those before: `device` does not decide what a training is known by, but rounding and the masks
    /// of dropout depend on it.
    pub(crate) fn go_on_with(&mut self, here: Processor) -> Option<String> {
        let before = self.processor.replace(here)?;
        (before != here).then(|| {
            format!(
                "steps 1 to {} were computed on the {before}, the others are on the {here}: the \
                 model will be neither that of the one nor that of the other to the last bit; set \
                 `device` to stay with one",
                self.counts.step
            )
        })
    }

    /// Takes in the loss of a step.
    pub(crate) fn add(&mut self, loss: f64) {
        self.epoch.push(loss);
        self.untold.add(loss);
    }

    /// Closes an epoch.
    pub(crate) fn end_epoch(&mut self) {
        self.losses.push(self.epoch.iter().sum::<f64>() / self.epoch.len() as f64);
        self.epoch.clear();
    }

    /// The last step that the model was validated after; 0 before.
    pub(crate) fn validated(&self) -> usize {
        let step = self.validation.last().map_or(0, |report| report.step);
        usize::try_from(step).unwrap_or(usize::MAX)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_the_mean_since_the_last_time() {
        let mut state = State::default();
        state.add(3.0);
        state.add(4.0);
        assert_eq!(state.untold.take().to_bits(), 3.5_f64.to_bits());
        // An epoch's end is no line of the log.
        state.add(1.0);
        state.end_epoch();
        state.add(5.0);
        assert_eq!(state.untold.take().to_bits(), 3.0_f64.to_bits());
    }

    #[test]
    fn only_a_change_of_the_processor_is_told() {
        let mut state = State::default();
        assert_eq!(state.go_on_with(Processor::Cpu), None);
        assert_eq!(state.go_on_with(Processor::Cpu), None);
        state.counts.step = 3;
        let told = state.go_on_with(Processor::Cuda).expect("a warning");
        assert!(
            told.starts_with("steps 1 to 3 were computed on the CPU, the others are on the GPU")
        );
        assert_eq!(state.go_on_with(Processor::Cuda), None);
    }

    #[test]
    fn a_state_of_an_older_version_can_be_read() {
        let mut json = serde_json::to_value(State::default()).expect("JSON");
        for added in ["untold", "processor"] {
            json.as_object_mut().expect("an object").remove(added);
        }
        assert_eq!(serde_json::from_value::<State>(json).expect("a state"), State::default());
    }
}
