//! Kernels of our own for a GPU, where candle's operations would go over the same arrays again and
//! again: a step of an optimizer is a dozen operations, the gradient of attention's probabilities
//! seven, each of which reads and writes what the next one reads.
//!
//! | | what for | twin on the CPU |
//! |---|---|---|
//! | `attention` | softmax with bias and padding; heads apart and together | [`network::attention`](crate::network) |
//! | `layers` | layer norm, gated GELU, sums of states | `network::ops` |
//! | `dropout` | masks drawn as in main memory | `network::dropout` |
//! | `generation` | the likeliest id of each row of logits | [`kernels::largest`](crate::network::kernels) |
//! | `optimizer` | sums of gradients; Adam, Adafactor | [`training::optimizer`](crate::training::optimizer) |
//!
//! Each is a file in `kernels/`, which `build.rs` compiles for the feature `cuda` alone, and one in
//! `launches/` that checks the arguments and launches it; `launch.rs` there is common to all. A new
//! kernel wants both, a line in `absent.rs`, and a test against its twin on the device that
//! `DEFT_T5_DEVICE` names (`make emulated` has one where there is no GPU).
//!
//! Whoever calls a kernel has asked [`are_for`]. Launches are not waited for: all of a GPU's work is
//! on one stream. What is summed is summed in the same order every time.

#[cfg(not(feature = "cuda"))]
mod absent;
#[cfg(feature = "cuda")]
mod launches;

use candle_core::{DType, Tensor};

#[cfg(not(feature = "cuda"))]
pub(crate) use absent::*;
#[cfg(feature = "cuda")]
pub(crate) use launches::*;

/// Whether the kernels are for a tensor: on a GPU, in numbers of 32 bits or bf16.
pub(crate) fn are_for(tensor: &Tensor) -> bool {
    tensor.device().is_cuda() && matches!(tensor.dtype(), DType::F32 | DType::BF16)
}

/// Where a step writes a parameter's values; nobody else may use these arrays meanwhile.
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
