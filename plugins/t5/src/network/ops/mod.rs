//! Differentiable operations, each in two forms or three.
//!
//! *Fused*, for f32 in main memory: one pass of [`kernels`](super::kernels) forward and one back.
//! candle's own fused softmax and norm have no gradient, and its unfused ones make a new tensor for
//! every elementary step.
//!
//! *Composed*, for a GPU and for other numbers than f32: made of candle's operations, forward and
//! back. Beside its arguments and result such an operation keeps nothing either: candle's graph has
//! it as one step, and not its parts.
//!
//! On a GPU some are a kernel of our own instead ([`gpu_kernels`]), as steps of the same kind.
//!
//! What is frozen, or before the first thing trained, gets no gradient: candle asks for all and would
//! keep them.

mod arithmetic;
mod composed;
mod heads;
mod norm;
#[cfg(test)]
mod tests;

use candle_core::{CpuStorage, DType, Device, Layout, Result, Shape, Tensor, bail};
use deft_neural::{Values, in_place};

use super::kernels;
use crate::gpu_kernels;

pub(crate) use arithmetic::{Add, Linear, Scale};
pub(crate) use composed::{Composed1, Composed2, Way, apply1, apply2, wanted};
pub(crate) use heads::swap_middle;
pub(crate) use norm::{GatedGelu, RmsNorm};

/// Whether a tensor is f32 in main memory: what the fused forms, and slices of it, are for.
pub(crate) fn is_host(tensor: &Tensor) -> bool {
    tensor.device().is_cpu() && tensor.dtype() == DType::F32
}

/// The type that sums are made in: f32 at least.
pub(crate) fn wide(tensor: &Tensor) -> Result<Tensor> {
    match tensor.dtype() {
        DType::F64 => Ok(tensor.clone()),
        _ => tensor.to_dtype(DType::F32),
    }
}

/// A copy as f32 in main memory, contiguous.
pub(crate) fn to_host(tensor: &Tensor) -> Result<Tensor> {
    // In this order less goes from the device where its numbers are narrow.
    tensor.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.contiguous()
}

/// `sum += x`, of one shape; `sum` is f32. In place in main memory and on a GPU, elsewhere a new
/// tensor.
pub(crate) fn add_to(sum: &mut Tensor, x: &Tensor) -> Result<()> {
    if is_host(sum) && is_host(x) {
        let x = x.contiguous()?;
        let values = Values::of(&x);
        let values = values.get()?;
        return in_place(sum, |sum| kernels::add_to(sum, values));
    }
    if gpu_kernels::are_for(x) {
        return gpu_kernels::accumulate(sum, x);
    }
    *sum = (&*sum + x.to_dtype(sum.dtype())?)?;
    Ok(())
}

/// The matrix product of the last two dimensions, those before them being the same.
///
/// On a GPU candle takes matrices that are whole, by rows or by columns, and one stride over all of
/// them; others are copied first. Main memory gets the same care, so that tests there tell.
pub(crate) fn product(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if is_host(a) { a.matmul(b) } else { whole(a)?.matmul(&whole(b)?) }
}

/// Matrices that lie whole in memory, by rows or by columns.
fn whole(x: &Tensor) -> Result<Tensor> {
    if x.is_contiguous() || x.t()?.is_contiguous() { Ok(x.clone()) } else { x.contiguous() }
}

pub(super) fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("a contiguous tensor is needed, this one is {layout:?}"),
    }
}

/// What a kernel makes of two arguments: as many numbers as the first has.
fn fused(
    (x, x_layout): (&CpuStorage, &Layout),
    (y, y_layout): (&CpuStorage, &Layout),
    kernel: impl FnOnce(&[f32], &[f32], &mut [f32]),
) -> Result<(CpuStorage, Shape)> {
    let (x, y) = (slice(x, x_layout)?, slice(y, y_layout)?);
    let mut out = vec![0.0; x.len()];
    kernel(x, y, &mut out);
    Ok((CpuStorage::F32(out), x_layout.shape().clone()))
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
