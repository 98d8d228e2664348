//! `memory.rs` of a build without CUDA.

/// There is no GPU.
pub(crate) fn most_bytes(_number: usize) -> Option<u64> {
    None
}
