//! T5's layer norm and gated activation.

use candle_core::{CpuStorage, CustomOp2, D, Layout, Result, Shape, Tensor};
use deft_neural::Values;

use super::composed::{Composed2, Way, wanted};
use super::{fused, kernels, like, wide};
use crate::gpu_kernels;
use crate::network::row::{GELU_CUBE, GELU_SCALE};

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
        fused((x, x_layout), (weight, weight_layout), |x, weight, out| {
            kernels::rms_norm_rows(x, weight, self.epsilon, out);
        })
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

impl Composed2 for RmsNorm {
    fn forward(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        if gpu_kernels::are_for(x) {
            return gpu_kernels::rms_norm(x, weight, self.epsilon);
        }
        // In main memory candle's own rounds the root mean square to the numbers' type.
        if x.device().is_cpu() {
            return candle_nn::ops::rms_norm_slow(x, weight, self.epsilon);
        }
        candle_nn::ops::rms_norm(&x.contiguous()?, weight, self.epsilon)
    }

    fn backward(&self, way: &Way<'_>, wants: [bool; 2]) -> Result<[Option<Tensor>; 2]> {
        if gpu_kernels::are_for(way.a) {
            let Way { a: x, b: weight, grad, .. } = way;
            let (of_x, of_weight) =
                gpu_kernels::rms_norm_backward(x, weight, grad, self.epsilon, wants[1])?;
            return Ok([wants[0].then_some(of_x), of_weight]);
        }
        let (x, weight, grad) = (wide(way.a)?, wide(way.b)?, wide(way.grad)?);
        let square = x.sqr()?.mean_keepdim(D::Minus1)?;
        let scale = (square + f64::from(self.epsilon))?.sqrt()?.recip()?;
        let normed = x.broadcast_mul(&scale)?;
        let x_gradient = || {
            let grad = grad.broadcast_mul(&weight)?;
            let pull = (&grad * &normed)?.mean_keepdim(D::Minus1)?;
            let rest = (grad - normed.broadcast_mul(&pull)?)?;
            rest.broadcast_mul(&scale)?.to_dtype(way.a.dtype())
        };
        let weight_gradient = || {
            let products = (&grad * &normed)?.reshape(((), weight.elem_count()))?;
            products.sum(0)?.to_dtype(way.b.dtype())
        };
        wanted(wants, x_gradient, weight_gradient)
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
        fused((a, a_layout), (b, b_layout), kernels::gated_gelu)
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

impl Composed2 for GatedGelu {
    fn forward(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        if gpu_kernels::are_for(a) { gpu_kernels::gated_gelu(a, b) } else { a.gelu()? * b }
    }

    fn backward(&self, way: &Way<'_>, wants: [bool; 2]) -> Result<[Option<Tensor>; 2]> {
        if gpu_kernels::are_for(way.a) {
            let [of_a, of_b] = gpu_kernels::gated_gelu_backward(way.a, way.b, way.grad)?;
            return wanted(wants, || Ok(of_a), || Ok(of_b));
        }
        let (a, grad) = (wide(way.a)?, wide(way.grad)?);
        // The gate is `½(1 + tanh)`, as a logistic function: see `row::gelu_gate`.
        let cube = f64::from(GELU_CUBE);
        let square = a.sqr()?;
        let inner = (&a * square.affine(cube, 1.0)?)?;
        let gate = ((inner * -f64::from(GELU_SCALE))?.exp()? + 1.0)?.recip()?;
        let a_gradient = || {
            let slope = (&gate * gate.affine(-1.0, 1.0)?)?;
            let slope = (slope * square.affine(3.0 * cube, 1.0)?)?;
            let gelu_slope = (&gate + (&a * slope)?.affine(f64::from(GELU_SCALE), 0.0)?)?;
            ((&grad * wide(way.b)?)? * gelu_slope)?.to_dtype(way.a.dtype())
        };
        let b_gradient = || ((&grad * &a)? * &gate)?.to_dtype(way.b.dtype());
        wanted(wants, a_gradient, b_gradient)
    }
}
