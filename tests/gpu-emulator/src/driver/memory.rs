//! A GPU's memory: taking it, giving it back, copying, filling.

#![expect(unsafe_code, reason = "memory is copied by address")]

use std::ffi::{c_uchar, c_void};
use std::ptr;

use super::allocations::at;
use super::state::{Handle, call, put};
use super::status::Status;

/// Takes memory of the thread's GPU; nothing is no length.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuMemAlloc_v2(address: *mut u64, bytes: usize) -> Status {
    call(|state| {
        let gpu = state.current_gpu()?;
        if bytes == 0 {
            return Err(Status::INVALID_VALUE);
        }
        let taken = gpu.memory.take(bytes)?;
        // SAFETY: the caller's.
        unsafe { put(address, taken) }
    })
}

/// Takes memory of a stream's GPU from its pool; the address of no bytes is 0.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuMemAllocAsync(
    address: *mut u64,
    bytes: usize,
    stream: Handle,
) -> Status {
    call(|state| {
        let gpu = state.stream(stream)?;
        let taken = if bytes == 0 { 0 } else { state.gpus[gpu].memory.take(bytes)? };
        // SAFETY: the caller's.
        unsafe { put(address, taken) }
    })
}

/// Gives back memory of the thread's GPU at once; the address 0 is nobody's.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemFree_v2(address: u64) -> Status {
    call(|state| {
        let memory = &mut state.current_gpu()?.memory;
        if address != 0 {
            memory.give_back(address)?;
            memory.waited();
        }
        Ok(())
    })
}

/// Gives back memory to the pool of a stream's GPU; the address 0 is nobody's.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemFreeAsync(address: u64, stream: Handle) -> Status {
    call(|state| {
        let gpu = state.stream(stream)?;
        if address == 0 { Ok(()) } else { state.gpus[gpu].memory.give_back(address) }
    })
}

/// Bytes of the thread's GPU that are free, and all of them.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> Status {
    call(|state| {
        let unused = state.current_gpu()?.memory.free();
        // SAFETY: the caller's.
        unsafe { put(free, unused) }?;
        // SAFETY: the caller's.
        unsafe { put(total, state.settings.memory) }
    })
}

/// Copies from the process to a GPU.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuMemcpyHtoDAsync_v2(
    to: u64,
    from: *const c_void,
    bytes: usize,
    stream: Handle,
) -> Status {
    call(|state| {
        let gpu = state.stream(stream)?;
        state.gpus[gpu].check(to, bytes)?;
        if bytes > 0 && from.is_null() {
            return Err(Status::INVALID_VALUE);
        }
        // SAFETY: so much is allocated, and so much the caller has.
        unsafe { ptr::copy(from.cast::<u8>(), at(to), bytes) };
        Ok(())
    })
}

/// Copies from a GPU to the process.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuMemcpyDtoHAsync_v2(
    to: *mut c_void,
    from: u64,
    bytes: usize,
    stream: Handle,
) -> Status {
    call(|state| {
        let gpu = state.stream(stream)?;
        state.gpus[gpu].check(from, bytes)?;
        if bytes > 0 && to.is_null() {
            return Err(Status::INVALID_VALUE);
        }
        // SAFETY: so much is allocated, and for so much the caller has room.
        unsafe { ptr::copy(at::<u8>(from).cast_const(), to.cast::<u8>(), bytes) };
        Ok(())
    })
}

/// Copies within a GPU.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemcpyDtoDAsync_v2(
    to: u64,
    from: u64,
    bytes: usize,
    stream: Handle,
) -> Status {
    call(|state| {
        let gpu = state.stream(stream)?;
        state.gpus[gpu].check(to, bytes)?;
        state.gpus[gpu].check(from, bytes)?;
        // SAFETY: so much is allocated at both.
        unsafe { ptr::copy(at::<u8>(from).cast_const(), at(to), bytes) };
        Ok(())
    })
}

/// As [`cuMemcpyHtoDAsync_v2`], on the default stream of the thread's GPU.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuMemcpyHtoD_v2(
    to: u64,
    from: *const c_void,
    bytes: usize,
) -> Status {
    // SAFETY: the caller's.
    unsafe { cuMemcpyHtoDAsync_v2(to, from, bytes, 0) }
}

