//! Adam (Kingma and Ba, 2014) and `AdamW` (Loshchilov and Hutter, 2017), as `PyTorch` computes them.

use crate::network::kernels::{AdamUpdate, Limits};

/// Adam's usual constants.
const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPSILON: f64 = 1e-8;
/// The default of `AdamW`.
pub(super) const WEIGHT_DECAY: f64 = 0.01;

/// Adam; with a weight decay it is `AdamW`.
#[derive(Debug)]
pub(crate) struct Adam {
    pub(super) weight_decay: f64,
}

impl Adam {
    #[expect(clippy::cast_possible_truncation, reason = "parameters are f32")]
    pub(super) fn update(&self, step: usize, rate: f64, limits: Limits) -> AdamUpdate {
        let correction = |beta: f64| 1.0 - beta.powf(step as f64);
        AdamUpdate {
            limits,
            decay: (1.0 - rate * self.weight_decay) as f32,
            new_mean: (1.0 - BETA_1) as f32,
            old_square: BETA_2 as f32,
            new_square: (1.0 - BETA_2) as f32,
            step: (rate / correction(BETA_1)) as f32,
            root_bias: correction(BETA_2).sqrt() as f32,
            epsilon: EPSILON as f32,
        }
    }
}
