//! cuBLAS: the functions of `libcublas.so` that multiply matrices.
//!
//! Products are summed in `f32`, or `f64` for matrices of these, in order, and rounded once at the end;
//! a GPU has an order of its own. `CUBLAS_COMPUTE_16F` is summed in `f32` too.
//!
//! # Safety
//!
//! As of [`crate::driver`]: the factors' pointers are to numbers of the type that the function
//! names, matrices are checked.

#![expect(unsafe_code, reason = "cuBLAS's interface is of pointers")]

mod gemm;
mod multiply;
mod numbers;
mod products;
#[cfg(test)]
mod tests;

use std::ffi::c_int;

use crate::driver::{Handle, Object, State, with};

/// `cublasStatus_t`: 0, or why a call was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Status(u32);

/// What a function gives, or the status that it answers instead.
type Answer<T = ()> = Result<T, Status>;

impl Status {
    pub(crate) const SUCCESS: Self = Self(0);
    pub(crate) const NOT_INITIALIZED: Self = Self(1);
    pub(crate) const INVALID_VALUE: Self = Self(7);
    pub(crate) const EXECUTION_FAILED: Self = Self(13);
    pub(crate) const INTERNAL_ERROR: Self = Self(14);
    pub(crate) const NOT_SUPPORTED: Self = Self(15);
}

/// Where factors are: `cublasPointerMode_t`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PointerMode {
    Host,
    Device,
}

/// Prepares for products on the thread's GPU.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cublasCreate_v2(handle: *mut Handle) -> Status {
    call(|state| {
        let gpu = state.current().map_err(|_| Status::NOT_INITIALIZED)?;
        let made = state.make(gpu, Object::Blas(PointerMode::Host));
        // SAFETY: the caller's.
        unsafe { put(handle, made) }
    })
}

/// Ends what was prepared, even on a GPU that has failed.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cublasDestroy_v2(handle: Handle) -> Status {
    call(|state| {
        find(state, handle)?;
        state.objects.remove(&handle);
        Ok(())
    })
}

/// Lets products be on a stream: all are, since everything is done when a call returns.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cublasSetStream_v2(handle: Handle, stream: Handle) -> Status {
    call(|state| {
        find(state, handle)?;
        state.stream(stream).map(|_| ()).map_err(|_| Status::INVALID_VALUE)
    })
}

/// Where factors are.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cublasGetPointerMode_v2(
    handle: Handle,
    mode: *mut c_int,
) -> Status {
    call(|state| {
        let told = c_int::from(*find(state, handle)?.1 == PointerMode::Device);
        // SAFETY: the caller's.
        unsafe { put(mode, told) }
    })
}

/// Sets where factors are.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cublasSetPointerMode_v2(handle: Handle, mode: c_int) -> Status {
    call(|state| {
        *find(state, handle)?.1 = match mode {
            0 => PointerMode::Host,
            1 => PointerMode::Device,
            _ => return Err(Status::INVALID_VALUE),
        };
        Ok(())
    })
}

fn call(call: impl FnOnce(&mut State) -> Answer) -> Status {
    with(Status::NOT_INITIALIZED, Status::INTERNAL_ERROR, call).err().unwrap_or(Status::SUCCESS)
}

/// The GPU's number, and where factors are.
fn find(state: &mut State, handle: Handle) -> Answer<(usize, &mut PointerMode)> {
    let found = state.objects.get_mut(&handle).ok_or(Status::NOT_INITIALIZED)?;
    let Object::Blas(mode) = &mut found.object else { return Err(Status::NOT_INITIALIZED) };
    Ok((found.gpu, mode))
}

/// Writes an answer to where the caller points.
///
/// # Safety
///
/// A pointer that is not null is to room for a `T`.
unsafe fn put<T>(place: *mut T, value: T) -> Answer {
    // SAFETY: the caller's.
    unsafe { crate::driver::put(place, value) }.map_err(|_| Status::INVALID_VALUE)
}
