//! The loss as an operation for candle.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::kernels;
use super::ops::{Values, slice};

/// The mean cross entropy of logits `[rows, vocabulary]` with the wanted ids, a scalar.
///
/// Backward computes the softmax again from the logits, so that no second array of their size
/// lives between the passes.
#[derive(Debug)]
pub(crate) struct CrossEntropy {
    /// The wanted id of each row; `None` where the row does not count.
    pub(crate) labels: Vec<Option<u32>>,
}

impl CrossEntropy {
    fn count(&self) -> f32 {
        self.labels.iter().flatten().count() as f32
    }
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "t5-cross-entropy"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, width) = layout.shape().dims2()?;
        if rows != self.labels.len() {
            bail!("{rows} rows of logits for {} labels", self.labels.len())
        }
        let logits = slice(logits, layout)?;
        let mut sum = 0.0;
        for (row, label) in logits.chunks_exact(width).zip(&self.labels) {
            if let &Some(label) = label {
                sum += f64::from(kernels::log_sum_exp_rows(row, width)[0] - row[label as usize]);
            }
        }
        #[expect(clippy::cast_possible_truncation, reason = "a loss is a f32 like everything else")]
        let mean = (sum / f64::from(self.count())) as f32;
        Ok((CpuStorage::F32(vec![mean]), Shape::from(())))
    }

    fn bwd(&self, logits: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (_, width) = logits.dims2()?;
        let factor = grad.to_scalar::<f32>()? / self.count();
        let values = Values::of(logits);
        let mut out = vec![0.0; logits.elem_count()];
        let rows = values.get()?.chunks_exact(width).zip(out.chunks_exact_mut(width));
        for ((row, out), label) in rows.zip(&self.labels) {
            if let &Some(label) = label {
                let log_sum = kernels::log_sum_exp_rows(row, width)[0];
                kernels::scaled_softmax(row, log_sum, factor, out);
                out[label as usize] -= factor;
            }
        }
        Tensor::from_vec(out, logits.shape(), logits.device()).map(Some)
    }
}
