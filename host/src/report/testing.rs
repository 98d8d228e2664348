//! What the tests of the tables share.

use deft_core::metrics::Metric;

use crate::pipeline::ArmResult;

/// A metric with an interval.
pub(super) fn metric(name: &str) -> Metric {
    Metric { name: name.to_owned(), value: 0.5, low: 0.4, high: 0.6 }
}

/// A result of the task `rte`, without any metric.
pub(super) fn result(arm: &str) -> ArmResult {
    ArmResult {
        task: "rte".to_owned(),
        arm: arm.to_owned(),
        seed: 1,
        evaluated: 277,
        trained_on: 20,
        steps: 5,
        related: None,
        metrics: Vec::new(),
        groups: Vec::new(),
        baselines: None,
        predicted: Vec::new(),
        notes: Vec::new(),
    }
}
