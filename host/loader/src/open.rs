//! Opening a library whose descriptor has been checked.

#![expect(unsafe_code, reason = "opening a shared library is unsafe by nature")]

use std::mem::ManuallyDrop;
use std::path::Path;

use abi_stable::library::{LibHeader, lib_header_from_path};
use deft_core::Result;
use deft_core::abi::v1::PluginModuleRef;

use crate::layout::library_error;
use crate::linker::linker_error;

/// Opens the library and keeps it open for good.
pub(crate) fn open_library(path: &Path) -> Result<()> {
    // SAFETY: the descriptor says that the file is a plugin; running its constructors is what
    // loading a plugin means, and docs/security.md tells users to load only what they trust.
    let library = unsafe { open_now(path) };
    match library {
        Ok(library) => {
            let _kept_open = ManuallyDrop::new(library);
            Ok(())
        }
        Err(error) => Err(linker_error(&error)),
    }
}

/// Opens a library with every symbol bound: one that is missing is an error now, not the end of
/// the process at its first call.
#[cfg(unix)]
unsafe fn open_now(path: &Path) -> Result<libloading::os::unix::Library, libloading::Error> {
    use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
    // SAFETY: the caller's.
    unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }
}

#[cfg(not(unix))]
unsafe fn open_now(path: &Path) -> Result<libloading::Library, libloading::Error> {
    // SAFETY: the caller's.
    unsafe { libloading::Library::new(path) }
}

/// The functions of a library that is open, once their layout has been compared with ours.
pub(crate) fn root_module(path: &Path) -> Result<PluginModuleRef> {
    let header = lib_header_from_path(path).map_err(|error| library_error(None, &error))?;
    LibHeader::init_root_module::<PluginModuleRef>(header)
        .map_err(|error| library_error(header.layout(), &error))
}
