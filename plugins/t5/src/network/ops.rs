//! Differentiable operations for candle, made of [`kernels`](super::kernels).
//!
//! candle's own fused softmax and norm have no gradient, and its unfused ones make a new tensor for
//! every elementary step. These are one step each, forward and backward, and keep nothing beside
//! their arguments and result.

use std::cell::RefCell;

use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, InplaceOp1, Layout, Result, Shape, Storage, StorageRef,
    Tensor, bail,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::kernels;

/// `x · weightᵀ` over the last dimension of `x`; `weight` is `[out, in]` as in `PyTorch`.
#[derive(Debug)]
pub(crate) struct Linear;

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        "t5-linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (width, (n, k)) = (last(x_layout.dims()), weight_layout.shape().dims2()?);
        let (Some((start, _)), true) = (x_layout.contiguous_offsets(), width == k) else {
            bail!("{}: {:?} times {:?}", self.name(), x_layout, weight_layout)
        };
        let m = x_layout.shape().elem_count() / k;
        let lhs = Layout::contiguous_with_offset((1, m, k), start);
        let stride = weight_layout.stride();
        let rhs_stride = vec![0, stride[1], stride[0]];
        let rhs = Layout::new(Shape::from((1, k, n)), rhs_stride, weight_layout.start_offset());
        let out = x.matmul(weight, (1, m, n, k), &lhs, &rhs)?;
        let mut dims = x_layout.dims().to_vec();
        dims.pop();
        dims.push(n);
        Ok((out, Shape::from(dims)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (n, k) = weight.dims2()?;
        let grad_rows = grad.contiguous()?.reshape(((), n))?;
        // What is frozen, or before the first thing trained, needs none: half of an adapter's time.
        let of_x = || grad_rows.matmul(&weight.detach())?.reshape(x.shape());
        let of_weight = || grad_rows.t()?.matmul(&x.detach().reshape(((), k))?);
        let grad_x = x.track_op().then(of_x).transpose()?;
        Ok((grad_x, weight.track_op().then(of_weight).transpose()?))
    }
}

/// Every row of `x` times a vector, which may be of `[width]` or `[width, 1]`.
#[derive(Debug)]
pub(crate) struct Scale;

impl CustomOp2 for Scale {
    fn name(&self) -> &'static str {
        "t5-scale"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        vector: &CpuStorage,
        vector_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, vector) = (slice(x, x_layout)?, slice(vector, vector_layout)?);
        let mut out = vec![0.0; x.len()];
        kernels::scale_rows(x, vector, &mut out);
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        vector: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (xs, vectors, grads) = (Values::of(x), Values::of(vector), Values::of(&grad));
        let (xs, vectors, grads) = (xs.get()?, vectors.get()?, grads.get()?);
        let (mut grad_x, mut grad_vector) = (vec![0.0; xs.len()], vec![0.0; vectors.len()]);
        kernels::scale_rows(grads, vectors, &mut grad_x);
        kernels::add_products(xs, grads, &mut grad_vector);
        let grad_x = Tensor::from_vec(grad_x, x.shape(), x.device())?;
        let grad_vector = Tensor::from_vec(grad_vector, vector.shape(), vector.device())?;
        Ok((Some(grad_x), Some(grad_vector)))
    }
}

/// `x + y`, of one shape: candle's own spreads large sums over threads that are not ours.
#[derive(Debug)]
pub(crate) struct Add;

impl CustomOp2 for Add {
    fn name(&self) -> &'static str {
        "t5-add"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        y: &CpuStorage,
        y_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let mut out = slice(x, x_layout)?.to_vec();
        kernels::add_to(&mut out, slice(y, y_layout)?);
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((Some(grad.clone()), Some(grad.clone())))
    }
}

/// T5's layer norm: the root mean square alone, no mean, no bias.
#[derive(Debug)]
pub(crate) struct RmsNorm {
    pub(crate) epsilon: f32,
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "t5-rms-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight) = (slice(x, x_layout)?, slice(weight, weight_layout)?);
        let mut out = vec![0.0; x.len()];
        kernels::rms_norm_rows(x, weight, self.epsilon, &mut out);
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (xs, weights, grads) = (Values::of(x), Values::of(weight), Values::of(&grad));
        let (xs, weights, grads) = (xs.get()?, weights.get()?, grads.get()?);
        let (mut grad_x, mut grad_weight) = (vec![0.0; xs.len()], vec![0.0; weights.len()]);
        kernels::rms_norm_rows_backward(
            xs,
            weights,
            grads,
            self.epsilon,
            &mut grad_x,
            &mut grad_weight,
        );
        let grad_x = Tensor::from_vec(grad_x, x.shape(), x.device())?;
        let grad_weight = Tensor::from_vec(grad_weight, weight.shape(), weight.device())?;
        Ok((Some(grad_x), Some(grad_weight)))
    }
}

