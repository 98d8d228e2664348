//! The kernels and what launches them: see the folder above.

#![expect(unsafe_code, reason = "what a kernel reads and writes is not checked by the compiler")]

mod attention;
mod dropout;
mod generation;
mod launch;
mod layers;
mod optimizer;

pub(crate) use attention::{attend, attend_backward, swap_middle};
pub(crate) use dropout::drop_out;
pub(crate) use generation::largest;
pub(crate) use layers::{add, gated_gelu, gated_gelu_backward, rms_norm, rms_norm_backward};
pub(crate) use optimizer::{accumulate, adafactor_matrix, adafactor_vector, adam, squares};
