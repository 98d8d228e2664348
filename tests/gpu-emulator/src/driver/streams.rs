//! Streams and events: names, since everything is done when a call returns.

#![expect(unsafe_code, reason = "CUDA's interface is of pointers")]

use std::ffi::{c_int, c_uint};

use super::state::{Handle, Object, call, put};
use super::status::Status;

/// Makes a stream on the thread's GPU.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuStreamCreate(stream: *mut Handle, _flags: c_uint) -> Status {
    call(|state| {
        let gpu = state.current()?;
        let made = state.make(gpu, Object::Stream);
        // SAFETY: the caller's.
        unsafe { put(stream, made) }
    })
}

/// Ends a stream that was made.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamDestroy_v2(stream: Handle) -> Status {
    call(|state| {
        state.stream(stream)?;
        state.objects.remove(&stream).map(|_| ()).ok_or(Status::INVALID_HANDLE)
    })
}

/// Waits for what was asked on a stream: it is done already.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamSynchronize(stream: Handle) -> Status {
    call(|state| {
        let gpu = state.stream(stream)?;
        state.gpus[gpu].memory.waited();
        Ok(())
    })
}

/// Lets a stream wait for an event: it has happened already.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuStreamWaitEvent(
    stream: Handle,
    event: Handle,
    _flags: c_uint,
) -> Status {
    call(|state| {
        state.stream(stream)?;
        state.event(event).map(|_| ())
    })
}

/// Whether what is asked on a stream is recorded for later: it never is.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuStreamIsCapturing(stream: Handle, told: *mut c_int) -> Status {
    call(|state| {
        state.stream(stream)?;
        // SAFETY: the caller's.
        unsafe { put(told, 0) }
    })
}

/// Makes an event on the thread's GPU.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuEventCreate(event: *mut Handle, _flags: c_uint) -> Status {
    call(|state| {
        let gpu = state.current()?;
        let made = state.make(gpu, Object::Event);
        // SAFETY: the caller's.
        unsafe { put(event, made) }
    })
}

/// Ends an event.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuEventDestroy_v2(event: Handle) -> Status {
    call(|state| {
        state.event(event)?;
        state.objects.remove(&event).map(|_| ()).ok_or(Status::INVALID_HANDLE)
    })
}

/// Lets an event happen once a stream has come so far: it has.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuEventRecord(event: Handle, stream: Handle) -> Status {
    call(|state| {
        state.stream(stream)?;
        state.event(event).map(|_| ())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::tests::{on_a_gpu, told};

    fn stream() -> Handle {
        // SAFETY: the pointer is to a handle.
        told(|it| unsafe { cuStreamCreate(it, 1) })
    }

    #[test]
    fn a_stream_waits_for_an_event_of_another_one_and_records_nothing() {
        on_a_gpu();
        // SAFETY: the pointer is to a handle.
        let (stream, event) = (stream(), told(|it| unsafe { cuEventCreate(it, 2) }));
        assert_eq!(cuEventRecord(event, stream), Status::SUCCESS);
        assert_eq!(cuStreamWaitEvent(0, event, 0), Status::SUCCESS);
        // SAFETY: the pointer is to a number.
        assert_eq!(told(|it| unsafe { cuStreamIsCapturing(stream, it) }), 0);
    }

    #[test]
    fn a_handle_that_is_not_known_is_refused() {
        on_a_gpu();
        // SAFETY: the pointer is to a handle.
        let (stream, event) = (stream(), told(|it| unsafe { cuEventCreate(it, 2) }));
        assert_eq!(cuStreamWaitEvent(stream, stream, 0), Status::INVALID_HANDLE);
        assert_eq!(cuStreamSynchronize(event), Status::INVALID_HANDLE);
        assert_eq!(cuEventDestroy_v2(event), Status::SUCCESS);
        assert_eq!(cuEventDestroy_v2(event), Status::INVALID_HANDLE);
        assert_eq!(cuStreamDestroy_v2(stream), Status::SUCCESS);
        assert_eq!(cuStreamSynchronize(stream), Status::INVALID_HANDLE);
        assert_eq!(cuStreamDestroy_v2(0), Status::INVALID_HANDLE);
    }

    #[test]
    fn a_stream_of_another_gpu_is_refused() {
        on_a_gpu();
        let stream = stream();
        on_a_gpu();
        assert_eq!(cuStreamSynchronize(stream), Status::INVALID_HANDLE);
    }
}
