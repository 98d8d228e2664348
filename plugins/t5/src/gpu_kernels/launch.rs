//! What launches a kernel: its source, its arguments, its blocks.

#![expect(unsafe_code, reason = "what a kernel reads and writes is not checked by the compiler")]

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::{
    CudaStream, DevicePtr, LaunchConfig, PushKernelArg,
};
use candle_core::cuda_backend::{CudaStorageSlice, WrapErr};
use candle_core::{CudaStorage, DType, Result, Shape, Storage, Tensor, bail};

/// Threads of a block and of a warp: see `common.cuh`.
const THREADS: u32 = 256;
pub(super) const WARP: usize = 32;
/// Rows that a block takes which computes one with each of its warps.
pub(super) const WARPS: usize = THREADS as usize / WARP;
/// Most blocks of a grid that goes over an array in turns: enough to keep any GPU busy.
const MOST_BLOCKS: usize = 4096;

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

/// An argument of a kernel, as its declaration has it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Argument {
    /// A pointer: where a tensor's numbers begin on the GPU, or 0.
    Array(u64),
    /// A `size_t`.
    Count(u64),
    /// A `float`.
    Number(f32),
}

impl Argument {
    /// Of a tensor that is whole, in rows.
    pub(super) fn array(tensor: &Tensor) -> Result<Self> {
        let (storage, layout) = tensor.storage_and_layout();
        let (Storage::Cuda(storage), Some((start, _))) = (&*storage, layout.contiguous_offsets())
        else {
            bail!("a kernel wants a whole tensor on a GPU, this one is {layout:?}")
        };
        let stream = storage.device().cuda_stream();
        let begin = begin(storage, &stream)?;
        Ok(Self::Array(begin + (start * storage.dtype().size_in_bytes()) as u64))
    }

    /// Of a tensor that there may be; else a pointer to nothing.
    pub(super) fn array_or_none(tensor: Option<&Tensor>) -> Result<Self> {
        tensor.map_or(Ok(Self::Array(0)), Self::array)
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

    /// How many blocks there are.
    pub(super) fn count(self) -> usize {
        self.0 * self.1
    }
}

/// Launches a kernel on the stream of the GPU that `on` is on; nothing is waited for.
///
/// The caller answers for it: the arguments are those that the kernel declares, in their order, each
/// array is as long as the kernel takes it for, and none is written to that another tensor shares.
pub(super) fn launch(
    source: &Source,
    kernel: &str,
    on: &Tensor,
    Blocks(x, y): Blocks,
    arguments: &[Argument],
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
    let function = device.get_or_load_custom_func(kernel, source.name, source.ptx)?;
    let mut launch = function.builder();
    for argument in arguments {
        match argument {
            Argument::Array(value) | Argument::Count(value) => launch.arg(value),
            Argument::Number(value) => launch.arg(value),
        };
    }
    // SAFETY: arguments and arrays are what the kernel declares: the functions of this folder see to
    // it. What they borrow lives until the launch; what is freed later is freed on the same stream.
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
    // SAFETY: nobody reads it before the kernel that writes it, which is on the same stream.
    unsafe { Tensor::empty(shape, dtype, like.device()) }
}

/// The rows that a block adds up, of a sum over columns, and how many blocks that makes.
pub(super) fn blocks_of_rows(rows: usize) -> (usize, usize) {
    const ROWS: usize = 256;
    (ROWS, rows.div_ceil(ROWS))
}
