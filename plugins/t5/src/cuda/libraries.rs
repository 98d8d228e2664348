//! CUDA's libraries, opened when the first function of theirs is called.

#![expect(unsafe_code, reason = "opening a library and finding its functions is unsafe by nature")]

use std::env;
use std::error::Error;
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The variable with the folders that are searched before the system's, separated by colons.
const FOLDERS: &str = "DEFT_CUDA_LIB_DIR";

/// The place of the driver in [`LIBRARIES`].
pub(super) const DRIVER: usize = 0;
/// The place of cuBLAS.
pub(super) const CUBLAS: usize = 1;
/// The place of cuRAND.
pub(super) const CURAND: usize = 2;

/// The libraries whose functions `functions.rs` stands in for.
///
/// A file's number is that of its interface: cuBLAS changes it with each major version of CUDA, the
/// two others have kept theirs.
pub(super) static LIBRARIES: [Library; 3] = [
    Library::new("libcuda.so.1", no_device),
    Library::new(concat!("libcublas.so.", env!("DEFT_CUDA_MAJOR")), cublas_not_initialized),
    Library::new("libcurand.so.10", curand_initialization_failed),
];

/// `CUDA_ERROR_NO_DEVICE`, which the driver itself answers where there is no GPU.
extern "C" fn no_device() -> c_int {
    100
}

/// `CUBLAS_STATUS_NOT_INITIALIZED`.
extern "C" fn cublas_not_initialized() -> c_int {
    1
}

/// `CURAND_STATUS_INITIALIZATION_FAILED`.
extern "C" fn curand_initialization_failed() -> c_int {
    203
}

/// A library that is opened once, at first use, and stays open.
pub(super) struct Library {
    /// The file's name, as the loader finds it.
    pub(super) file: &'static str,
    /// Called in the place of a function that is not there: it takes no notice of the arguments and
    /// answers with an error code, so it can stand for every function that returns a status.
    absent: extern "C" fn() -> c_int,
    opened: OnceLock<Result<libloading::Library, String>>,
}

impl Library {
    /// A library that has not been opened.
    const fn new(file: &'static str, absent: extern "C" fn() -> c_int) -> Self {
        Self { file, absent, opened: OnceLock::new() }
    }

    /// The library, or the reasons of the loader for each place where it was sought.
    pub(super) fn open(&self) -> Result<&libloading::Library, &str> {
        let folders = || env::var_os(FOLDERS).unwrap_or_default();
        self.opened.get_or_init(|| search(self.file, &folders())).as_ref().map_err(String::as_str)
    }

    /// The address of a function, or that of [`Self::absent`].
    fn address(&self, name: &CStr) -> *mut c_void {
        self.find(name).unwrap_or(self.absent as *mut c_void)
    }

    fn find(&self, name: &CStr) -> Option<*mut c_void> {
        let library = self.open().ok()?;
        // SAFETY: a symbol's address is a pointer of whatever type, and nothing is read from it here.
        let symbol = unsafe { library.get::<*mut c_void>(name) }.ok()?;
        Some(*symbol).filter(|address| !address.is_null())
    }
}

/// Opens a file from the first of the folders where that succeeds, else as the system's loader does.
fn search(file: &str, folders: &OsStr) -> Result<libloading::Library, String> {
    let mut reasons = Vec::new();
    for folder in env::split_paths(folders).filter(|folder| !folder.as_os_str().is_empty()) {
        let opened = if folder.is_absolute() {
            open(&folder.join(file))
        } else {
            Err(format!("`{}` in `{FOLDERS}` is not an absolute path", folder.display()))
        };
        match opened {
            Ok(library) => return Ok(library),
            Err(reason) => reasons.push(reason),
        }
    }
    open(Path::new(file)).map_err(|reason| {
        reasons.push(reason);
        reasons.join("; ")
    })
}

/// Opens one file; the reason names it.
fn open(path: &Path) -> Result<libloading::Library, String> {
    // SAFETY: these are NVIDIA's libraries, whose constructors ask nothing of the program.
    let opened = unsafe { libloading::Library::new(path) };
    opened.map_err(|error| error.source().map_or_else(|| error.to_string(), ToString::to_string))
}

/// What the assembly knows of a function; it has the same fields in the same order.
#[repr(C)]
pub(super) struct Function {
    /// Where the function is; null until its first call.
    address: AtomicPtr<c_void>,
    /// Its name, with a zero at the end.
    name: *const c_char,
    /// The place of its library in [`LIBRARIES`].
    library: usize,
}

/// Finds a function at its first call, notes its address, and returns that.
///
/// Two threads may do it at once: both find the same.
///
/// # Safety
///
/// `function` is a record that the assembly has made.
pub(super) unsafe extern "C" fn resolve(function: *const Function) -> *mut c_void {
    // SAFETY: the caller's; records are never moved or freed.
    let function = unsafe { &*function };
    // SAFETY: the assembly ends each name with a zero.
    let name = unsafe { CStr::from_ptr(function.name) };
    let address = LIBRARIES[function.library].address(name);
    function.address.store(address, Ordering::Release);
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_absent_has_no_function() {
        let library = Library::new("libdeft-absent.so.1", no_device);
        assert!(library.find(c"cuInit").is_none());
    }

    #[test]
    fn a_function_is_found_if_the_library_has_it() {
        let library = Library::new("libc.so.6", no_device);
        assert!(library.find(c"strlen").is_some());
        assert!(library.find(c"cuInit").is_none());
    }

    #[test]
    fn every_place_is_named_where_a_library_was_sought() {
        let reason = search("libdeft-absent.so.1", OsStr::new("/nowhere:here")).unwrap_err();
        let places: Vec<_> = reason.split("; ").collect();
        assert_eq!(places.len(), 3, "{reason}");
        assert!(places[0].starts_with("/nowhere/libdeft-absent.so.1: "), "{reason}");
        assert_eq!(places[1], "`here` in `DEFT_CUDA_LIB_DIR` is not an absolute path");
        assert!(places[2].starts_with("libdeft-absent.so.1: "), "{reason}");
    }
}
