//! Launching kernels.

#![expect(unsafe_code, reason = "CUDA's interface is of pointers")]

use std::ffi::{c_uint, c_void};
use std::{ptr, slice};

use super::attributes::{BLOCK, GRID, SHARED, THREADS_OF_BLOCK};
use super::modules::Function;
use super::state::{Handle, Object, State, call};
use super::status::{Answer, Status};
use crate::machine;
use crate::machine::launch::{Fault, Launch};
use crate::ptx;

/// Runs a kernel to its end.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cuLaunchKernel(
    function: Handle,
    grid_x: c_uint,
    grid_y: c_uint,
    grid_z: c_uint,
    block_x: c_uint,
    block_y: c_uint,
    block_z: c_uint,
    shared_bytes: c_uint,
    stream: Handle,
    arguments: *mut *mut c_void,
    packed_arguments: *mut *mut c_void,
) -> Status {
    call(|state| {
        let gpu = state.stream(stream)?;
        let (grid, block) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
        let shared_bytes = shared_bytes as usize;
        let function = find(state, gpu, function)?.clone();
        if !fits(grid, GRID) || !fits(block, BLOCK) || shared_bytes > SHARED {
            return Err(Status::INVALID_VALUE);
        }
        if block.iter().product::<u32>() > THREADS_OF_BLOCK {
            return Err(Status::INVALID_VALUE);
        }
        if !packed_arguments.is_null() {
            return Err(Status::NOT_SUPPORTED);
        }
        let kernel = kernel(state, &function)?.1;
        // SAFETY: the caller's.
        let arguments = unsafe { copy(kernel, arguments) }?;
        run(state, gpu, &function, &Launch { grid, block, shared_bytes, arguments: &arguments })
    })
}

/// Runs a kernel; what goes wrong in it stays with the GPU.
fn run(state: &mut State, gpu: usize, function: &Function, launch: &Launch<'_>) -> Answer {
    state.gpus[gpu].launch(&function.name)?;
    let (module, kernel) = kernel(state, function)?;
    let ended = machine::run(module, kernel, launch, &state.gpus[gpu].memory);
    let noted = ended.map(|work| state.gpus[gpu].add_work(&function.name, work));
    noted.map_err(|fault| {
        let (status, text) = match fault {
            Fault::Address(text) => (Status::ILLEGAL_ADDRESS, text),
            Fault::Failed(text) => (Status::LAUNCH_FAILED, text),
        };
        state.gpus[gpu].fail(status, &text)
    })
}

/// A kernel of a GPU by its handle.
fn find(state: &State, gpu: usize, function: Handle) -> Answer<&Function> {
    let made = state.objects.get(&function).filter(|made| made.gpu == gpu);
    match made.map(|made| &made.object) {
        Some(Object::Function(function)) => Ok(function),
        _ => Err(Status::INVALID_HANDLE),
    }
}

/// A kernel and its module.
fn kernel<'a>(state: &'a State, function: &Function) -> Answer<(&'a ptx::Module, &'a ptx::Kernel)> {
    let made = state.objects.get(&function.module).ok_or(Status::INVALID_HANDLE)?;
    let Object::Module(loaded) = &made.object else { return Err(Status::INVALID_HANDLE) };
    let kernel = loaded.ptx.kernel(&function.name).ok_or(Status::NOT_FOUND)?;
    Ok((&loaded.ptx, kernel))
}

/// Copies the arguments of a kernel.
///
/// # Errors
///
/// `INVALID_VALUE` if there are none and it wants some.
///
/// # Safety
///
/// The pointer is null, or to one pointer for each of the kernel's parameters, and each of them is null
/// or to as many bytes as the parameter has.
unsafe fn copy(kernel: &ptx::Kernel, arguments: *mut *mut c_void) -> Answer<Vec<Vec<u8>>> {
    if kernel.parameters.is_empty() {
        return Ok(Vec::new());
    }
    if arguments.is_null() {
        return Err(Status::INVALID_VALUE);
    }
    // SAFETY: the caller's.
    let pointers = unsafe { slice::from_raw_parts(arguments, kernel.parameters.len()) };
    let one = |(pointer, parameter): (&*mut c_void, &ptx::Parameter)| {
        if pointer.is_null() {
            return Err(Status::INVALID_VALUE);
        }
        let mut bytes = vec![0; parameter.size];
        // SAFETY: the caller's.
        unsafe { ptr::copy(pointer.cast::<u8>(), bytes.as_mut_ptr(), parameter.size) };
        Ok(bytes)
    };
    pointers.iter().zip(&kernel.parameters).map(one).collect()
}

