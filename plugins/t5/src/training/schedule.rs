//! The learning rate of every step.

use crate::config::{ScheduleKind, TrainerConfig};

/// Share of the steps in which the slanted triangle rises.
const CUT: f64 = 0.1;
/// Highest over lowest rate of the slanted triangle.
const RATIO: f64 = 32.0;

/// A learning rate as a function of the step.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    kind: ScheduleKind,
    rate: f64,
    warmup: usize,
    total: usize,
}

impl Schedule {
    pub(crate) fn new(config: &TrainerConfig, total: usize) -> Self {
        let (kind, rate, warmup) = (config.schedule, config.learning_rate, config.warmup_steps);
        Self { kind, rate, warmup, total }
    }

    /// The rate of a step, counted from 1.
    pub(crate) fn rate(&self, step: usize) -> f64 {
        match self.kind {
            ScheduleKind::Constant => self.rate,
            ScheduleKind::Linear => self.rate * self.linear(step),
            ScheduleKind::SlantedTriangular => self.rate * slanted(step, self.total, CUT, RATIO),
        }
    }

    fn linear(&self, step: usize) -> f64 {
        if step < self.warmup {
            return step as f64 / self.warmup as f64;
        }
        let rest = self.total.saturating_sub(self.warmup).max(1);
        self.total.saturating_sub(step) as f64 / rest as f64
    }
}

/// The slanted triangle of `ULMFiT`: from 1/ratio up to 1 at the cut, then down to 1/ratio.
fn slanted(step: usize, total: usize, cut: f64, ratio: f64) -> f64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounds down")]
    let cut = (total as f64 * cut) as usize;
    let height = if step < cut {
        step as f64 / cut as f64
    } else {
        1.0 - (step - cut) as f64 / (total - cut) as f64
    };
    (1.0 + height * (ratio - 1.0)) / ratio
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn the_triangle_is_the_originals() {
        let Some(cases) = testing::shared_json("parity/metrics/lr_schedules.json") else { return };
        for case in cases["slanted_triangular"].as_array().expect("cases") {
            let number = |key: &str| case[key].as_f64().expect("a number");
            let total =
                usize::try_from(case["total_steps"].as_u64().expect("steps")).expect("small");
            for (step, wanted) in case["lr"].as_array().expect("rates").iter().enumerate() {
                let share = slanted(step, total, number("cut_frac"), number("ratio"));
                let (found, wanted) = (share * number("base_lr"), wanted.as_f64().expect("a rate"));
                assert!((found - wanted).abs() < 1e-15, "step {step}: {found}, not {wanted}");
            }
        }
    }

    #[test]
    fn the_linear_schedule_rises_then_falls_to_zero_as_the_originals() {
        let Some(cases) = testing::shared_json("parity/metrics/lr_schedules.json") else { return };
        let all = cases["polynomial_decay"].as_array().expect("cases");
        // A polynomial of degree 1 that ends at 0 is our linear schedule.
        for case in all.iter().filter(|case| case["power"] == 1.0 && case["end_lr"] == 0.0) {
            let count = |key: &str| case[key].as_u64().and_then(|n| usize::try_from(n).ok());
            let schedule = Schedule {
                kind: ScheduleKind::Linear,
                rate: case["base_lr"].as_f64().expect("a rate"),
                warmup: count("warmup_steps").expect("steps"),
                total: count("total_steps").expect("steps"),
            };
            for (step, wanted) in case["lr"].as_array().expect("rates").iter().enumerate() {
                let (found, wanted) = (schedule.rate(step), wanted.as_f64().expect("a rate"));
                assert!((found - wanted).abs() < 1e-15, "step {step}: {found}, not {wanted}");
            }
        }
    }

    #[test]
    fn one_step_alone_has_a_rate() {
        assert!((slanted(1, 1, CUT, RATIO) - 1.0 / 32.0).abs() < 1e-15);
    }
}
