//! What a launch is given, and how it can fail: the seam between the driver and the machine.

use std::ops::AddAssign;

/// A kernel's grid, and its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Launch<'a> {
    /// Blocks in each direction.
    pub(crate) grid: [u32; 3],
    /// Threads of a block in each direction.
    pub(crate) block: [u32; 3],
    /// Bytes of shared memory that the kernel does not declare itself.
    pub(crate) shared_bytes: usize,
    /// The bytes of each parameter, as many as the kernel declares
    /// ([`Kernel::parameters`](crate::ptx::Kernel)).
    pub(crate) arguments: &'a [Vec<u8>],
}

/// What a launch has cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Work {
    /// Instructions of all threads.
    pub(crate) instructions: u64,
    /// Bytes of global memory that they have read and written, each time that they did.
    pub(crate) bytes: u64,
}

impl AddAssign for Work {
    fn add_assign(&mut self, more: Self) {
        self.instructions += more.instructions;
        self.bytes += more.bytes;
    }
}

/// Which addresses a kernel may use: what the driver has allocated.
pub(crate) trait Memory: Sync {
    /// Whether all of `length` bytes from an address are in one allocation.
    fn holds(&self, address: u64, length: usize) -> bool;
}

/// Why a launch ended before its end, in words with the kernel's name and the line of its PTX.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// An address that is not allocated, or not aligned: `CUDA_ERROR_ILLEGAL_ADDRESS`.
    Address(String),
    /// An instruction that the machine does not know, a barrier that is never passed, too many
    /// threads, `trap`: `CUDA_ERROR_LAUNCH_FAILED`.
    Failed(String),
}
