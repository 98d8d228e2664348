//! Adafactor (Shazeer and Stern, 2018) as transformers computes it with `relative_step=False`: a
//! matrix's squares are remembered by row and column alone.

use crate::network::kernels::Limits;

/// Added to squares.
const EPSILON: f64 = 1e-30;
/// The smallest size of a parameter that the learning rate is a share of.
pub(crate) const MIN_SIZE: f64 = 1e-3;
/// An update's root mean square is limited to this.
const CLIP: f64 = 1.0;
/// The squares' memory grows with the step to this power.
const DECAY: f64 = -0.8;

/// What the options say.
#[derive(Debug)]
pub(crate) struct Adafactor {
    pub(super) weight_decay: f64,
    /// Whether the rate is a share of the parameter's root mean square.
    pub(super) scale_parameter: bool,
}

/// The numbers of one step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AdafactorUpdate {
    pub(crate) limits: Limits,
    pub(crate) rate: f64,
    /// Share of what was remembered that stays.
    pub(crate) beta_2: f64,
    pub(crate) weight_decay: f64,
    pub(crate) scale_parameter: bool,
}

impl Adafactor {
    pub(super) fn update(&self, step: usize, rate: f64, limits: Limits) -> AdafactorUpdate {
        AdafactorUpdate {
            limits,
            rate,
            beta_2: 1.0 - (step as f64).powf(DECAY),
            weight_decay: self.weight_decay,
            scale_parameter: self.scale_parameter,
        }
    }
}

/// One step in main memory; `normalise` divides the gradient by the root of its squares. The
/// gradient is zero afterwards.
#[expect(clippy::cast_possible_truncation, reason = "parameters are f32")]
pub(super) fn host(
    update: &AdafactorUpdate,
    values: &mut [f32],
    gradient: &mut [f32],
    normalise: impl FnOnce(&mut [f32]),
) {
    for g in gradient.iter_mut() {
        *g = update.limits.apply(*g);
    }
    let size = if update.scale_parameter { mean_square(values).sqrt().max(MIN_SIZE) } else { 1.0 };
    let rate = update.rate * size;
    normalise(gradient);
    let step = (rate / (mean_square(gradient).sqrt() / CLIP).max(1.0)) as f32;
    let decay = (1.0 - rate * update.weight_decay) as f32;
    for (value, change) in values.iter_mut().zip(gradient) {
        *value = *value * decay - *change * step;
        *change = 0.0;
    }
}

/// Divides a matrix by the root of its squares as rows and columns tell them.
#[expect(clippy::cast_possible_truncation, reason = "parameters are f32")]
pub(super) fn normalise_matrix(
    update: &AdafactorUpdate,
    gradient: &mut [f32],
    rows: &mut [f32],
    columns: &mut [f32],
) {
    let width = columns.len();
    let mut column_sums = vec![0.0; width];
    for (row, mean) in gradient.chunks_exact(width).zip(rows.iter_mut()) {
        let mut sum = 0.0;
        for (g, column) in row.iter().zip(&mut column_sums) {
            let square = f64::from(*g) * f64::from(*g) + EPSILON;
            sum += square;
            *column += square;
        }
        remember(update, mean, sum / width as f64);
    }
    let height = rows.len() as f64;
    columns
        .iter_mut()
        .zip(column_sums)
        .for_each(|(mean, sum)| remember(update, mean, sum / height));
    let mean = rows.iter().copied().map(f64::from).sum::<f64>() / height;
    let scales: Vec<f64> = columns.iter().map(|column| f64::from(*column).sqrt().recip()).collect();
    for (row, square) in gradient.chunks_exact_mut(width).zip(rows) {
        let scale = (mean / f64::from(*square)).sqrt();
        for (g, column) in row.iter_mut().zip(&scales) {
            *g = (f64::from(*g) * scale * column) as f32;
        }
    }
}

/// Divides a vector by the root of its squares.
#[expect(clippy::cast_possible_truncation, reason = "parameters are f32")]
pub(super) fn normalise(update: &AdafactorUpdate, gradient: &mut [f32], square: &mut [f32]) {
    for (g, mean) in gradient.iter_mut().zip(square) {
        remember(update, mean, f64::from(*g) * f64::from(*g) + EPSILON);
        *g = (f64::from(*g) / f64::from(*mean).sqrt()) as f32;
    }
}

#[expect(clippy::cast_possible_truncation, reason = "moments are f32")]
fn remember(update: &AdafactorUpdate, mean: &mut f32, next: f64) {
    *mean = (f64::from(*mean) * update.beta_2 + next * (1.0 - update.beta_2)) as f32;
}

fn mean_square(values: &[f32]) -> f64 {
    let sum: f64 = values.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    sum / values.len() as f64
}
