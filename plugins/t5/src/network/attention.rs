//! Attention's operations for candle: probabilities, and the bias by position.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, bail};
use deft_neural::Values;

use super::kernels::{self, Visible};
use super::ops::{gradient, last, slice};

/// Attention probabilities from scores `[batch, heads, queries, keys]`, with or without a position
/// bias `[heads, queries, keys]`.
#[derive(Debug, Clone)]
pub(crate) struct Attend {
    /// Keys of each batch entry that are no padding; `None` when all are real.
    pub(crate) lengths: Option<Arc<[usize]>>,
    /// Whether query `i` sees no later key; with fewer queries than keys, the queries are the last.
    pub(crate) causal: bool,
}

impl Attend {
    fn forward(&self, scores: &[f32], dims: &[usize], bias: &[f32]) -> Result<CpuStorage> {
        let &[_, heads, queries, keys] = dims else { bail!("attention scores of shape {dims:?}") };
        let mut out = vec![0.0; scores.len()];
        kernels::softmax_rows(scores, bias, keys, &mut out, &|row| {
            let length = self.lengths.as_ref().map_or(keys, |all| all[row / (heads * queries)]);
            let past = row % queries + 1 + (keys - queries.min(keys));
            Visible { keys: if self.causal { length.min(past) } else { length } }
        });
        Ok(CpuStorage::F32(out))
    }

    fn backward(probs: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let grad = grad.contiguous()?;
        let (values, grads) = (Values::of(probs), Values::of(&grad));
        let (values, grads) = (values.get()?, grads.get()?);
        let mut out = vec![0.0; values.len()];
        kernels::softmax_rows_backward(values, grads, last(probs.dims()), &mut out);
        Tensor::from_vec(out, probs.shape(), probs.device())
    }
}

impl CustomOp1 for Attend {
    fn name(&self) -> &'static str {
        "t5-attend"
    }

    fn cpu_fwd(&self, scores: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let out = self.forward(slice(scores, layout)?, layout.dims(), &[])?;
        Ok((out, layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, probs: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Self::backward(probs, grad).map(Some)
    }
}

impl CustomOp2 for Attend {
    fn name(&self) -> &'static str {
        "t5-attend-with-bias"
    }

    fn cpu_fwd(
        &self,
        scores: &CpuStorage,
        layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        if layout.dims()[1..] != *bias_layout.dims() {
            bail!("position bias {:?} for scores {:?}", bias_layout.dims(), layout.dims())
        }
        let bias = slice(bias, bias_layout)?;
        let out = self.forward(slice(scores, layout)?, layout.dims(), bias)?;
        Ok((out, layout.shape().clone()))
    }

    fn bwd(
        &self,
        scores: &Tensor,
        bias: &Tensor,
        probs: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad_scores = Self::backward(probs, grad)?;
        let values = Values::of(&grad_scores);
        let values = values.get()?;
        let grad_bias = gradient(bias, |sums| {
            values.chunks_exact(sums.len()).for_each(|entry| kernels::add_to(sums, entry));
        })?;
        Ok((scores.track_op().then(|| grad_scores.clone()), grad_bias))
    }
}

/// The position bias `[heads, queries, keys]` from the learned table `[buckets, heads]`.
///
/// It depends on `key − query` alone: each row is a window of one array over all distances.
#[derive(Debug)]
pub(crate) struct PositionBias {
    pub(crate) queries: usize,
    pub(crate) keys: usize,
    /// The bucket of each distance `key − query`, from `1 − queries` to `keys − 1`.
    pub(crate) buckets: Vec<usize>,
}

impl PositionBias {
    /// Where the window of a query starts among the distances.
    fn window(&self, query: usize) -> usize {
        self.queries - 1 - query
    }
}

impl CustomOp1 for PositionBias {
    fn name(&self) -> &'static str {
        "t5-position-bias"
    }

    fn cpu_fwd(&self, table: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, heads) = layout.shape().dims2()?;
        let table = slice(table, layout)?;
        let mut out = Vec::with_capacity(heads * self.queries * self.keys);
        for head in 0..heads {
            let values: Vec<f32> = self.buckets.iter().map(|b| table[b * heads + head]).collect();
            for query in 0..self.queries {
                out.extend_from_slice(&values[self.window(query)..][..self.keys]);
            }
        }
        Ok((CpuStorage::F32(out), Shape::from((heads, self.queries, self.keys))))
    }

    fn bwd(&self, table: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (_, heads) = table.dims2()?;
        let grad = grad.contiguous()?;
        let grads = Values::of(&grad);
        let mut out = vec![0.0; table.elem_count()];
        for (head, grads) in grads.get()?.chunks_exact(self.queries * self.keys).enumerate() {
            let mut by_distance = vec![0.0; self.buckets.len()];
            for (query, row) in grads.chunks_exact(self.keys).enumerate() {
                kernels::add_to(&mut by_distance[self.window(query)..][..self.keys], row);
            }
            for (value, bucket) in by_distance.iter().zip(&self.buckets) {
                out[bucket * heads + head] += value;
            }
        }
        Tensor::from_vec(out, table.shape(), table.device()).map(Some)
    }
}
