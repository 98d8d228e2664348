//! A GPU's pool of memory: what was freed and is kept for the next who wants some.

#![expect(unsafe_code, reason = "CUDA's interface is of pointers")]

use std::ffi::{c_int, c_void};

use super::state::{Gpu, Handle, Object, State, call, put};
use super::status::{Answer, Status};

/// `CU_MEMPOOL_ATTR_RELEASE_THRESHOLD` and the four accounts, all numbers of 64 bits.
const THRESHOLD: c_int = 4;
const RESERVED: c_int = 5;
const USED: c_int = 7;
const USED_AT_MOST: c_int = 8;

/// The pool that a GPU's memory comes from.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuDeviceGetMemPool(pool: *mut Handle, device: c_int) -> Status {
    call(|state| {
        let gpu = state.gpu(device)?;
        // SAFETY: the caller's.
        unsafe { put(pool, gpu.pool) }
    })
}

/// The pool that a GPU's memory comes from at first: there is no other.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuDeviceGetDefaultMemPool(
    pool: *mut Handle,
    device: c_int,
) -> Status {
    // SAFETY: the caller's.
    unsafe { cuDeviceGetMemPool(pool, device) }
}

/// One of a pool's numbers.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuMemPoolGetAttribute(
    pool: Handle,
    which: c_int,
    value: *mut c_void,
) -> Status {
    call(|state| {
        let memory = &of(state, pool)?.memory;
        let told = match which {
            THRESHOLD => memory.threshold(),
            RESERVED => memory.reserved() as u64,
            USED => memory.used() as u64,
            USED_AT_MOST => memory.peak() as u64,
            _ => return Err(Status::INVALID_VALUE),
        };
        // SAFETY: the caller's; these attributes have 64 bits.
        unsafe { put(value.cast(), told) }
    })
}

/// Sets how much a pool keeps.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuMemPoolSetAttribute(
    pool: Handle,
    which: c_int,
    value: *mut c_void,
) -> Status {
    call(|state| {
        let memory = &mut of(state, pool)?.memory;
        if which != THRESHOLD || value.is_null() {
            return Err(Status::INVALID_VALUE);
        }
        // SAFETY: the caller's; this attribute has 64 bits.
        memory.set_threshold(unsafe { value.cast::<u64>().read() });
        Ok(())
    })
}

/// Gives back what a pool keeps, but for so many bytes.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuMemPoolTrimTo(pool: Handle, keep: usize) -> Status {
    call(|state| {
        of(state, pool)?.memory.trim(keep as u64);
        Ok(())
    })
}

/// The GPU whose pool it is.
fn of(state: &mut State, pool: Handle) -> Answer<&mut Gpu> {
    let made = state.objects.get(&pool).ok_or(Status::INVALID_HANDLE)?;
    if !matches!(made.object, Object::Pool) {
        return Err(Status::INVALID_HANDLE);
    }
    let gpu = &mut state.gpus[made.gpu];
    gpu.error.map_or(Ok(gpu), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::devices::cuCtxSynchronize;
    use crate::driver::memory::cuMemFree_v2;
    use crate::driver::tests::{on_a_gpu, take, told};

    #[test]
    fn a_pool_keeps_as_much_as_it_is_told_to_until_it_is_trimmed() {
        let number = c_int::try_from(on_a_gpu()).expect("it is small");
        // SAFETY: the pointer is to a handle.
        let pool = told(|it| unsafe { cuDeviceGetDefaultMemPool(it, number) });
        let attribute = |which| {
            // SAFETY: the pointer is to a number of 64 bits.
            told(|it: *mut u64| unsafe { cuMemPoolGetAttribute(pool, which, it.cast()) })
        };
        let mut all = u64::MAX;
        // SAFETY: `all` has 64 bits.
        let set = unsafe { cuMemPoolSetAttribute(pool, THRESHOLD, (&raw mut all).cast()) };
        assert_eq!((set, attribute(THRESHOLD)), (Status::SUCCESS, all));
        assert_eq!(cuMemFree_v2(take(1000)), Status::SUCCESS);
        assert_eq!((cuCtxSynchronize(), attribute(RESERVED)), (Status::SUCCESS, 1024));
        assert_eq!((attribute(USED), attribute(USED_AT_MOST)), (0, 1024));
        assert_eq!((cuMemPoolTrimTo(pool, 0), attribute(RESERVED)), (Status::SUCCESS, 0));
        assert_eq!(cuMemPoolTrimTo(pool + 1, 0), Status::INVALID_HANDLE);
    }
}
