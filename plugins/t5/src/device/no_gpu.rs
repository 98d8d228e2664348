//! `gpu.rs` of a build without CUDA: there is nothing to ask.

use candle_core::Device;

use super::found::Named;

/// Why there is no answer.
const NO_CUDA: &str = "this build has no CUDA";

/// Toolkit and compute capability of the kernels, of which there are none.
pub(super) const BUILT: Option<(&str, &str)> = None;

/// The libraries that are needed and not there: none is needed.
pub(super) fn missing() -> Vec<(&'static str, String)> {
    Vec::new()
}

/// There is no driver.
pub(super) fn driver() -> Result<i32, String> {
    Err(NO_CUDA.to_owned())
}

/// There is no GPU.
pub(super) fn gpus() -> Result<Vec<Named>, String> {
    Err(NO_CUDA.to_owned())
}

/// Fails.
pub(super) fn open(number: usize) -> candle_core::Result<Device> {
    Device::new_cuda(number)
}

/// There is no GPU that keeps memory.
pub(super) fn give_back(_device: &Device) {}

/// There is no memory but the main memory.
pub(super) fn free_bytes(_device: &Device) -> Option<u64> {
    None
}
