//! What the tests of the three libraries share: each has a GPU of its own.

#![expect(unsafe_code, reason = "CUDA's interface is of pointers")]

use std::ffi::CStr;
use std::sync::atomic::{AtomicI32, Ordering};

use super::devices::{cuCtxSetCurrent, cuDevicePrimaryCtxRetain};
use super::memory::{cuMemAlloc_v2, cuMemcpyDtoH_v2, cuMemcpyHtoD_v2};
use super::modules::{cuModuleGetFunction, cuModuleLoadData};
use super::settings::Settings;
use super::state::start;
use super::{Handle, Status};

/// Bytes of memory of each GPU.
pub(crate) const MEMORY: usize = 1 << 20;

/// How many tests can have a GPU.
pub(crate) const GPUS: usize = 256;

/// A kernel that does nothing, one that writes where it is told to, and one that traps.
pub(crate) const KERNELS: &CStr = c".version 9.0
.target sm_80
.address_size 64
.visible .entry nothing()
{
	ret;
}
.visible .entry outside(
	.param .u64 outside_param_0
)
{
	.reg .b32 %r<2>;
	.reg .b64 %rd<3>;
	ld.param.u64 %rd1, [outside_param_0];
	cvta.to.global.u64 %rd2, %rd1;
	mov.u32 %r1, 7;
	st.global.u32 [%rd2], %r1;
	ret;
}
.visible .entry trapped()
{
	trap;
	ret;
}
";

/// Gives the thread a GPU that no other test has, and tells its number.
pub(crate) fn on_a_gpu() -> usize {
    static NEXT: AtomicI32 = AtomicI32::new(0);
    start(&Settings { gpus: GPUS, memory: MEMORY, ..Settings::default() });
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    // SAFETY: the pointer is to a handle.
    let context = told(|it| unsafe { cuDevicePrimaryCtxRetain(it, number) });
    assert_eq!(cuCtxSetCurrent(context), Status::SUCCESS);
    usize::try_from(number).expect("it counts from 0")
}

/// What a function of the driver writes to where it is told to; it must succeed.
pub(crate) fn told<T: Default>(call: impl FnOnce(*mut T) -> Status) -> T {
    let mut told = T::default();
    assert_eq!(call(&raw mut told), Status::SUCCESS);
    told
}

/// Takes memory of the thread's GPU.
pub(crate) fn take(bytes: usize) -> u64 {
    // SAFETY: the pointer is to an address.
    told(|it| unsafe { cuMemAlloc_v2(it, bytes) })
}

/// Puts numbers into the memory of the thread's GPU.
pub(crate) fn put<T>(numbers: &[T]) -> u64 {
    let bytes = size_of_val(numbers);
    let address = take(bytes);
    // SAFETY: the numbers have so many bytes.
    let copied = unsafe { cuMemcpyHtoD_v2(address, numbers.as_ptr().cast(), bytes) };
    assert_eq!(copied, Status::SUCCESS);
    address
}

/// Gets numbers from the memory of the thread's GPU.
pub(crate) fn get<T: Copy + Default>(address: u64, count: usize) -> Vec<T> {
    let mut numbers = vec![T::default(); count];
    let bytes = size_of_val(numbers.as_slice());
    // SAFETY: the numbers have so many bytes, and each pattern of bits is one.
    let copied = unsafe { cuMemcpyDtoH_v2(numbers.as_mut_ptr().cast(), address, bytes) };
    assert_eq!(copied, Status::SUCCESS);
    numbers
}

/// A module and a kernel of it.
pub(crate) fn load(text: &CStr, name: &CStr) -> (Handle, Handle) {
    // SAFETY: the pointer is to a handle, and the text has its zero.
    let module = told(|it| unsafe { cuModuleLoadData(it, text.as_ptr().cast()) });
    // SAFETY: the pointer is to a handle, and the name has its zero.
    let kernel = told(|it| unsafe { cuModuleGetFunction(it, module, name.as_ptr()) });
    (module, kernel)
}
