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

    #[test]
    fn one_step_alone_has_a_rate() {
        assert!((slanted(1, 1, 0.1, RATIO) - 1.0 / 32.0).abs() < 1e-15);
    }
}
