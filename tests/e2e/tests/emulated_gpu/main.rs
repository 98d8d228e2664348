//! T5 on an emulated GPU, whole programs: a build of the plugin with CUDA computes through CUDA's
//! interface, behind which the crate `gpu-emulator` runs the kernels on the CPU.
//!
//! `make emulated` builds both and names their folders, by absolute paths: `DEFT_CUDA_PLUGIN_DIR`
//! has the plugin, `DEFT_CUDA_LIB_DIR` the emulator under the names of CUDA's libraries. Without the
//! first every test is skipped.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod choosing;
mod computing;
mod lost;
mod machine;
mod memory;
