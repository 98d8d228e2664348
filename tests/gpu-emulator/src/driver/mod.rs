//! CUDA's driver: the functions of `libcuda.so.1` that candle calls.
//!
//! Everything is done when a call returns: streams are names, and an event has always happened. Calls of
//! several threads are done one after the other, also where they are for different GPUs. A handle that
//! is not known, or an address that is not allocated, is answered with an error. What has gone wrong in
//! a kernel stays, as on a GPU: every later call of that GPU answers the same.
//!
//! What a test can choose is read from the environment, once, at `cuInit`:
//!
//! | variable | default | |
//! |---|---|---|
//! | `GPU_EMULATOR_GPUS` | 1 | how many GPUs there are; with 0 `cuInit` answers `CUDA_ERROR_NO_DEVICE` |
//! | `GPU_EMULATOR_MEMORY` | 4294967296 | bytes of memory of each GPU |
//! | `GPU_EMULATOR_CAPABILITY` | 9.0 | the compute capability of each GPU |
//! | `GPU_EMULATOR_DRIVER` | 13000 | the version of CUDA that the driver is for |
//! | `GPU_EMULATOR_LOST_AFTER` | never | after how many launches GPU 0 is lost, cuBLAS's and cuRAND's among them: that launch and all later calls answer `CUDA_ERROR_ECC_UNCORRECTABLE` |
//! | `GPU_EMULATOR_LOG` | none | a file to which is added, at the end of the process, what each GPU has done ([`log`]) |
//!
//! A value that is not understood is named on stderr, and `cuInit` answers `CUDA_ERROR_INVALID_VALUE`.
//!
//! A GPU is lost by `CUDA_ERROR_ECC_UNCORRECTABLE` because that is an error of the GPU itself, which no
//! kernel can cause (unlike `CUDA_ERROR_LAUNCH_FAILED`), and which CUDA documents to stay until the
//! process ends (unlike `CUDA_ERROR_DEVICE_UNAVAILABLE`, that somebody else has the GPU).
//!
//! # Safety
//!
//! The `extern "C"` functions trust their callers as CUDA's do: a pointer that is not null is to room
//! for what its type says, a length is that of what the pointer is to. Addresses of a GPU's memory, and
//! handles, are checked.

mod allocations;
mod attributes;
mod devices;
mod launches;
mod log;
mod memory;
mod modules;
mod pools;
mod settings;
mod state;
mod status;
mod streams;
mod target;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use allocations::at;
pub(crate) use state::{Gpu, Handle, Object, State, put, with};
pub(crate) use status::Status;
