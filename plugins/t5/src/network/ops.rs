//! Differentiable operations for candle, made of [`kernels`](super::kernels).
//!
//! candle's own fused softmax and norm have no gradient, and its unfused ones make a new tensor for
//! every elementary step. These are one step each, forward and backward, and keep nothing beside
//! their arguments and result. What is frozen, or before the first thing trained, gets no gradient:
//! candle asks for all and would keep them.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use deft_neural::Values;

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
        // Half of an adapter's time.
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
        let of_x = |out: &mut [f32]| kernels::scale_rows(grads, vectors, out);
        let of_vector = |out: &mut [f32]| kernels::add_products(xs, grads, out);
        Ok((gradient(x, of_x)?, gradient(vector, of_vector)?))
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
        let (mut grad_x, epsilon) = (vec![0.0; xs.len()], self.epsilon);
        let mut grad_weight = weight.track_op().then(|| vec![0.0; weights.len()]);
        let sums = grad_weight.as_deref_mut();
        kernels::rms_norm_rows_backward(xs, weights, grads, epsilon, &mut grad_x, sums);
        let grad_x = x.track_op().then(|| like(x, grad_x)).transpose()?;
        Ok((grad_x, grad_weight.map(|sums| like(weight, sums)).transpose()?))
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
        let grad_a = a.track_op().then(|| like(a, grad_a)).transpose()?;
        Ok((grad_a, b.track_op().then(|| like(b, grad_b)).transpose()?))
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

/// These values in the shape of a tensor.
pub(super) fn like(tensor: &Tensor, values: Vec<f32>) -> Result<Tensor> {
    Tensor::from_vec(values, tensor.shape(), tensor.device())
}

/// The gradient of an argument that has one; `write` finds zeros.
pub(super) fn gradient(of: &Tensor, write: impl FnOnce(&mut [f32])) -> Result<Option<Tensor>> {
    if !of.track_op() {
        return Ok(None);
    }
    let mut values = vec![0.0; of.elem_count()];
    write(&mut values);
    like(of, values).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::attention::Attend;
    use candle_core::{Device, Var};

    type Op = fn(&Tensor, &Tensor) -> Result<Tensor>;

    /// Numbers without a pattern.
    fn numbers(shape: &[usize]) -> Tensor {
        let count = shape.iter().product::<usize>();
        let values = (0..count).map(|n| (n * 37 % 23) as f32 / 11.0 - 1.0).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).expect("a tensor")
    }

    /// The gradients of both arguments, those that are trained being variables.
    fn gradients(op: Op, shapes: [&[usize]; 2], trained: [bool; 2]) -> [Option<Vec<f32>>; 2] {
        let argument = |n: usize| match numbers(shapes[n]) {
            values if trained[n] => Var::from_tensor(&values).expect("a variable").into_inner(),
            values => values,
        };
        let arguments = [argument(0), argument(1)];
        let loss = op(&arguments[0], &arguments[1]).and_then(|y| y.sqr()?.sum_all());
        let store = loss.and_then(|loss| loss.backward()).expect("gradients");
        let values = |g: &Tensor| g.flatten_all().and_then(|g| g.to_vec1()).expect("values");
        arguments.map(|argument| store.get(&argument).map(values))
    }

    #[test]
    fn only_what_is_trained_gets_a_gradient_and_it_does_not_depend_on_the_other() {
        let ops: [(Op, [&[usize]; 2]); 6] = [
            (|x, w| x.apply_op2(w, Linear), [&[3, 4], &[5, 4]]),
            (|x, v| x.apply_op2(v, Scale), [&[3, 4], &[4]]),
            (|x, y| x.apply_op2(y, Add), [&[3, 4], &[3, 4]]),
            (|x, w| x.apply_op2(w, RmsNorm { epsilon: 1e-6 }), [&[3, 4], &[4]]),
            (|a, b| a.apply_op2(b, GatedGelu), [&[3, 4], &[3, 4]]),
            (
                |x, b| x.apply_op2(b, Attend { lengths: None, causal: false }),
                [&[2, 2, 3, 4], &[2, 3, 4]],
            ),
        ];
        for (number, (op, shapes)) in ops.into_iter().enumerate() {
            let [first, second] = gradients(op, shapes, [true, true]);
            assert!(first.is_some() && second.is_some(), "operation {number}");
            assert_eq!(gradients(op, shapes, [true, false]), [first, None], "operation {number}");
            assert_eq!(gradients(op, shapes, [false, true]), [None, second], "operation {number}");
        }
    }
}
