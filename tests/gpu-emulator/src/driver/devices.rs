//! The driver itself, its GPUs, and their contexts.

#![expect(unsafe_code, reason = "CUDA's interface is of pointers")]

use std::ffi::{c_char, c_int, c_uint};
use std::slice;

use super::attributes::attribute;
use super::log;
use super::settings::Settings;
use super::state::{self, Handle, Object, call, current, put, set_current, status};
use super::status::Status;

/// What every GPU is called.
const NAME: &[u8] = b"Emulated GPU\0";

/// Reads what was chosen, and makes the GPUs; a second call changes nothing.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuInit(flags: c_uint) -> Status {
    status(|| {
        let settings = Settings::of_process()?;
        if flags != 0 {
            return Err(Status::INVALID_VALUE);
        }
        if settings.gpus == 0 {
            return Err(Status::NO_DEVICE);
        }
        state::start(settings);
        log::at_exit();
        Ok(())
    })
}

/// The version of CUDA that the driver is for; it may be asked before `cuInit`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuDriverGetVersion(version: *mut c_int) -> Status {
    status(|| {
        let settings = Settings::of_process()?;
        // SAFETY: the caller's.
        unsafe { put(version, settings.driver) }
    })
}

/// How many GPUs there are.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuDeviceGetCount(count: *mut c_int) -> Status {
    call(|state| {
        let gpus = c_int::try_from(state.gpus.len()).unwrap_or(c_int::MAX);
        // SAFETY: the caller's.
        unsafe { put(count, gpus) }
    })
}

/// A GPU by its number, which it is known by.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuDeviceGet(device: *mut c_int, number: c_int) -> Status {
    call(|state| {
        state.gpu(number)?;
        // SAFETY: the caller's.
        unsafe { put(device, number) }
    })
}

/// A GPU's name, cut to `length` bytes with the zero at its end.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuDeviceGetName(
    name: *mut c_char,
    length: c_int,
    device: c_int,
) -> Status {
    call(|state| {
        state.gpu(device)?;
        let length = usize::try_from(length).unwrap_or(0);
        if name.is_null() || length == 0 {
            return Err(Status::INVALID_VALUE);
        }
        // SAFETY: the caller has as much room.
        let room = unsafe { slice::from_raw_parts_mut(name.cast::<u8>(), length) };
        let copied = NAME.len().min(length);
        room[..copied].copy_from_slice(&NAME[..copied]);
        room[copied - 1] = 0;
        Ok(())
    })
}

/// The 16 bytes that tell a GPU from all others.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuDeviceGetUuid_v2(uuid: *mut [u8; 16], device: c_int) -> Status {
    call(|state| {
        state.gpu(device)?;
        let mut bytes = *b"emulated GPU\0\0\0\0";
        bytes[12..].copy_from_slice(&device.to_be_bytes());
        // SAFETY: the caller's.
        unsafe { put(uuid, bytes) }
    })
}

/// Bytes of a GPU's memory.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuDeviceTotalMem_v2(bytes: *mut usize, device: c_int) -> Status {
    call(|state| {
        state.gpu(device)?;
        // SAFETY: the caller's.
        unsafe { put(bytes, state.settings.memory) }
    })
}

/// A property of a GPU.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuDeviceGetAttribute(
    value: *mut c_int,
    which: c_int,
    device: c_int,
) -> Status {
    call(|state| {
        state.gpu(device)?;
        let told = attribute(&state.settings, which).ok_or(Status::INVALID_VALUE)?;
        // SAFETY: the caller's.
        unsafe { put(value, told) }
    })
}

/// Holds a GPU's context, which is there as long as somebody does.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuDevicePrimaryCtxRetain(
    context: *mut Handle,
    device: c_int,
) -> Status {
    call(|state| {
        let gpu = state.gpu(device)?;
        gpu.error.map_or(Ok(()), Err)?;
        // SAFETY: the caller's.
        unsafe { put(context, gpu.context) }?;
        gpu.holders += 1;
        Ok(())
    })
}

/// Lets a GPU's context go; with the last who holds it goes everything that was made on the GPU.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuDevicePrimaryCtxRelease_v2(device: c_int) -> Status {
    call(|state| {
        let gpu = state.gpu(device)?;
        gpu.holders = gpu.holders.checked_sub(1).ok_or(Status::INVALID_CONTEXT)?;
        if gpu.holders == 0 {
            gpu.memory.clear();
            let stays = |object: &Object| matches!(object, Object::Context | Object::Pool);
            let number = usize::try_from(device).map_err(|_| Status::INVALID_DEVICE)?;
            state.objects.retain(|_, made| made.gpu != number || stays(&made.object));
        }
        Ok(())
    })
}