/// `gelu(a) · b`, GELU by its tanh approximation (“`gelu_new`”).
#[derive(Debug)]
pub(crate) struct GatedGelu;

impl CustomOp2 for GatedGelu {
    fn name(&self) -> &'static str {
        "t5-gated-gelu"
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (a, b) = (slice(a, a_layout)?, slice(b, b_layout)?);
        let mut out = vec![0.0; a.len()];
        kernels::gated_gelu(a, b, &mut out);
        Ok((CpuStorage::F32(out), a_layout.shape().clone()))
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (a_values, b_values, grads) = (Values::of(a), Values::of(b), Values::of(&grad));
        let (a_values, b_values, grads) = (a_values.get()?, b_values.get()?, grads.get()?);
        let (mut grad_a, mut grad_b) = (vec![0.0; grads.len()], vec![0.0; grads.len()]);
        kernels::gated_gelu_backward(a_values, b_values, grads, &mut grad_a, &mut grad_b);
        let grad_a = Tensor::from_vec(grad_a, a.shape(), a.device())?;
        let grad_b = Tensor::from_vec(grad_b, b.shape(), b.device())?;
        Ok((Some(grad_a), Some(grad_b)))
    }
}

/// Zeroes elements with a probability and scales the rest up; backward draws the same mask again.
#[derive(Debug)]
pub(crate) struct Dropout {
    /// Probability of zero, below 1.
    pub(crate) rate: f32,
    pub(crate) seed: u64,
    /// Distinguishes the masks of one seed.
    pub(crate) stream: u64,
}

impl Dropout {
    fn apply(&self, x: &[f32]) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(self.stream);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rate < 1")]
        let dropped = (self.rate * 65536.0) as u16;
        let scale = 1.0 / (1.0 - self.rate);
        let mut out = vec![0.0; x.len()];
        // Two random bytes an element, drawn in blocks: one by one they would cost more than
        // attention itself.
        let mut random = [0; 1024];
        for (x, out) in x.chunks(random.len() / 2).zip(out.chunks_mut(random.len() / 2)) {
            rng.fill_bytes(&mut random);
            kernels::drop_out(x, random.as_chunks().0, dropped, scale, out);
        }
        out
    }
}

impl CustomOp1 for Dropout {
    fn name(&self) -> &'static str {
        "t5-dropout"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(self.apply(slice(x, layout)?)), layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let out = self.apply(Values::of(&grad).get()?);
        Tensor::from_vec(out, grad.shape(), grad.device()).map(Some)
    }
}

/// A scalar whose gradient is known beforehand: the end of a graph that is computed elsewhere.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) value: f32,
    /// Of the argument, in its shape.
    pub(crate) gradient: Tensor,
}

impl CustomOp1 for Known {
    fn name(&self) -> &'static str {
        "t5-known"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(vec![self.value]), Shape::from(())))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(self.gradient.clone()))
    }
}

/// Lets `change` write to the values of a contiguous f32 tensor that no graph has seen yet.
pub(crate) fn in_place(tensor: &Tensor, change: impl FnMut(&mut [f32])) -> Result<()> {
    tensor.inplace_op1(&InPlace(RefCell::new(change)))
}

/// candle lends operations immutably, though it calls each once: hence the cell.
struct InPlace<F>(RefCell<F>);

impl<F: FnMut(&mut [f32])> InplaceOp1 for InPlace<F> {
    fn name(&self) -> &'static str {
        "t5-in-place"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let (CpuStorage::F32(values), Some((start, end))) = (storage, layout.contiguous_offsets())
        else {
            bail!("{} needs a contiguous f32 tensor", self.name())
        };
        (self.0.borrow_mut())(&mut values[start..end]);
        Ok(())
    }
}

/// Read access to a contiguous f32 tensor in main memory.
pub(crate) struct Values<'a> {
    storage: StorageRef<'a>,
    layout: &'a Layout,
}

impl<'a> Values<'a> {
    pub(crate) fn of(tensor: &'a Tensor) -> Self {
        let (storage, layout) = tensor.storage_and_layout();
        Self { storage, layout }
    }

    pub(crate) fn get(&self) -> Result<&[f32]> {
        match &*self.storage {
            Storage::Cpu(storage) => slice(storage, self.layout),
            _ => bail!("the tensor is not in main memory"),
        }
    }
}

pub(super) fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("a contiguous tensor is needed, this one is {layout:?}"),
    }
}

pub(super) fn last(dims: &[usize]) -> usize {
    dims.last().copied().unwrap_or(1)
}
