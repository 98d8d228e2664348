//! Attention's operations: probabilities, and the bias by position.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, CustomOp2, D, Layout, Result, Shape, Tensor, bail};
use deft_neural::Values;

use super::Lengths;
use super::kernels::{self, Visible};
use super::ops::{Composed1, Composed2, Way, gradient, is_host, last, slice, wanted, wide};
use crate::gpu_kernels;

/// Attention probabilities from scores `[batch, heads, queries, keys]`, with or without a position
/// bias `[heads, queries, keys]`.
#[derive(Debug, Clone)]
pub(crate) struct Attend {
    /// Keys of each batch entry that are no padding; `None` when all are real.
    pub(crate) lengths: Option<Arc<Lengths>>,
    /// Whether query `i` sees no later key; with fewer queries than keys, the queries are the last.
    /// But in the fused form it is the bias that hides these: see [`PositionBias::hidden_from`].
    pub(crate) causal: bool,
}

impl Attend {
    fn fused(&self, scores: &[f32], dims: &[usize], bias: &[f32]) -> Result<CpuStorage> {
        let &[_, heads, queries, keys] = dims else { bail!("attention scores of shape {dims:?}") };
        let mut out = vec![0.0; scores.len()];
        kernels::softmax_rows(scores, bias, keys, &mut out, &|row| {
            let length = self.lengths.as_ref().map_or(keys, |all| all[row / (heads * queries)]);
            let past = row % queries + 1 + (keys - queries.min(keys));
            Visible { keys: if self.causal { length.min(past) } else { length } }
        });
        Ok(CpuStorage::F32(out))
    }

    fn fused_backward(probs: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let grad = grad.contiguous()?;
        let (values, grads) = (Values::of(probs), Values::of(&grad));
        let (values, grads) = (values.get()?, grads.get()?);
        let mut out = vec![0.0; values.len()];
        kernels::softmax_rows_backward(values, grads, last(probs.dims()), &mut out);
        Tensor::from_vec(out, probs.shape(), probs.device())
    }

    /// The probabilities in any other form than the fused one.
    fn probabilities(&self, scores: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        if bias.is_none() && self.causal && scores.dim(2)? > 1 {
            bail!("a causal attention has a bias")
        }
        if !gpu_kernels::are_for(scores) {
            return self.composed(scores, bias);
        }
        let lengths = self.lengths.as_ref().map(|all| all.on(scores.device())).transpose()?;
        gpu_kernels::attend(scores, bias, lengths.as_ref())
    }

    /// Of dimensions candle's kernels compute each number's place: the fewer, the faster.
    fn composed(&self, scores: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        let (inputs, heads, queries, keys) = scores.dims4()?;
        let x = match bias {
            Some(bias) => {
                let all = heads * queries * keys;
                let bias = bias.contiguous()?.reshape((1, all))?;
                scores.contiguous()?.reshape((inputs, all))?.broadcast_add(&bias)?
            }
            None => scores.contiguous()?,
        };
        let x = x.reshape((inputs, heads * queries, keys))?;
        let x = match &self.lengths {
            Some(lengths) => x.broadcast_add(&lengths.mask(keys, &x)?)?,
            None => x,
        };
        let probs = candle_nn::ops::softmax_last_dim(&wide(&x)?)?;
        probs.to_dtype(scores.dtype())?.reshape(scores.shape())
    }

    /// The gradient of the scores, of the type that sums are made in.
    fn composed_backward(probs: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let rows = ((), last(probs.dims()));
        let (probs_of_rows, grad) = (wide(probs)?.reshape(rows)?, wide(grad)?.reshape(rows)?);
        let dot = (&probs_of_rows * &grad)?.sum_keepdim(D::Minus1)?;
        (probs_of_rows * grad.broadcast_sub(&dot)?)?.reshape(probs.shape())
    }
}

/// What is added to the score of a key.
pub(super) fn hidden(is_hidden: bool) -> f32 {
    if is_hidden { f32::NEG_INFINITY } else { 0.0 }
}

impl Composed1 for Attend {
    fn forward(&self, scores: &Tensor) -> Result<Tensor> {
        self.probabilities(scores, None)
    }

