//! What a GPU says of itself.

use std::ffi::c_int;

use super::settings::Settings;

/// The most threads of a block.
pub(crate) const THREADS_OF_BLOCK: u32 = 1024;
/// The most threads of a block in each direction.
pub(crate) const BLOCK: [u32; 3] = [1024, 1024, 64];
/// The most blocks in each direction.
pub(crate) const GRID: [u32; 3] = [i32::MAX as u32, 65535, 65535];
/// Threads that a multiprocessor has at once.
const THREADS_OF_MULTIPROCESSOR: u32 = 2048;
/// Bytes of shared memory that a launch may ask for.
pub(crate) const SHARED: usize = 48 << 10;
/// Bytes that a kernel may be allowed, which nobody does (`cuFuncSetAttribute` is not here): what every
/// GPU from 8.0 on has.
const SHARED_ASKED: usize = 99 << 10;
/// Bytes of shared memory of a multiprocessor, 1 KiB of it the driver's own for each block.
const SHARED_OF_MULTIPROCESSOR: usize = 100 << 10;

/// A `CUdevice_attribute`; `None` for one that nobody has asked for yet.
pub(crate) fn attribute(settings: &Settings, which: c_int) -> Option<c_int> {
    let unsigned = match which {
        1 => THREADS_OF_BLOCK,
        2..=4 => BLOCK[usize::try_from(which - 2).ok()?],
        5..=7 => GRID[usize::try_from(which - 5).ok()?],
        8 => u32::try_from(SHARED).ok()?,
        // Threads of a warp.
        10 => 32,
        // Registers of a block, and of a multiprocessor.
        12 | 82 => 65536,
        // Multiprocessors.
        16 => 4,
        39 => THREADS_OF_MULTIPROCESSOR,
        75 => settings.capability.0,
        76 => settings.capability.1,
        81 => u32::try_from(SHARED_OF_MULTIPROCESSOR).ok()?,
        97 => u32::try_from(SHARED_ASKED).ok()?,
        // Addresses are the process's; there are pools of memory.
        41 | 115 => 1,
        _ => return None,
    };
    c_int::try_from(unsigned).ok()
}
