//! Heads, apart and together.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::composed::{Composed1, apply1};
use crate::gpu_kernels;

/// `[outer, a, b, width]` → `[outer, b, a, width]`: in main memory a view, on a GPU a tensor that is
/// whole. candle copies views there number by number, each of which it computes the place of.
pub(crate) fn swap_middle(x: &Tensor) -> Result<Tensor> {
    if gpu_kernels::are_for(x) { apply1(x, SwapMiddle) } else { x.transpose(1, 2) }
}

/// The swap on a GPU.
#[derive(Debug)]
struct SwapMiddle;

impl CustomOp1 for SwapMiddle {
    fn name(&self) -> &'static str {
        "t5-swap-middle"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        bail!("in main memory a view is enough")
    }
}

impl Composed1 for SwapMiddle {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        gpu_kernels::swap_middle(x)
    }

    fn backward(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Tensor> {
        gpu_kernels::swap_middle(grad)
    }
}
