//! Optimizers, in place on the parameters.

mod adafactor;
mod adam;

use candle_core::Var;
use deft_neural::in_place;

use crate::config::{self, TrainerConfig};
use crate::network::kernels::{AdamUpdate, Limits};

use adafactor::{Adafactor, AdafactorUpdate};
use adam::Adam;

/// A parameter's gradient and what its optimizer remembers of earlier ones.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Summed over the micro-batches of a step; zero between steps.
    pub(crate) gradient: Vec<f32>,
    pub(crate) moments: Moments,
}

/// What an optimizer remembers of a parameter's gradients.
#[derive(Debug)]
pub(crate) enum Moments {
    /// Running means of the gradient and of its square.
    Adam { mean: Vec<f32>, square: Vec<f32> },
    /// Running means of the square over each row and each column of a matrix.
    Factored { rows: Vec<f32>, columns: Vec<f32> },
    /// The running mean of the square, of a vector.
    Unfactored { square: Vec<f32> },
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
    pub(crate) fn slot(&self, dims: &[usize]) -> Slot {
        let count = dims.iter().product();
        let zeros = |count: usize| vec![0.0; count];
        let moments = match (self, dims) {
            (Self::Adam(_), _) => Moments::Adam { mean: zeros(count), square: zeros(count) },
            (Self::Adafactor(_), [rows, columns]) => {
                Moments::Factored { rows: zeros(*rows), columns: zeros(*columns) }
            }
            (Self::Adafactor(_), _) => Moments::Unfactored { square: zeros(count) },
        };
        Slot { gradient: zeros(count), moments }
    }
}

impl Slot {
    /// Applies the gradient and sets it back to zero.
    pub(crate) fn apply(&mut self, variable: &Var, update: &Update) {
        let Self { gradient, moments } = self;
        in_place(variable.as_tensor(), |values| match update {
            Update::Adam(update) => adam::apply(update, values, gradient, moments),
            Update::Adafactor(update) => adafactor::apply(update, values, gradient, moments),
        })
        .expect("a variable is contiguous, of f32 and in main memory");
    }

    /// The sum of the gradient's squares.
    pub(crate) fn squares(&self) -> f64 {
        self.gradient.iter().map(|&g| f64::from(g) * f64::from(g)).sum()
    }
}

