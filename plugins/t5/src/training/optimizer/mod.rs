//! Optimizers, in place on the parameters.
//!
//! There are two ways to take a step, which agree up to rounding: [`Slot::host`] in main memory, and
//! [`Slot::on_gpu`] with [`gpu_kernels`]. Both go over the values of all arrays at once.

pub(crate) mod adafactor;
mod adam;
mod in_place;
#[cfg(test)]
mod tests;

use candle_core::{DType, Result, Tensor, Var, bail};

use crate::config::{self, TrainerConfig};
use crate::gpu_kernels::{self, Targets};
use crate::network::kernels::{self, AdamUpdate, Limits};

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
    /// Applies the gradient to values in main memory, and sets it back to zero.
    pub(crate) fn host(&mut self, parameter: &Var, update: &Update) -> Result<()> {
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

    /// The same on a GPU; `working` gets the new values rounded, if there is such a copy.
    pub(crate) fn on_gpu(
        &mut self,
        parameter: &Var,
        working: Option<&Var>,
        update: &Update,
    ) -> Result<()> {
        let on = Targets {
            values: parameter.as_tensor(),
            working: working.map(Var::as_tensor),
            gradient: &self.gradient,
        };
        match (&self.moments, update) {
            (Moments::Adam { mean, square }, Update::Adam(update)) => {
                gpu_kernels::adam(on, mean, square, update)
            }
            (Moments::Factored { rows, columns }, Update::Adafactor(update)) => {
                gpu_kernels::adafactor_matrix(on, rows, columns, update)
            }
            (Moments::Unfactored { square }, Update::Adafactor(update)) => {
                gpu_kernels::adafactor_vector(on, square, update)
            }
            _ => another_optimizers(),
        }
    }
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
