//! The learning rate of every step.

use crate::config::{ScheduleKind, TrainerConfig};

/// Highest over lowest rate of the slanted triangle.
const RATIO: f64 = 32.0;

/// A learning rate as a function of the step.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    kind: ScheduleKind,
    /// The highest rate.
    rate: f64,
    /// Share of the steps in which the slanted triangle rises.
    cut: f64,
    warmup: usize,
    /// The rate at the end, and the exponent of the way there.
    end: f64,
    power: f64,
    total: usize,
}

impl Schedule {
    pub(crate) fn new(config: &TrainerConfig, total: usize) -> Self {
        let power = match config.schedule {
            ScheduleKind::Polynomial => config.power.unwrap_or(1.0),
            _ => 1.0,
        };
        Self {
            kind: config.schedule,
            rate: config.learning_rate,
            cut: config.cut.unwrap_or(0.1),
            warmup: config.warmup_steps,
            end: config.end_learning_rate.unwrap_or(0.0),
            power,
            total,
        }
    }

    /// The rate of a step, counted from 1.
    pub(crate) fn rate(&self, step: usize) -> f64 {
        match self.kind {
            ScheduleKind::SlantedTriangular => {
                self.rate * slanted(step, self.total, self.cut, RATIO)
            }
            _ if step < self.warmup => self.rate * step as f64 / self.warmup as f64,
            ScheduleKind::Constant => self.rate,
            ScheduleKind::Linear | ScheduleKind::Polynomial => self.falling(step),
        }
    }

    /// Why the highest rate is never reached, where it is not.
    pub(crate) fn warning(&self) -> Option<String> {
        (self.warmup > self.total).then(|| {
            format!(
                "`warmup_steps` is {}, but the training has {} steps: the learning rate ends at \
                 {:.3e}, before it has reached {:.3e}",
                self.warmup,
                self.total,
                self.rate(self.total),
                self.rate
            )
        })
    }

    /// From the highest rate to the end by a power of the share of steps that are left.
    fn falling(&self, step: usize) -> f64 {
        let all = self.total.saturating_sub(self.warmup).max(1);
        let left = self.total.saturating_sub(step) as f64 / all as f64;
        (self.rate - self.end) * left.powf(self.power) + self.end
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

    fn schedule(kind: ScheduleKind, case: &serde_json::Value) -> Schedule {
        let count = |key: &str| case[key].as_u64().and_then(|n| usize::try_from(n).ok());
        let number = |key: &str| case[key].as_f64().expect("a number");
        Schedule {
            kind,
            rate: number("base_lr"),
            cut: 0.0,
            warmup: count("warmup_steps").expect("steps"),
            end: number("end_lr"),
            power: number("power"),
            total: count("total_steps").expect("steps"),
        }
    }

    #[test]
    fn the_polynomial_is_the_originals_and_of_power_1_it_is_linear() {
        let Some(cases) = testing::shared_json("parity/metrics/lr_schedules.json") else { return };
        for case in cases["polynomial_decay"].as_array().expect("cases") {
            let mut kinds = vec![ScheduleKind::Polynomial];
            if case["power"] == 1.0 {
                kinds.push(ScheduleKind::Linear);
            }
            for kind in kinds {
                let schedule = schedule(kind, case);
                for (step, wanted) in case["lr"].as_array().expect("rates").iter().enumerate() {
                    let (found, wanted) = (schedule.rate(step), wanted.as_f64().expect("a rate"));
                    assert!((found - wanted).abs() < 1e-15, "step {step}: {found}, not {wanted}");
                }
            }
        }
    }

    fn rising(kind: ScheduleKind, warmup: usize) -> Schedule {
        Schedule { kind, rate: 0.1, cut: 0.1, warmup, end: 0.0, power: 1.0, total: 8 }
    }

    #[test]
    fn the_constant_rate_is_reached_in_equal_steps_and_kept() {
        let schedule = rising(ScheduleKind::Constant, 4);
        for (step, wanted) in [(1, 0.025), (2, 0.05), (3, 0.075), (4, 0.1), (5, 0.1), (8, 0.1)] {
            let found = schedule.rate(step);
            assert!((found - wanted).abs() < 1e-15, "step {step}: {found}, not {wanted}");
        }
        let found = rising(ScheduleKind::Constant, 0).rate(1);
        assert!((found - 0.1).abs() < 1e-15, "without a warm-up: {found}");
    }

    #[test]
    fn a_warm_up_beyond_the_end_is_told_with_both_numbers() {
        assert_eq!(rising(ScheduleKind::Linear, 8).warning(), None);
        let warning = rising(ScheduleKind::Linear, 10).warning().expect("a warning");
        assert!(warning.starts_with("`warmup_steps` is 10, but the training has 8 steps"));
        assert!(warning.contains("8.000e-2"), "{warning}");
    }

    #[test]
    fn one_step_alone_has_a_rate() {
        assert!((slanted(1, 1, 0.1, RATIO) - 1.0 / 32.0).abs() < 1e-15);
    }
}
