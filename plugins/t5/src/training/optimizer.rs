//! Adam and `AdamW`, in place on the parameters.

use candle_core::Var;
use deft_core::Result;

use crate::config::{Optimizer, TrainerConfig};
use crate::model::defect;
use crate::network::kernels::{self, AdamUpdate};
use crate::network::ops::in_place;

/// Adam's usual constants.
const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// A parameter's gradient and the running means of it.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Summed over the micro-batches of a step; zero between steps.
    pub(crate) gradient: Vec<f32>,
    mean: Vec<f32>,
    square: Vec<f32>,
}

impl Slot {
    pub(crate) fn new(variable: &Var) -> Self {
        let zeros = || vec![0.0; variable.elem_count()];
        Self { gradient: zeros(), mean: zeros(), square: zeros() }
    }

    /// Applies the gradient and sets it back to zero.
    pub(crate) fn update(&mut self, variable: &Var, update: &AdamUpdate) -> Result<()> {
        let Self { gradient, mean, square } = self;
        let step = |values: &mut [f32]| kernels::adam(values, gradient, mean, square, update);
        in_place(variable.as_tensor(), step).map_err(|e| defect(&e))
    }
}

/// The optimizer: which step it is and what the options say.
#[derive(Debug)]
pub(crate) struct Adam {
    steps: i32,
    weight_decay: f64,
    clip: Option<f64>,
}

impl Adam {
    pub(crate) fn new(config: &TrainerConfig) -> Self {
        let weight_decay = match config.optimizer {
            Optimizer::Adam => 0.0,
            Optimizer::Adamw => config.weight_decay,
        };
        Self { steps: 0, weight_decay, clip: config.clip_value }
    }

    /// The next step at a learning rate, as `PyTorch` computes it.
    #[expect(clippy::cast_possible_truncation, reason = "parameters are f32")]
    pub(crate) fn step(&mut self, rate: f64) -> AdamUpdate {
        self.steps += 1;
        let (bias_1, bias_2) = (1.0 - BETA_1.powi(self.steps), 1.0 - BETA_2.powi(self.steps));
        AdamUpdate {
            clip: self.clip.map_or(f32::INFINITY, |clip| clip as f32),
            decay: (1.0 - rate * self.weight_decay) as f32,
            beta_1: BETA_1 as f32,
            beta_2: BETA_2 as f32,
            step: (rate / bias_1) as f32,
            root_bias: bias_2.sqrt() as f32,
            epsilon: EPSILON as f32,
        }
    }
}
