//! Modules, which are texts of PTX, and the kernels in them.

#![expect(unsafe_code, reason = "CUDA's interface is of pointers")]

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_void};

use super::state::{Handle, Object, State, call, complain, put};
use super::status::{Answer, Status};
use super::target;
use crate::ptx;

/// How files of compiled kernels begin: ELF, and NVIDIA's archive of images.
const COMPILED: [[u8; 4]; 2] = [*b"\x7fELF", 0xBA55_ED50_u32.to_le_bytes()];

/// A module, and the handles of those of its kernels that were asked for.
pub(crate) struct Loaded {
    pub(crate) ptx: ptx::Module,
    functions: BTreeMap<String, Handle>,
}

/// A kernel of a module.
#[derive(Debug, Clone)]
pub(crate) struct Function {
    pub(crate) module: Handle,
    pub(crate) name: String,
}

/// Reads a module from memory: PTX with a zero at its end.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuModuleLoadData(
    module: *mut Handle,
    image: *const c_void,
) -> Status {
    call(|state| {
        let gpu = state.current()?;
        // SAFETY: the caller's.
        let text = unsafe { text(image.cast()) }?;
        target::check(text, &state.settings)?;
        let ptx = ptx::Module::parse(text).map_err(|reason| {
            complain(&reason);
            Status::INVALID_PTX
        })?;
        let made = state.make(gpu, Object::Module(Loaded { ptx, functions: BTreeMap::new() }));
        // SAFETY: the caller's.
        unsafe { put(module, made) }
    })
}

/// Ends a module and its kernels.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuModuleUnload(module: Handle) -> Status {
    call(|state| {
        state.current()?;
        loaded(state, module)?;
        let is_of = |object: &Object| matches!(object, Object::Function(it) if it.module == module);
        state.objects.retain(|handle, made| *handle != module && !is_of(&made.object));
        Ok(())
    })
}

/// A kernel by its name.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuModuleGetFunction(
    function: *mut Handle,
    module: Handle,
    name: *const c_char,
) -> Status {
    call(|state| {
        let gpu = state.current()?;
        if name.is_null() {
            return Err(Status::INVALID_VALUE);
        }
        // SAFETY: the caller's: there is a zero at its end.
        let name = unsafe { CStr::from_ptr(name) }.to_str().map_err(|_| Status::NOT_FOUND)?;
        let found = loaded(state, module)?;
        found.ptx.kernel(name).ok_or(Status::NOT_FOUND)?;
        let known = found.functions.get(name).copied();
        let handle = known.unwrap_or_else(|| {
            let made = Function { module, name: name.to_owned() };
            state.make(gpu, Object::Function(made))
        });
        loaded(state, module)?.functions.insert(name.to_owned(), handle);
        // SAFETY: the caller's.
        unsafe { put(function, handle) }
    })
}

/// The PTX of an image.
///
/// # Errors
///
/// `INVALID_VALUE` for a null pointer, `INVALID_IMAGE` for compiled kernels and what is no text.
///
/// # Safety
///
/// The pointer is null, or to a text with a zero at its end, or to an image that begins as [`COMPILED`]
/// has it.
unsafe fn text<'a>(image: *const c_char) -> Answer<&'a str> {
    if image.is_null() {
        return Err(Status::INVALID_VALUE);
    }
    // SAFETY: the caller's: one byte is there, and the next as long as none was the zero at the end.
    let at = |place: usize| unsafe { image.cast::<u8>().add(place) };
    // SAFETY: as above.
    let byte = |place: usize| unsafe { at(place).read() };
    let begins = |start: &[u8; 4]| start.iter().enumerate().all(|(at, it)| byte(at) == *it);
    if COMPILED.iter().any(begins) {
        return Err(Status::INVALID_IMAGE);
    }
    // SAFETY: the caller's.
    unsafe { CStr::from_ptr(image) }.to_str().map_err(|_| Status::INVALID_IMAGE)
}

fn loaded(state: &mut State, module: Handle) -> Answer<&mut Loaded> {
    let made = state.objects.get_mut(&module).ok_or(Status::INVALID_HANDLE)?;
    if let Object::Module(loaded) = &mut made.object {
        Ok(loaded)
    } else {
        Err(Status::INVALID_HANDLE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::tests::{KERNELS, load, on_a_gpu};

    fn refused(image: *const c_char) -> Status {
        let mut module = 0;
        // SAFETY: each image of these tests is a text with its zero, or begins as compiled ones do.
        unsafe { cuModuleLoadData(&raw mut module, image.cast()) }
    }

    #[test]
    fn what_is_no_ptx_for_this_gpu_is_refused() {
        on_a_gpu();
        assert_eq!(refused(c"\x7fELF and so on".as_ptr()), Status::INVALID_IMAGE);
        assert_eq!(refused([0x50, 0xED, 0x55, 0xBA_u8].as_ptr().cast()), Status::INVALID_IMAGE);
        assert_eq!(refused(c"a text".as_ptr()), Status::INVALID_IMAGE);
        assert_eq!(
            refused(c".version 9.9\n.target sm_80".as_ptr()),
            Status::UNSUPPORTED_PTX_VERSION
        );
        assert_eq!(refused(c".version 9.0\n.target sm_99".as_ptr()), Status::INVALID_PTX);
        assert_eq!(refused(std::ptr::null()), Status::INVALID_VALUE);
    }

    #[test]
    fn a_kernel_is_found_by_its_name_in_its_module() {
        on_a_gpu();
        let (module, nothing) = load(KERNELS, c"nothing");
        assert_ne!(load(KERNELS, c"nothing").1, nothing, "of another module");
        let (mut same, mut none) = (0, 0);
        // SAFETY: both outlive the calls, and the names have their zeros.
        let found = unsafe { cuModuleGetFunction(&raw mut same, module, c"nothing".as_ptr()) };
        assert_eq!((found, same), (Status::SUCCESS, nothing));
        // SAFETY: as above.
        let found = unsafe { cuModuleGetFunction(&raw mut none, module, c"no_such".as_ptr()) };
        assert_eq!(found, Status::NOT_FOUND);
        assert_eq!(cuModuleUnload(module), Status::SUCCESS);
        assert_eq!(cuModuleUnload(module), Status::INVALID_HANDLE);
    }
}