/// The thread's context; null where it has none.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuCtxGetCurrent(context: *mut Handle) -> Status {
    call(|_| {
        // SAFETY: the caller's.
        unsafe { put(context, current()) }
    })
}

/// Gives the thread a context, or none.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCtxSetCurrent(context: Handle) -> Status {
    call(|state| {
        if context != 0 {
            let made = state.objects.get(&context).ok_or(Status::INVALID_CONTEXT)?;
            if !matches!(made.object, Object::Context) || state.gpus[made.gpu].holders == 0 {
                return Err(Status::INVALID_CONTEXT);
            }
        }
        set_current(context);
        Ok(())
    })
}

/// Waits for everything that was asked of the thread's GPU: it is done already.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuCtxSynchronize() -> Status {
    call(|state| {
        state.current_gpu()?.memory.waited();
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::memory::cuMemFree_v2;
    use crate::driver::streams::{cuStreamCreate, cuStreamSynchronize};
    use crate::driver::tests::{GPUS, MEMORY, on_a_gpu, take, told};

    fn number() -> c_int {
        c_int::try_from(on_a_gpu()).expect("it is small")
    }

    #[test]
    fn a_gpu_is_described() {
        let (number, count) = (number(), c_int::try_from(GPUS).expect("it is small"));
        // SAFETY: the pointer is to a number.
        assert_eq!(told(|it| unsafe { cuDeviceGetCount(it) }), count);
        // SAFETY: the pointer is to a number.
        assert_eq!(told(|it| unsafe { cuDeviceGet(it, number) }), number);
        // SAFETY: the pointer is to a number.
        assert_eq!(told(|it| unsafe { cuDeviceTotalMem_v2(it, number) }), MEMORY);
        // SAFETY: the pointer is to a number.
        assert_eq!(told(|it| unsafe { cuDeviceGetAttribute(it, 75, number) }), 9);
        // SAFETY: the pointer is to as many bytes.
        let name = told(|it: *mut [u8; 9]| unsafe { cuDeviceGetName(it.cast(), 9, number) });
        assert_eq!(&name, b"Emulated\0");
        // SAFETY: the pointer is to as many bytes.
        let uuid = |number| told(|it| unsafe { cuDeviceGetUuid_v2(it, number) });
        assert_ne!(uuid(0), uuid(1));
    }

    #[test]
    fn the_driver_tells_its_version_without_being_started() {
        // SAFETY: the pointer is to a number.
        assert_eq!(told(|it| unsafe { cuDriverGetVersion(it) }), 13000);
        assert_eq!(cuInit(1), Status::INVALID_VALUE);
    }

    #[test]
    fn what_is_not_there_is_refused() {
        let (number, mut told) = (number(), 0);
        // SAFETY: `told` outlives the call.
        let answer = unsafe { cuDeviceGet(&raw mut told, c_int::MAX) };
        assert_eq!(answer, Status::INVALID_DEVICE);
        // SAFETY: `told` outlives the call.
        let answer = unsafe { cuDeviceGetAttribute(&raw mut told, 999, number) };
        assert_eq!(answer, Status::INVALID_VALUE);
        // SAFETY: a null pointer is refused.
        let answer = unsafe { cuDeviceGetCount(std::ptr::null_mut()) };
        assert_eq!(answer, Status::INVALID_VALUE);
        assert_eq!(cuCtxSetCurrent(12345), Status::INVALID_CONTEXT);
        assert_eq!((cuCtxSetCurrent(0), cuCtxSynchronize()), {
            (Status::SUCCESS, Status::INVALID_CONTEXT)
        });
    }

    #[test]
    fn with_its_last_holder_goes_what_a_context_has() {
        let (number, address) = (number(), take(4));
        // SAFETY: the pointer is to a handle.
        let context = told(|it| unsafe { cuCtxGetCurrent(it) });
        // SAFETY: the pointer is to a handle.
        let stream = told(|it| unsafe { cuStreamCreate(it, 1) });
        assert_eq!(cuDevicePrimaryCtxRelease_v2(number), Status::SUCCESS);
        assert_eq!(cuDevicePrimaryCtxRelease_v2(number), Status::INVALID_CONTEXT);
        assert_eq!(cuCtxSynchronize(), Status::INVALID_CONTEXT);
        assert_eq!(cuCtxSetCurrent(context), Status::INVALID_CONTEXT);
        // SAFETY: the pointer is to a handle.
        assert_eq!(told(|it| unsafe { cuDevicePrimaryCtxRetain(it, number) }), context);
        assert_eq!(cuStreamSynchronize(stream), Status::INVALID_HANDLE);
        assert_eq!(cuMemFree_v2(address), Status::INVALID_VALUE);
    }
}
