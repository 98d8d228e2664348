//! Optimizers, in place on the parameters.
//!
//! There are two ways to take a step, which agree up to rounding: [`Slot::host`] in main memory, with
//! loops over the values of all arrays at once, and [`Slot::composed`] on any device, in candle's
//! operations.

mod adafactor;
mod adam;
mod in_place;
#[cfg(test)]
mod tests;

use candle_core::{DType, Result, Tensor, Var, bail};

use crate::config::{self, TrainerConfig};
use crate::network::kernels::{self, AdamUpdate, Limits};
use crate::network::ops::is_host;

use adafactor::{Adafactor, AdafactorUpdate};
use adam::Adam;
use in_place::all_in_place;

/// A parameter's gradient and what its optimizer remembers of earlier ones: in f32, where the
/// parameter is, and shared with nobody.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Summed over the micro-batches of a step; zero between steps.
    pub(crate) gradient: Tensor,
    pub(crate) moments: Moments,
}

/// What an optimizer remembers of a parameter's gradients.
#[derive(Debug)]
pub(crate) enum Moments {
    /// Running means of the gradient and of its square.
    Adam { mean: Tensor, square: Tensor },
    /// Running means of the square over each row and each column of a matrix.
    Factored { rows: Tensor, columns: Tensor },
    /// The running mean of the square, of a vector.
    Unfactored { square: Tensor },
}

/// The optimizer: what the options say.
#[derive(Debug)]
pub(crate) enum Optimizer {
    Adam(Adam),
    Adafactor(Adafactor),
}

/// The numbers of one step.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Update {
    Adam(AdamUpdate),
    Adafactor(AdafactorUpdate),
}

impl Optimizer {
    pub(crate) fn new(config: &TrainerConfig) -> Self {
        let decay = config.weight_decay;
        match config.optimizer {
            config::Optimizer::Adam => Self::Adam(Adam { weight_decay: 0.0 }),
            config::Optimizer::Adamw => {
                Self::Adam(Adam { weight_decay: decay.unwrap_or(adam::WEIGHT_DECAY) })
            }
            config::Optimizer::Adafactor => Self::Adafactor(Adafactor {
                weight_decay: decay.unwrap_or(0.0),
                scale_parameter: config.scale_parameter.unwrap_or(true),
            }),
        }
    }

    /// The numbers of a step, counted from 1, at a learning rate.
    pub(crate) fn update(&self, step: usize, rate: f64, limits: Limits) -> Update {
        match self {
            Self::Adam(adam) => Update::Adam(adam.update(step, rate, limits)),
            Self::Adafactor(adafactor) => Update::Adafactor(adafactor.update(step, rate, limits)),
        }
    }

    /// A parameter of which nothing is known yet.
    pub(crate) fn slot(&self, parameter: &Tensor) -> Result<Slot> {
        let dims = parameter.dims();
        let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, parameter.device());
        let moments = match (self, dims) {
            (Self::Adam(_), _) => Moments::Adam { mean: zeros(dims)?, square: zeros(dims)? },
            (Self::Adafactor(_), &[rows, columns]) => {
                Moments::Factored { rows: zeros(&[rows])?, columns: zeros(&[columns])? }
            }
            (Self::Adafactor(_), _) => Moments::Unfactored { square: zeros(dims)? },
        };
        Ok(Slot { gradient: zeros(dims)?, moments })
    }
}

impl Slot {
    /// Applies the gradient to the parameter, which is f32, and sets it back to zero.
    pub(crate) fn apply(&mut self, parameter: &Var, update: &Update) -> Result<()> {
        if is_host(parameter.as_tensor()) {
            self.host(parameter, update)
        } else {
            self.composed(parameter, update)
        }
    }

    /// A step in main memory.
    fn host(&mut self, parameter: &Var, update: &Update) -> Result<()> {
        let (values, gradient) = (parameter.as_tensor(), &self.gradient);
        match (&self.moments, update) {
            (Moments::Adam { mean, square }, Update::Adam(update)) => {
                let step = |[values, gradient, mean, square]: [&mut [f32]; 4]| {
                    kernels::adam(values, gradient, mean, square, update);
                };
                all_in_place([values, gradient, mean, square], step)
            }
            (Moments::Factored { rows, columns }, Update::Adafactor(update)) => {
                let step = |[values, gradient, rows, columns]: [&mut [f32]; 4]| {
                    adafactor::host(update, values, gradient, |gradient| {
                        adafactor::normalise_matrix(update, gradient, rows, columns);
                    });
                };
                all_in_place([values, gradient, rows, columns], step)
            }
            (Moments::Unfactored { square }, Update::Adafactor(update)) => {
                let step = |[values, gradient, square]: [&mut [f32]; 3]| {
                    adafactor::host(update, values, gradient, |gradient| {
                        adafactor::normalise(update, gradient, square);
                    });
                };
                all_in_place([values, gradient, square], step)
            }
            _ => another_optimizers(),
        }
    }

    /// A step on any device.
    fn composed(&mut self, parameter: &Var, update: &Update) -> Result<()> {
        // Detached: candle would keep a graph of the step.
        let (values, gradient) = (&parameter.as_detached_tensor(), &self.gradient);
        let new_values = match (&mut self.moments, update) {
            (Moments::Adam { mean, square }, Update::Adam(update)) => {
                adam::composed(update, values, gradient, mean, square)?
            }
            (Moments::Factored { rows, columns }, Update::Adafactor(update)) => {
                adafactor::composed(update, values, gradient, |gradient| {
                    adafactor::normalised_matrix(update, gradient, rows, columns)
                })?
            }
            (Moments::Unfactored { square }, Update::Adafactor(update)) => {
                adafactor::composed(update, values, gradient, |gradient| {
                    adafactor::normalised(update, gradient, square)
                })?
            }
            _ => return another_optimizers(),
        };
        parameter.set(&new_values)?;
        self.gradient.zero_set()
    }
}

/// The gradient as it is used: the sum itself where nothing is limited.
fn limited(gradient: &Tensor, Limits { scale, clip }: Limits) -> Result<Tensor> {
    let scaled = if scale < 1.0 { (gradient * f64::from(scale))? } else { gradient.clone() };
    if clip.is_finite() { scaled.clamp(-f64::from(clip), f64::from(clip)) } else { Ok(scaled) }
}

/// What only a defect of ours explains.
fn another_optimizers() -> Result<()> {
    bail!("a parameter has the moments of another optimizer")
}

impl Moments {
    /// The arrays with their names in a checkpoint.
    pub(crate) fn arrays(&self) -> [Option<(&'static str, &Tensor)>; 2] {
        match self {
            Self::Adam { mean, square } => [Some(("mean", mean)), Some(("square", square))],
            Self::Factored { rows, columns } => [Some(("rows", rows)), Some(("columns", columns))],
            Self::Unfactored { square } => [Some(("square", square)), None],
        }
    }

    /// The same to be written to.
    pub(crate) fn arrays_mut(&mut self) -> [Option<(&'static str, &mut Tensor)>; 2] {
        match self {
            Self::Adam { mean, square } => [Some(("mean", mean)), Some(("square", square))],
            Self::Factored { rows, columns } => [Some(("rows", rows)), Some(("columns", columns))],
            Self::Unfactored { square } => [Some(("square", square)), None],
        }
    }
}