fn fits(extent: [u32; 3], most: [u32; 3]) -> bool {
    extent.iter().zip(most).all(|(it, most)| (1..=most).contains(it))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::memory::cuMemFree_v2;
    use crate::driver::modules::cuModuleUnload;
    use crate::driver::tests::{KERNELS, load, on_a_gpu, take};
    use crate::driver::with;

    fn launch(
        kernel: Handle,
        grid: u32,
        block: u32,
        shared_bytes: u32,
        mut argument: u64,
    ) -> Status {
        let mut arguments = [(&raw mut argument).cast::<c_void>()];
        let (places, none) = (arguments.as_mut_ptr(), ptr::null_mut());
        // SAFETY: the kernels of these tests take one number of 64 bits or nothing.
        unsafe { cuLaunchKernel(kernel, grid, 1, 1, block, 1, 1, shared_bytes, 0, places, none) }
    }

    #[test]
    fn a_launch_that_no_gpu_can_do_is_refused_and_nothing_stays() {
        on_a_gpu();
        let (module, kernel) = load(KERNELS, c"nothing");
        for (grid, block, shared) in [(0, 1, 0), (1, 0, 0), (1, 1025, 0), (1, 1, 49153)] {
            assert_eq!(launch(kernel, grid, block, shared, 0), Status::INVALID_VALUE);
        }
        assert_eq!(launch(module, 1, 1, 0, 0), Status::INVALID_HANDLE);
        assert_eq!(launch(12345, 1, 1, 0, 0), Status::INVALID_HANDLE);
        assert_eq!(launch(kernel, 2, 32, 49152, 0), Status::SUCCESS);
        assert_eq!(cuModuleUnload(module), Status::SUCCESS);
        assert_eq!(launch(kernel, 1, 1, 0, 0), Status::INVALID_HANDLE);
    }

    #[test]
    fn an_address_outside_stays_with_the_gpu() {
        on_a_gpu();
        let address = take(4);
        let (_, nothing) = load(KERNELS, c"nothing");
        let (_, outside) = load(KERNELS, c"outside");
        assert_eq!(launch(outside, 1, 1, 0, address + 4), Status::ILLEGAL_ADDRESS);
        assert_eq!(launch(nothing, 1, 1, 0, 0), Status::ILLEGAL_ADDRESS);
        assert_eq!(cuMemFree_v2(address), Status::ILLEGAL_ADDRESS);
    }

    #[test]
    fn a_trap_stays_with_the_gpu() {
        on_a_gpu();
        let (_, trapped) = load(KERNELS, c"trapped");
        assert_eq!(launch(trapped, 1, 1, 0, 0), Status::LAUNCH_FAILED);
        assert_eq!(cuMemFree_v2(0), Status::LAUNCH_FAILED);
    }

    #[test]
    fn a_gpu_is_lost_at_the_launch_that_was_asked_for() {
        let number = on_a_gpu();
        let (_, kernel) = load(KERNELS, c"nothing");
        let set = with((), (), |state| {
            state.gpus[number].lose_after(1);
            Ok(())
        });
        assert_eq!((set, launch(kernel, 1, 1, 0, 0)), (Ok(()), Status::SUCCESS));
        assert_eq!(launch(kernel, 1, 1, 0, 0), Status::ECC_UNCORRECTABLE);
        assert_eq!(cuMemFree_v2(0), Status::ECC_UNCORRECTABLE);
    }
}
