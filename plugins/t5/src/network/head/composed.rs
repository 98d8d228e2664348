//! Loss and gradients in candle's operations, on any device and in any numbers.
//!
//! Products are in the numbers of the states, all that is made of logits is in f32. The sum of
//! exponentials is taken of f32, and the label's 1 is taken off its probability before this is
//! rounded to the numbers of the states: what is learned almost by heart has a gradient as precise as
//! all else.

use candle_core::{DType, Result, Tensor};

use super::{HeadLoss, HeadRows};
use crate::network::ops::{add_to, product};

/// Logits that are there at once: 64 MB in f32. At the peak there are four arrays of them, some
/// 256 MB. In tests less, so that there are several chunks.
const LOGITS: usize = if cfg!(test) { 1 << 18 } else { 16 << 20 };

/// The loss of states: see [`HeadLoss::new`].
pub(super) fn loss(
    states: &Tensor,
    weight: &Tensor,
    labels: Vec<u32>,
    factor: f32,
) -> Result<HeadLoss> {
    let (count, factors) = (states.dim(0)?, vec![factor; labels.len()]);
    let wanted = Wanted::new(&labels, &factors, states)?;
    let (mut losses, mut all_sums, mut gradients) = (Vec::new(), Vec::new(), Vec::new());
    for (first, rows) in chunks(count, weight)? {
        let wanted = wanted.narrow(first, rows)?;
        let logits = logits(&states.narrow(0, first, rows)?, weight)?;
        let log_sums = logits.log_sum_exp(1)?;
        losses.push((&log_sums - logits.gather(&wanted.labels, 1)?.squeeze(1)?)?);
        let errors = wanted.errors(&logits, &log_sums)?;
        // Memory for the next arrays.
        drop(logits);
        gradients.push(product(&errors.to_dtype(states.dtype())?, weight)?);
        all_sums.push(log_sums);
    }
    // The one number that is waited for.
    let loss: f64 = Tensor::cat(&losses, 0)?.to_dtype(DType::F64)?.sum_all()?.to_scalar()?;
    let log_sums = Tensor::cat(&all_sums, 0)?;
    let rows = HeadRows { states: states.clone(), labels, log_sums, factors };
    Ok(HeadLoss { loss: loss * f64::from(factor), gradient: Tensor::cat(&gradients, 0)?, rows })
}

/// Adds the gradient of the whole output layer: see [`HeadRows::add_whole`].
///
/// At the peak there are, beside a chunk's logits, the layer's gradient in the numbers of the states
/// and what it takes to add it.
pub(super) fn add_whole(of: &HeadRows, weight: &Tensor, sum: &mut Tensor) -> Result<()> {
    let wanted = Wanted::new(&of.labels, &of.factors, &of.states)?;
    for (first, rows) in chunks(of.labels.len(), weight)? {
        let states = of.states.narrow(0, first, rows)?;
        let errors = wanted
            .narrow(first, rows)?
            .errors(&logits(&states, weight)?, &of.log_sums.narrow(0, first, rows)?)?
            .to_dtype(states.dtype())?;
        add_to(sum, &product(&errors.t()?, &states)?)?;
    }
    Ok(())
}

/// What is wanted of some rows, where the states are.
struct Wanted {
    /// `[rows, 1]`.
    labels: Tensor,
    /// What each row's share of the loss is multiplied with: `[rows, 1]`.
    factors: Tensor,
}

impl Wanted {
    fn new(labels: &[u32], factors: &[f32], states: &Tensor) -> Result<Self> {
        let (shape, device) = ((labels.len(), 1), states.device());
        Ok(Self {
            labels: Tensor::from_slice(labels, shape, device)?,
            factors: Tensor::from_slice(factors, shape, device)?,
        })
    }

    /// The same of some of the rows.
    fn narrow(&self, first: usize, rows: usize) -> Result<Self> {
        let narrow = |tensor: &Tensor| tensor.narrow(0, first, rows);
        Ok(Self { labels: narrow(&self.labels)?, factors: narrow(&self.factors)? })
    }

    /// What the loss's gradient is of each logit: `(probability − 1 of the wanted id) · factor`.
    fn errors(&self, logits: &Tensor, log_sums: &Tensor) -> Result<Tensor> {
        let probs = logits.broadcast_sub(&log_sums.unsqueeze(1)?)?.exp()?;
        let errors = probs.broadcast_mul(&self.factors)?;
        errors.scatter_add_set(&self.labels, &self.factors.neg()?, 1)?;
        Ok(errors)
    }
}

/// The first row and the number of rows of each chunk whose logits are there at once.
fn chunks(count: usize, weight: &Tensor) -> Result<impl Iterator<Item = (usize, usize)>> {
    let at_once = (LOGITS / weight.dim(0)?).max(1);
    Ok((0..count).step_by(at_once).map(move |first| (first, at_once.min(count - first))))
}

/// The logits of some states, in f32.
fn logits(states: &Tensor, weight: &Tensor) -> Result<Tensor> {
    product(states, &weight.t()?)?.to_dtype(DType::F32)
}