impl Moments {
    /// The arrays with their names in a checkpoint.
    pub(crate) fn arrays(&self) -> [Option<(&'static str, &Vec<f32>)>; 2] {
        match self {
            Self::Adam { mean, square } => [Some(("mean", mean)), Some(("square", square))],
            Self::Factored { rows, columns } => [Some(("rows", rows)), Some(("columns", columns))],
            Self::Unfactored { square } => [Some(("square", square)), None],
        }
    }

    /// The same to be written to.
    pub(crate) fn arrays_mut(&mut self) -> [Option<(&'static str, &mut Vec<f32>)>; 2] {
        match self {
            Self::Adam { mean, square } => [Some(("mean", mean)), Some(("square", square))],
            Self::Factored { rows, columns } => [Some(("rows", rows)), Some(("columns", columns))],
            Self::Unfactored { square } => [Some(("square", square)), None],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Tensor};
    use serde_json::{Value, json};

    const RATE: f64 = 0.01;

    fn optimizer(options: &Value) -> Optimizer {
        let mut all = json!({"model": "m"});
        for (key, value) in options.as_object().expect("an object") {
            all[key] = value.clone();
        }
        Optimizer::new(&deft_core::options::parse(&all).expect("options"))
    }

    /// The gradients of three steps, from 1e-9 to 10.
    fn gradients(count: usize) -> Vec<Vec<f64>> {
        let gradient = |step: usize, at: usize| {
            let size = 10_f64.powi(i32::try_from(at % 11).expect("small") - 9);
            size * ((step * 31 + at * 17) as f64 % 7.0 - 3.2)
        };
        (0..3).map(|step| (0..count).map(|at| gradient(step, at)).collect()).collect()
    }

    /// The values after three steps from numbers around 1.
    #[expect(clippy::cast_possible_truncation, reason = "gradients are f32")]
    fn steps(optimizer: &Optimizer, dims: &[usize], clip: f32) -> Vec<f32> {
        let count = dims.iter().product();
        let start = (0..count).map(|at| 1.0 + at as f32 / 8.0).collect();
        let tensor = Tensor::from_vec(start, dims, &Device::Cpu).expect("a tensor");
        let variable = Var::from_tensor(&tensor).expect("a variable");
        let mut slot = optimizer.slot(dims);
        for (step, gradient) in gradients(count).iter().enumerate() {
            slot.gradient = gradient.iter().map(|&g| g as f32).collect();
            let update = optimizer.update(step + 1, RATE, Limits { scale: 1.0, clip });
            slot.apply(&variable, &update);
            assert!(slot.gradient.iter().all(|&g| g == 0.0));
        }
        variable.as_tensor().flatten_all().and_then(|t| t.to_vec1()).expect("values")
    }

    fn assert_near(found: &[f32], wanted: &[f64]) {
        for (at, (found, wanted)) in found.iter().zip(wanted).enumerate() {
            let off = (f64::from(*found) - wanted).abs();
            assert!(off < 1e-3 * RATE, "[{at}]: {found}, not {wanted}");
        }
    }

    /// Adam by the book, in f64.
    fn adam(count: usize, decay: f64, clip: f64) -> Vec<f64> {
        let all = gradients(count);
        let value = |at: usize| {
            let (mut value, mut mean, mut square) = (1.0 + at as f64 / 8.0, 0.0, 0.0);
            for (step, gradient) in (1..).zip(&all) {
                let g = gradient[at].clamp(-clip, clip);
                mean = 0.9 * mean + 0.1 * g;
                square = 0.999 * square + 0.001 * g * g;
                let (mean, square) =
                    (mean / (1.0 - 0.9_f64.powi(step)), square / (1.0 - 0.999_f64.powi(step)));
                value -= RATE * decay * value + RATE * mean / (square.sqrt() + 1e-8);
            }
            value
        };
        (0..count).map(value).collect()
    }

    #[test]
    fn adam_and_adamw_are_those_of_the_papers() {
        let found = steps(&optimizer(&json!({})), &[22], f32::INFINITY);
        assert_near(&found, &adam(22, 0.0, f64::INFINITY));
        let found = steps(&optimizer(&json!({"optimizer": "adamw"})), &[22], 0.01);
        assert_near(&found, &adam(22, 0.01, 0.01));
    }

    /// Adafactor by the book, in f64, its squares as a matrix.
    fn adafactor(rows: usize, columns: usize) -> Vec<f64> {
        let rms = |x: &[f64]| (x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64).sqrt();
        let mut values: Vec<f64> = (0..rows * columns).map(|at| 1.0 + at as f64 / 8.0).collect();
        let (mut of_rows, mut of_columns) = (vec![0.0; rows], vec![0.0; columns]);
        for (step, gradient) in (1..).zip(gradients(rows * columns)) {
            let beta = 1.0 - f64::from(step).powf(-0.8);
            let square =
                |row: usize, column: usize| gradient[row * columns + column].powi(2) + 1e-30;
            for (row, mean) in of_rows.iter_mut().enumerate() {
                let sum: f64 = (0..columns).map(|column| square(row, column)).sum();
                *mean = beta * *mean + (1.0 - beta) * sum / columns as f64;
            }
            for (column, mean) in of_columns.iter_mut().enumerate() {
                let sum: f64 = (0..rows).map(|row| square(row, column)).sum();
                *mean = beta * *mean + (1.0 - beta) * sum / rows as f64;
            }
            let mean = of_rows.iter().sum::<f64>() / rows as f64;
            let update: Vec<f64> = (0..rows * columns)
                .map(|at| {
                    let square = of_rows[at / columns] * of_columns[at % columns] / mean;
                    gradient[at] / square.sqrt()
                })
                .collect();
            let rate = RATE * rms(&values).max(1e-3) / rms(&update).max(1.0);
            values.iter_mut().zip(update).for_each(|(value, update)| *value -= rate * update);
        }
        values
    }

    #[test]
    fn adafactor_is_that_of_the_paper() {
        let found = steps(&optimizer(&json!({"optimizer": "adafactor"})), &[4, 6], f32::INFINITY);
        assert_near(&found, &adafactor(4, 6));
        // The vectors of IA3 are matrices of one column.
        let found = steps(&optimizer(&json!({"optimizer": "adafactor"})), &[12, 1], f32::INFINITY);
        assert_near(&found, &adafactor(12, 1));
    }
}
