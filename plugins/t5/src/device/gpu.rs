//! What only a build with CUDA can ask: driver, GPUs and their memory.

#![expect(unsafe_code, reason = "the driver's functions and candle's switch of events are unsafe")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::Device;
use candle_core::cuda_backend::cudarc::driver::{CudaContext, DriverError, result, sys};

use super::found::Named;
use crate::cuda;

pub(super) use crate::cuda::missing;

/// Toolkit and compute capability of the kernels in this build.
pub(super) const BUILT: Option<(&str, &str)> = Some((cuda::TOOLKIT, cuda::COMPUTE_CAPABILITY));

/// The version of CUDA that the driver is for, as its number: 13010 is 13.1.
pub(super) fn driver() -> Result<i32, String> {
    let mut version = 0;
    // SAFETY: the driver writes one number to where the pointer points, a number that outlives the
    // call; it may be asked before it is initialised.
    let status = unsafe { sys::cuDriverGetVersion(&raw mut version) };
    status.result().map_err(|error| error.to_string())?;
    Ok(version)
}

/// Name and compute capability of every GPU, without opening one.
pub(super) fn gpus() -> Result<Vec<Named>, String> {
    match all() {
        // What `init` says where the driver is there and no GPU.
        Err(DriverError(sys::CUresult::CUDA_ERROR_NO_DEVICE)) => Ok(Vec::new()),
        told => told.map_err(|error| error.to_string()),
    }
}

fn all() -> Result<Vec<Named>, DriverError> {
    result::init()?;
    (0..result::device::get_count()?).map(gpu).collect()
}

fn gpu(number: i32) -> Result<Named, DriverError> {
    type Attribute = sys::CUdevice_attribute;
    let device = result::device::get(number)?;
    let attribute = |which: Attribute| {
        // SAFETY: `device` comes from `get`, as is asked for.
        unsafe { result::device::get_attribute(device, which) }
    };
    let major = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
    let minor = attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
    Ok((result::device::get_name(device)?, (major, minor)))
}

/// Opens a GPU with one stream, once for all components of the process.
///
/// candle's own choice, `Device::new_cuda`, takes a stream for each thread, and nothing makes one
/// thread's wait for another's: weights that one thread has put there could be read by the next
/// before they have arrived. With one stream for all threads everything happens in the order in
/// which it was asked for. It is never closed: to close the last one would take the GPU's state
/// with it, which takes long to make anew.
pub(super) fn open(number: usize) -> candle_core::Result<Device> {
    static OPENED: Mutex<BTreeMap<usize, Device>> = Mutex::new(BTreeMap::new());
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(device) = opened.get(&number) {
        return Ok(device.clone());
    }
    let device = Device::new_cuda_with_stream(number)?;
    let cuda = device.as_cuda_device()?;
    // SAFETY: events keep several streams apart. This device has one, and its tensors are used with
    // no other device: what is copied between GPUs goes through main memory.
    unsafe { cuda.disable_event_tracking() };
    if context(&device)?.has_async_alloc() {
        keep_freed_memory(number).map_err(candle_core::Error::wrap)?;
    }
    opened.insert(number, device.clone());
    Ok(device)
}

/// Lets the driver keep what was freed for the next arrays: as it comes it gives everything back
/// whenever somebody waits for the GPU. For GPUs that have pools: others free at once.
fn keep_freed_memory(number: usize) -> Result<(), DriverError> {
    let pool = pool(number)?;
    let mut all = u64::MAX;
    let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    // SAFETY: the pool is the device's own; the attribute is a number of 64 bits, and so is `all`.
    unsafe { result::mem_pool::set_attribute(pool, attribute, (&raw mut all).cast()) }
}

/// The pool that a GPU's arrays come from.
fn pool(number: usize) -> Result<sys::CUmemoryPool, DriverError> {
    let device = result::device::get(i32::try_from(number).unwrap_or(i32::MAX))?;
    // SAFETY: `device` comes from `get`.
    unsafe { result::device::get_mem_pool(device) }
}

/// Bytes of a GPU's memory that are free once everything that was asked of it is done, and what the
/// driver keeps of it was given back; `None` where it does not tell.
pub(super) fn free_bytes(device: &Device) -> Option<u64> {
    give_back(device);
    let (free, _) = context(device).ok()?.mem_get_info().ok()?;
    Some(free as u64)
}

/// Gives back what the driver keeps of a GPU's memory, once everything that was asked of the GPU is
/// done. A GPU that fails in this shows it in what is asked of it next.
pub(super) fn give_back(device: &Device) {
    let _ = trim(device);
}

fn trim(device: &Device) -> candle_core::Result<()> {
    device.synchronize()?;
    let context = context(device)?;
    // Where a GPU has no pools, what was freed is back already.
    if !context.has_async_alloc() {
        return Ok(());
    }
    let pool = pool(context.ordinal()).map_err(candle_core::Error::wrap)?;
    // SAFETY: the pool is the device's own, and what is in use stays.
    unsafe { result::mem_pool::trim_to(pool, 0) }.map_err(candle_core::Error::wrap)
}

fn context(device: &Device) -> candle_core::Result<Arc<CudaContext>> {
    Ok(Arc::clone(device.as_cuda_device()?.cuda_stream().context()))
}
