//! The most memory that candle has had of a GPU, from the driver's account.

#![expect(unsafe_code, reason = "the driver's functions are unsafe")]

use candle_core::cuda_backend::cudarc::driver::{result, sys};

/// Bytes that were in use at once, at most, since the process began: the pool that tensors are taken
/// from, without the driver's and the libraries' own.
pub(crate) fn most_bytes(number: usize) -> Option<u64> {
    let device = result::device::get(i32::try_from(number).ok()?).ok()?;
    // SAFETY: `device` comes from `get`, as is asked for.
    let pool = unsafe { result::device::get_default_mem_pool(device) }.ok()?;
    let mut bytes = 0_u64;
    let most = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH;
    // SAFETY: the driver has just named the pool, which is always there; it writes one number of 64 bits
    // to where the pointer points, a number that outlives the call.
    let told = unsafe { result::mem_pool::get_attribute(pool, most, (&raw mut bytes).cast()) };
    told.ok().map(|()| bytes)
}
