//! Products and sums.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use deft_neural::Values;

use super::composed::{Composed2, Way, wanted};
use super::{fused, gradient, kernels, last, product, slice, wide};
use crate::gpu_kernels;

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
        Ok((out, Shape::from(with_last(x_layout.dims(), n))))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let wants = [x.track_op(), weight.track_op()];
        let [of_x, of_weight] = Self::gradients(&x.detach(), &weight.detach(), grad, wants)?;
        Ok((of_x, of_weight))
    }
}

impl Linear {
    fn gradients(
        x: &Tensor,
        weight: &Tensor,
        grad: &Tensor,
        wants: [bool; 2],
    ) -> Result<[Option<Tensor>; 2]> {
        let (n, k) = weight.dims2()?;
        let grad_rows = grad.contiguous()?.reshape(((), n))?;
        // Half of an adapter's time.
        let x_gradient = || product(&grad_rows, weight)?.reshape(x.shape());
        let weight_gradient = || product(&grad_rows.t()?, &x.reshape(((), k))?);
        wanted(wants, x_gradient, weight_gradient)
    }
}

impl Composed2 for Linear {
    fn forward(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let (n, k) = weight.dims2()?;
        let rows = x.contiguous()?.reshape(((), k))?;
        product(&rows, &weight.t()?)?.reshape(with_last(x.dims(), n))
    }

    fn backward(&self, way: &Way<'_>, wants: [bool; 2]) -> Result<[Option<Tensor>; 2]> {
        Self::gradients(way.a, way.b, way.grad, wants)
    }
}

/// The dimensions with another last one.
fn with_last(dims: &[usize], last: usize) -> Vec<usize> {
    let mut dims = dims.to_vec();
    dims.pop();
    dims.push(last);
    dims
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
        fused((x, x_layout), (vector, vector_layout), kernels::scale_rows)
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
        let of_x = |out: &mut [f32]| kernels::scale_rows(grads, vectors, out);
        let of_vector = |out: &mut [f32]| kernels::add_products(xs, grads, out);
        Ok((gradient(x, of_x)?, gradient(vector, of_vector)?))
    }
}

impl Composed2 for Scale {
    fn forward(&self, x: &Tensor, vector: &Tensor) -> Result<Tensor> {
        x.broadcast_mul(&vector.flatten_all()?)
    }

    fn backward(&self, way: &Way<'_>, wants: [bool; 2]) -> Result<[Option<Tensor>; 2]> {
        let Way { a: x, b: vector, grad, .. } = way;
        let x_gradient = || grad.broadcast_mul(&vector.flatten_all()?);
        let vector_gradient = || {
            let products = (wide(x)? * wide(grad)?)?.reshape(((), vector.elem_count()))?;
            products.sum(0)?.reshape(vector.shape())?.to_dtype(vector.dtype())
        };
        wanted(wants, x_gradient, vector_gradient)
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
        x: &Tensor,
        y: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((x.track_op().then(|| grad.clone()), y.track_op().then(|| grad.clone())))
    }
}

impl Composed2 for Add {
    fn forward(&self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        if gpu_kernels::are_for(x) { gpu_kernels::add(x, y) } else { x + y }
    }

    fn backward(&self, way: &Way<'_>, wants: [bool; 2]) -> Result<[Option<Tensor>; 2]> {
        Ok(wants.map(|is_wanted| is_wanted.then(|| way.grad.clone())))
    }
}