/// As [`cuMemcpyDtoHAsync_v2`], on the default stream of the thread's GPU.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuMemcpyDtoH_v2(
    to: *mut c_void,
    from: u64,
    bytes: usize,
) -> Status {
    // SAFETY: the caller's.
    unsafe { cuMemcpyDtoHAsync_v2(to, from, bytes, 0) }
}

/// As [`cuMemcpyDtoDAsync_v2`], on the default stream of the thread's GPU.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemcpyDtoD_v2(to: u64, from: u64, bytes: usize) -> Status {
    cuMemcpyDtoDAsync_v2(to, from, bytes, 0)
}

/// Fills a GPU's memory with a byte.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemsetD8Async(
    address: u64,
    byte: c_uchar,
    bytes: usize,
    stream: Handle,
) -> Status {
    call(|state| {
        let gpu = state.stream(stream)?;
        state.gpus[gpu].check(address, bytes)?;
        // SAFETY: so much is allocated.
        unsafe { ptr::write_bytes(at::<u8>(address), byte, bytes) };
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::devices::cuCtxSynchronize;
    use crate::driver::tests::{MEMORY, on_a_gpu, take};

    fn free() -> usize {
        let (mut free, mut total) = (0, 0);
        // SAFETY: both outlive the call.
        let answer = unsafe { cuMemGetInfo_v2(&raw mut free, &raw mut total) };
        assert_eq!((answer, total), (Status::SUCCESS, MEMORY));
        free
    }

    #[test]
    fn a_gpu_s_memory_is_taken_and_given_back() {
        on_a_gpu();
        let address = take(MEMORY);
        let mut other = 0;
        // SAFETY: `other` outlives the call.
        let answer = unsafe { cuMemAlloc_v2(&raw mut other, 1) };
        assert_eq!((answer, free()), (Status::OUT_OF_MEMORY, 0));
        assert_eq!(cuMemFree_v2(address), Status::SUCCESS);
        assert_eq!((cuMemFree_v2(address), free()), (Status::INVALID_VALUE, MEMORY));
    }

    #[test]
    fn what_is_freed_on_a_stream_is_back_when_somebody_has_waited() {
        on_a_gpu();
        let mut address = 0;
        // SAFETY: `address` outlives the call.
        let answer = unsafe { cuMemAllocAsync(&raw mut address, 512, 2) };
        assert_eq!((answer, cuMemFreeAsync(address, 2)), (Status::SUCCESS, Status::SUCCESS));
        assert_eq!(free(), MEMORY - 512);
        assert_eq!((cuCtxSynchronize(), free()), (Status::SUCCESS, MEMORY));
    }

    #[test]
    fn bytes_go_to_a_gpu_within_it_and_back() {
        on_a_gpu();
        let (one, two) = (take(4), take(4));
        let mut back = [0_u8; 4];
        // SAFETY: both arrays have four bytes.
        let fresh = unsafe { cuMemcpyDtoH_v2(back.as_mut_ptr().cast(), one, 4) };
        assert_eq!((fresh, back), (Status::SUCCESS, [0xCB; 4]));
        // SAFETY: as above.
        let there = unsafe { cuMemcpyHtoD_v2(one, [1_u8, 2, 3, 4].as_ptr().cast(), 4) };
        assert_eq!(there, Status::SUCCESS);
        assert_eq!(cuMemcpyDtoD_v2(two, one, 4), Status::SUCCESS);
        assert_eq!(cuMemsetD8Async(two + 3, 9, 1, 0), Status::SUCCESS);
        // SAFETY: as above.
        let and_back = unsafe { cuMemcpyDtoH_v2(back.as_mut_ptr().cast(), two, 4) };
        assert_eq!((and_back, back), (Status::SUCCESS, [1, 2, 3, 9]));
    }

    #[test]
    fn what_is_not_all_in_one_piece_of_memory_is_not_copied() {
        on_a_gpu();
        let (address, mut room) = (take(4), [0_u8; 8]);
        // SAFETY: the array has eight bytes.
        let answer = unsafe { cuMemcpyDtoH_v2(room.as_mut_ptr().cast(), address, 5) };
        assert_eq!((answer, room), (Status::INVALID_VALUE, [0; 8]));
        assert_eq!(cuMemcpyDtoD_v2(address, address + 1, 4), Status::INVALID_VALUE);
        assert_eq!(cuMemsetD8Async(address - 1, 0, 1, 0), Status::INVALID_VALUE);
    }
}