    fn backward(&self, scores: &Tensor, probs: &Tensor, grad: &Tensor) -> Result<Tensor> {
        if gpu_kernels::are_for(probs) {
            return Ok(gpu_kernels::attend_backward(probs, grad, false)?.0);
        }
        Self::composed_backward(probs, grad)?.to_dtype(scores.dtype())
    }
}

impl Composed2 for Attend {
    fn forward(&self, scores: &Tensor, bias: &Tensor) -> Result<Tensor> {
        self.probabilities(scores, Some(bias))
    }

    fn backward(&self, way: &Way<'_>, wants: [bool; 2]) -> Result<[Option<Tensor>; 2]> {
        if gpu_kernels::are_for(way.result) {
            let [wants_scores, wants_bias] = wants;
            let (scores, bias) = gpu_kernels::attend_backward(way.result, way.grad, wants_bias)?;
            return Ok([wants_scores.then_some(scores), bias]);
        }
        let gradient = Self::composed_backward(way.result, way.grad)?;
        let bias_gradient = || gradient.sum(0)?.to_dtype(way.b.dtype());
        wanted(wants, || gradient.to_dtype(way.a.dtype()), bias_gradient)
    }
}

impl CustomOp1 for Attend {
    fn name(&self) -> &'static str {
        "t5-attend"
    }

    fn cpu_fwd(&self, scores: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let out = self.fused(slice(scores, layout)?, layout.dims(), &[])?;
        Ok((out, layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, probs: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Self::fused_backward(probs, grad).map(Some)
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
        let out = self.fused(slice(scores, layout)?, layout.dims(), bias)?;
        Ok((out, layout.shape().clone()))
    }

    fn bwd(
        &self,
        scores: &Tensor,
        bias: &Tensor,
        probs: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad_scores = Self::fused_backward(probs, grad)?;
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
    /// The bucket of each distance `key − query`, in the order of the distances.
    pub(crate) buckets: Vec<usize>,
    /// The first of these distances that no query may look at, if there is one.
    pub(crate) hidden_from: Option<usize>,
}

impl PositionBias {
    /// The bias of a table.
    pub(crate) fn of(self, table: &Tensor) -> Result<Tensor> {
        if is_host(table) { table.apply_op1(self) } else { self.composed(table) }
    }

    /// The same of candle's operations, which have their own gradients.
    fn composed(&self, table: &Tensor) -> Result<Tensor> {
        let row = |&bucket: &usize| u32::try_from(bucket).map_err(candle_core::Error::wrap);
        let rows = self.buckets.iter().map(row).collect::<Result<Vec<_>>>()?;
        let (heads, distances) = (table.dim(1)?, rows.len());
        let rows = Tensor::from_vec(rows, distances, table.device())?;
        // A table of few bits gets its gradient in the sums of more.
        let values = wide(table)?.index_select(&rows, 0)?.t()?.contiguous()?;
        let values = self.hide(&values)?;
        if self.queries == 1 {
            return values.reshape((heads, 1, self.keys))?.to_dtype(table.dtype());
        }
        // The windows of all queries at once: of the values once for each query, behind each other,
        // read in rows that are one shorter, each begins one earlier than the one before.
        let all = values.unsqueeze(1)?.broadcast_as((heads, self.queries, distances))?;
        let all = all.contiguous()?.reshape((heads, self.queries * distances))?;
        let windows = all.narrow(1, self.queries - 1, self.queries * (distances - 1))?;
        let windows = windows.contiguous()?.reshape((heads, self.queries, distances - 1))?;
        windows.narrow(2, 0, self.keys)?.to_dtype(table.dtype())?.contiguous()
    }

    /// Hides what is later, in values `[heads, distances]`.
    fn hide(&self, values: &Tensor) -> Result<Tensor> {
        let Some(from) = self.hidden_from.filter(|&from| from < self.buckets.len()) else {
            return Ok(values.clone());
        };
        let hides: Vec<f32> = (0..self.buckets.len()).map(|d| hidden(d >= from)).collect();
        let hides = Tensor::from_vec(hides, self.buckets.len(), values.device())?;
        values.broadcast_add(&hides.to_dtype(values.dtype())?)
    }

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
