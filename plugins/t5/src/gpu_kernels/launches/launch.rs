//! What launches a kernel: its source, its arguments, its blocks.

use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

use candle_core::backend::{BackendDevice, BackendStorage};
use candle_core::cuda_backend::cudarc::driver::{
    CudaStream, DevicePtr, LaunchConfig, PushKernelArg,
};
use candle_core::cuda_backend::{CudaStorageSlice, WrapErr};
use candle_core::{CudaStorage, DType, DeviceLocation, Result, Shape, Storage, Tensor, bail};

/// Threads of a block and of a warp: those of `common.cuh`.
const THREADS: u32 = 256;
pub(super) const WARP: usize = 32;
/// Rows that a block takes which computes one with each of its warps.
pub(super) const WARPS: usize = THREADS as usize / WARP;
/// Most blocks of a grid that goes over an array in turns: enough to keep any GPU busy. In tests so
/// few that there are turns.
const MOST_BLOCKS: usize = if cfg!(test) { 2 } else { 4096 };

/// A file of kernels, as the compiler has made it.
pub(super) struct Source {
    name: &'static str,
    ptx: &'static str,
}

macro_rules! source {
    ($name:literal) => {
        Source { name: $name, ptx: include_str!(concat!(env!("OUT_DIR"), "/", $name, ".ptx")) }
    };
}

pub(super) const ATTENTION: Source = source!("attention");
pub(super) const DROPOUT: Source = source!("dropout");
pub(super) const GENERATION: Source = source!("generation");
pub(super) const LAYERS: Source = source!("layers");
pub(super) const OPTIMIZER: Source = source!("optimizer");

/// An argument of a kernel, as its declaration has it. It borrows the tensor that it points to: what is
/// freed after the launch is freed on the stream behind it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Argument<'a> {
    /// A pointer.
    Array(Array<'a>),
    /// A `size_t`, or a pointer to nothing.
    Count(u64),
    /// A `float`.
    Number(f32),
}

/// Where a tensor's numbers begin, and on which GPU.
#[derive(Debug, Clone, Copy)]
pub(super) struct Array<'a> {
    begin: u64,
    gpu: DeviceLocation,
    of: PhantomData<&'a Tensor>,
}

impl<'a> Argument<'a> {
    /// Of a tensor that is whole, in rows.
    pub(super) fn array(tensor: &'a Tensor) -> Result<Self> {
        let (storage, layout) = tensor.storage_and_layout();
        let (Storage::Cuda(storage), Some((start, _))) = (&*storage, layout.contiguous_offsets())
        else {
            bail!("a kernel wants a whole tensor on a GPU, this one is {layout:?}")
        };
        let first = begin(storage, &storage.device().cuda_stream())?;
        let begin = first + (start * storage.dtype().size_in_bytes()) as u64;
        Ok(Self::Array(Array { begin, gpu: storage.device().location(), of: PhantomData }))
    }

    /// Of a tensor that there may be; else a pointer to nothing.
    pub(super) fn array_or_none(tensor: Option<&'a Tensor>) -> Result<Self> {
        tensor.map_or(Ok(Self::Count(0)), Self::array)
    }

    pub(super) fn count(count: usize) -> Self {
        Self::Count(count as u64)
    }
}

/// Where an array begins on the GPU.
fn begin(storage: &CudaStorage, stream: &CudaStream) -> Result<u64> {
    Ok(match &storage.slice {
        CudaStorageSlice::F32(array) => array.device_ptr(stream).0,
        CudaStorageSlice::BF16(array) => array.device_ptr(stream).0,
        CudaStorageSlice::U32(array) => array.device_ptr(stream).0,
        _ => bail!("no kernel takes {:?}", storage.dtype()),
    })
}

/// The blocks of a grid, in the directions of x and y.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blocks(pub(super) usize, pub(super) usize);

impl Blocks {
    /// A grid that goes over an array of `count` numbers in turns.
    pub(super) fn over(count: usize) -> Self {
        Self(count.div_ceil(THREADS as usize).min(MOST_BLOCKS), 1)
    }

    /// One warp for each row.
    pub(super) fn by_warps(rows: usize) -> Self {
        Self(rows.div_ceil(WARPS), 1)
    }

    /// How many there are.
    pub(super) fn count(self) -> usize {
        self.0 * self.1
    }
}

/// The rows that a block adds up, of a sum over columns, and how many blocks that makes.
pub(super) fn blocks_of_rows(rows: usize) -> (usize, usize) {
    const ROWS: usize = 256;
    (ROWS, rows.div_ceil(ROWS))
}

/// Launches a kernel on the stream of the GPU that `on` is on; nothing is waited for.
///
/// # Safety
///
/// The arguments are those that the kernel declares, in their order; each array is as long and of the
/// type as the kernel takes it for, and those that it writes to are used by nobody else meanwhile.
///
/// # Errors
///
/// An array on another GPU, and what the driver says.
pub(super) unsafe fn launch(
    source: &Source,
    kernel: &str,
    on: &Tensor,
    Blocks(x, y): Blocks,
    arguments: &[Argument<'_>],
) -> Result<()> {
    if x == 0 || y == 0 {
        return Ok(());
    }
    let device = on.device().as_cuda_device()?;
    let blocks = |count: usize| u32::try_from(count).map_err(candle_core::Error::wrap);
    let config = LaunchConfig {
        grid_dim: (blocks(x)?, blocks(y)?, 1),
        block_dim: (THREADS, 1, 1),
        shared_mem_bytes: 0,
    };
    // A thread whose first call this is has no context yet.
    device.cuda_stream().context().bind_to_thread().w()?;
    let function = {
        // Of two threads that load the same module candle drops the one that was loaded first.
        static LOADING: Mutex<()> = Mutex::new(());
        let _one = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
        device.get_or_load_custom_func(kernel, source.name, source.ptx)?
    };
    let mut launch = function.builder();
    for argument in arguments {
        match argument {
            Argument::Array(array) if array.gpu != device.location() => {
                bail!("{kernel}: arrays on {:?} and {:?}", array.gpu, device.location())
            }
            Argument::Array(array) => launch.arg(&array.begin),
            Argument::Count(value) => launch.arg(value),
            Argument::Number(value) => launch.arg(value),
        };
    }
    // SAFETY: the caller's; what the arguments borrow outlives the launch.
    unsafe { launch.launch(config) }.w()?;
    Ok(())
}

/// The name of a kernel for the numbers of a tensor.
pub(super) fn of_type(kernel: &str, tensor: &Tensor) -> Result<String> {
    match tensor.dtype() {
        DType::F32 => Ok(format!("{kernel}_f32")),
        DType::BF16 => Ok(format!("{kernel}_bf16")),
        other => bail!("no kernel takes {other:?}"),
    }
}

/// A tensor for a kernel to write to, every number of it, beside `like`.
pub(super) fn empty(shape: impl Into<Shape>, dtype: DType, like: &Tensor) -> Result<Tensor> {
    // SAFETY: what is there before are some numbers, in the memory of a GPU.
    unsafe { Tensor::empty(shape, dtype, like.device()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_as_many_threads_as_the_kernels_count_on() {
        let source = include_str!("../kernels/common.cuh");
        for (name, value) in [("THREADS", THREADS as usize), ("WARP", WARP)] {
            let line = format!("constexpr unsigned {name} = {value};");
            assert!(source.contains(&line), "no «{line}»");
        }
    }
}
