//! Kernels of our own for a GPU, where candle's operations would go over the same arrays again and
//! again: a step of an optimizer is a dozen operations, the gradient of attention's probabilities
//! seven, each of which reads and writes what the next one reads.
//!
//! `*.cu` are compiled by `build.rs` for the feature `cuda` alone. Every kernel has a twin in main
//! memory, which it is tested against: the functions of [`kernels`](crate::network::kernels) and
//! of [`optimizer`](crate::training::optimizer).

#[cfg(not(feature = "cuda"))]
mod absent;
#[cfg(feature = "cuda")]
mod attention;
#[cfg(feature = "cuda")]
mod dropout;
#[cfg(feature = "cuda")]
mod generation;
#[cfg(feature = "cuda")]
mod launch;
#[cfg(feature = "cuda")]
mod layers;
#[cfg(feature = "cuda")]
mod optimizer;

use candle_core::{DType, Tensor};

#[cfg(not(feature = "cuda"))]
pub(crate) use absent::*;
#[cfg(feature = "cuda")]
pub(crate) use attention::{attend, attend_backward, swap_middle};
#[cfg(feature = "cuda")]
pub(crate) use dropout::drop_out;
#[cfg(feature = "cuda")]
pub(crate) use generation::largest;
#[cfg(feature = "cuda")]
pub(crate) use layers::{add, gated_gelu, gated_gelu_backward, rms_norm, rms_norm_backward};
#[cfg(feature = "cuda")]
pub(crate) use optimizer::{accumulate, adafactor_matrix, adafactor_vector, adam, squares};

/// Whether the kernels are for a tensor: on a GPU, in numbers of 32 bits or bf16.
pub(crate) fn are_for(tensor: &Tensor) -> bool {
    tensor.device().is_cuda() && matches!(tensor.dtype(), DType::F32 | DType::BF16)
}

/// Where a step writes a parameter's values.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "cuda"), expect(dead_code, reason = "only kernels read it"))]
pub(crate) struct Targets<'a> {
    /// In f32: what the step starts from.
    pub(crate) values: &'a Tensor,
    /// Rounded to bf16, where the network computes with such.
    pub(crate) working: Option<&'a Tensor>,
    /// Of the values, in f32; zero afterwards.
    pub(crate) gradient: &'a Tensor,
}

/// The mask of a tensor: two bytes of `ChaCha8`'s stream for each number.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "cuda"), expect(dead_code, reason = "only kernels read it"))]
pub(crate) struct Mask {
    /// The key as words, the first byte the lowest.
    pub(crate) key: [u64; 4],
    pub(crate) stream: u64,
    /// Numbers whose bytes are below this are dropped.
    pub(crate) dropped: u16,
    /// The others are multiplied with this.
    pub(crate) scale: f32,
}
