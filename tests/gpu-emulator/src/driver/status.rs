//! What the driver's functions answer.

#![expect(unsafe_code, reason = "CUDA's interface is of pointers")]

use std::ffi::{CStr, c_char};

use super::state::{put, status};

/// `CUresult`: 0, or why a call was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Status(u32);

/// What a function gives, or the status that it answers instead.
pub(crate) type Answer<T = ()> = Result<T, Status>;

impl Status {
    pub(crate) const SUCCESS: Self = Self(0);
    pub(crate) const INVALID_VALUE: Self = Self(1);
    pub(crate) const OUT_OF_MEMORY: Self = Self(2);
    pub(crate) const NOT_INITIALIZED: Self = Self(3);
    pub(crate) const NO_DEVICE: Self = Self(100);
    pub(crate) const INVALID_DEVICE: Self = Self(101);
    pub(crate) const INVALID_IMAGE: Self = Self(200);
    pub(crate) const INVALID_CONTEXT: Self = Self(201);
    pub(crate) const ECC_UNCORRECTABLE: Self = Self(214);
    pub(crate) const INVALID_PTX: Self = Self(218);
    pub(crate) const UNSUPPORTED_PTX_VERSION: Self = Self(222);
    pub(crate) const INVALID_HANDLE: Self = Self(400);
    pub(crate) const NOT_FOUND: Self = Self(500);
    pub(crate) const ILLEGAL_ADDRESS: Self = Self(700);
    pub(crate) const LAUNCH_FAILED: Self = Self(719);
    pub(crate) const NOT_SUPPORTED: Self = Self(801);
    pub(crate) const UNKNOWN: Self = Self(999);

    /// Name and meaning of a status, in the driver's words; `None` where it is none of ours.
    fn words(self) -> Option<(&'static CStr, &'static CStr)> {
        Some(match self {
            Self::SUCCESS => (c"CUDA_SUCCESS", c"no error"),
            Self::INVALID_VALUE => (c"CUDA_ERROR_INVALID_VALUE", c"invalid argument"),
            Self::OUT_OF_MEMORY => (c"CUDA_ERROR_OUT_OF_MEMORY", c"out of memory"),
            Self::NOT_INITIALIZED => (c"CUDA_ERROR_NOT_INITIALIZED", c"initialization error"),
            Self::NO_DEVICE => (c"CUDA_ERROR_NO_DEVICE", c"no CUDA-capable device is detected"),
            Self::INVALID_DEVICE => (c"CUDA_ERROR_INVALID_DEVICE", c"invalid device ordinal"),
            Self::INVALID_IMAGE => (c"CUDA_ERROR_INVALID_IMAGE", c"device kernel image is invalid"),
            Self::INVALID_CONTEXT => (c"CUDA_ERROR_INVALID_CONTEXT", c"invalid device context"),
            Self::ECC_UNCORRECTABLE => {
                (c"CUDA_ERROR_ECC_UNCORRECTABLE", c"uncorrectable ECC error encountered")
            }
            Self::INVALID_PTX => (c"CUDA_ERROR_INVALID_PTX", c"a PTX JIT compilation failed"),
            Self::UNSUPPORTED_PTX_VERSION => (
                c"CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
                c"the provided PTX was compiled with an unsupported toolchain.",
            ),
            Self::INVALID_HANDLE => (c"CUDA_ERROR_INVALID_HANDLE", c"invalid resource handle"),
            Self::NOT_FOUND => (c"CUDA_ERROR_NOT_FOUND", c"named symbol not found"),
            Self::ILLEGAL_ADDRESS => {
                (c"CUDA_ERROR_ILLEGAL_ADDRESS", c"an illegal memory access was encountered")
            }
            Self::LAUNCH_FAILED => (c"CUDA_ERROR_LAUNCH_FAILED", c"unspecified launch failure"),
            Self::NOT_SUPPORTED => (c"CUDA_ERROR_NOT_SUPPORTED", c"operation not supported"),
            Self::UNKNOWN => (c"CUDA_ERROR_UNKNOWN", c"unknown error"),
            Self(_) => return None,
        })
    }
}

/// Names a status, as `CUDA_ERROR_OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuGetErrorName(error: Status, name: *mut *const c_char) -> Status {
    status(|| {
        let (words, _) = error.words().ok_or(Status::INVALID_VALUE)?;
        // SAFETY: the caller's.
        unsafe { put(name, words.as_ptr()) }
    })
}

/// Says what a status means, as "out of memory".
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuGetErrorString(
    error: Status,
    text: *mut *const c_char,
) -> Status {
    status(|| {
        let (_, words) = error.words().ok_or(Status::INVALID_VALUE)?;
        // SAFETY: the caller's.
        unsafe { put(text, words.as_ptr()) }
    })
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;

    #[test]
    fn a_status_has_a_name_unless_it_is_none_of_ours() {
        let mut name = ptr::null();
        // SAFETY: `name` outlives the call.
        let answer = unsafe { cuGetErrorName(Status::OUT_OF_MEMORY, &raw mut name) };
        assert_eq!(answer, Status::SUCCESS);
        // SAFETY: the driver's names are constants.
        assert_eq!(unsafe { CStr::from_ptr(name) }, c"CUDA_ERROR_OUT_OF_MEMORY");
        // SAFETY: `name` outlives the call.
        let answer = unsafe { cuGetErrorString(Status(12345), &raw mut name) };
        assert_eq!(answer, Status::INVALID_VALUE);
    }
}
