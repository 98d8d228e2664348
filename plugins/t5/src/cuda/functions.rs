//! A function of our own for every CUDA function that candle can call.
//!
//! candle's build asks the linker for `-lcuda -lcublas -lcurand …` (cudarc's `dynamic-linking`, which
//! no feature switches off: beside `dynamic-loading` its build stops). A library made so cannot be
//! opened where there is no driver. Here every name is defined once more, hidden, in an object of this
//! crate: the linker takes it and needs no CUDA library, neither when it links nor when the plugin is
//! opened. Each function jumps to CUDA's own, which its first call looks up (`libraries.rs`).
//!
//! Assembly, because neither Rust nor C can pass on arguments that it does not know, and with it no
//! declaration of CUDA is written twice; and because symbols of `global_asm!` are not exported from the
//! plugin, as `no_mangle` functions are.
//!
//! The lists are what cudarc's `safe` and `result` modules call, not the whole of CUDA; cuBLASLt and
//! NVRTC have none, since candle calls nothing of theirs. Whoever calls one more adds its name here: the
//! linker (`-z defs`, build.rs) and `cuda/check.sh` name what is missing. Only functions that return a
//! status have a place here, see [`super::libraries::Library::absent`].

#![expect(unsafe_code, reason = "assembly is unsafe by nature")]

use std::arch::global_asm;

use super::libraries::{CUBLAS, CURAND, DRIVER, resolve};

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!("the feature `cuda` is for Linux on x86-64 or 64-bit ARM");

/// Defines the functions of each library, with the assembly of the processor.
macro_rules! functions {
    ($($library:ident: $($name:ident)+;)+) => {
        #[cfg(target_arch = "x86_64")]
        functions!(@assembly "x86_64.s", $($library: $($name)+;)+);
        #[cfg(target_arch = "aarch64")]
        functions!(@assembly "aarch64.s", $($library: $($name)+;)+);
    };
    (@assembly $source:literal, $($library:ident: $($name:ident)+;)+) => {
        global_asm!(
            include_str!("record.s"),
            include_str!($source),
            $($(
                concat!("cuda_function ", stringify!($name), ", {", stringify!($library), "}"),
            )+)+
            ".text",
            resolve = sym resolve,
            $($library = const $library,)+
        );
    };
}

functions! {
    DRIVER:
        cuCtxCreate_v3 cuCtxCreate_v4 cuCtxDestroy_v2 cuCtxGetCacheConfig cuCtxGetCurrent
        cuCtxGetLimit cuCtxGetStreamPriorityRange cuCtxSetCacheConfig cuCtxSetCurrent cuCtxSetFlags
        cuCtxSetLimit cuCtxSynchronize cuDestroyExternalMemory cuDeviceGet cuDeviceGetAttribute
        cuDeviceGetCount cuDeviceGetDefaultMemPool cuDeviceGetMemPool cuDeviceGetName
        cuDeviceGetUuid cuDeviceGetUuid_v2 cuDevicePrimaryCtxRelease_v2 cuDevicePrimaryCtxRetain
        cuDeviceSetMemPool cuDeviceTotalMem_v2 cuDriverGetVersion cuEventCreate cuEventDestroy_v2
        cuEventElapsedTime cuEventElapsedTime_v2 cuEventQuery cuEventRecord cuEventSynchronize
        cuExternalMemoryGetMappedBuffer cuFuncGetAttribute cuFuncSetAttribute cuFuncSetCacheConfig
        cuGetErrorName cuGetErrorString cuGraphClone cuGraphDestroy cuGraphExecDestroy
        cuGraphInstantiateWithFlags cuGraphLaunch cuGraphUpload cuImportExternalMemory cuInit
        cuLaunchCooperativeKernel cuLaunchHostFunc cuLaunchKernel cuMemAdvise_v2 cuMemAllocAsync
        cuMemAllocFromPoolAsync cuMemAllocManaged cuMemAlloc_v2 cuMemFreeAsync cuMemFreeHost
        cuMemFree_v2 cuMemGetInfo_v2 cuMemHostAlloc cuMemPoolCreate cuMemPoolDestroy
        cuMemPoolGetAttribute cuMemPoolSetAttribute cuMemPoolTrimTo cuMemPrefetchAsync_v2
        cuMemcpyDtoDAsync_v2 cuMemcpyDtoD_v2 cuMemcpyDtoHAsync_v2 cuMemcpyDtoH_v2
        cuMemcpyHtoDAsync_v2 cuMemcpyHtoD_v2 cuMemcpyPeerAsync cuMemsetD8Async cuMemsetD8_v2
        cuModuleGetFunction cuModuleGetGlobal_v2 cuModuleLoad cuModuleLoadData cuModuleUnload
        cuOccupancyAvailableDynamicSMemPerBlock cuOccupancyMaxActiveBlocksPerMultiprocessor
        cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags cuOccupancyMaxActiveClusters
        cuOccupancyMaxPotentialBlockSize cuOccupancyMaxPotentialBlockSizeWithFlags
        cuOccupancyMaxPotentialClusterSize cuProfilerStart cuProfilerStop cuStreamAttachMemAsync
        cuStreamBeginCapture_v2 cuStreamCreate cuStreamCreateWithPriority cuStreamDestroy_v2
        cuStreamEndCapture cuStreamIsCapturing cuStreamSynchronize cuStreamWaitEvent;
    CUBLAS:
        cublasCreate_v2 cublasDasum_v2 cublasDestroy_v2 cublasDgemmStridedBatched cublasDgemm_v2
        cublasDgemv_v2 cublasGemmEx cublasGemmGroupedBatchedEx cublasGemmStridedBatchedEx
        cublasGetPointerMode_v2 cublasSasum_v2 cublasSetPointerMode_v2 cublasSetStream_v2
        cublasSgemmStridedBatched cublasSgemm_v2 cublasSgemv_v2;
    CURAND:
        curandCreateGenerator curandDestroyGenerator curandGenerate curandGenerateLogNormal
        curandGenerateLogNormalDouble curandGenerateLongLong curandGenerateNormal
        curandGenerateNormalDouble curandGeneratePoisson curandGenerateUniform
        curandGenerateUniformDouble curandSetGeneratorOffset curandSetPseudoRandomGeneratorSeed
        curandSetStream;
}

#[cfg(test)]
mod tests {
    use std::ffi::c_int;
    use std::ptr;

    use super::super::libraries::LIBRARIES;
    use super::DRIVER;

    unsafe extern "C" {
        fn cuDriverGetVersion(version: *mut c_int) -> c_int;
    }

    #[test]
    fn a_call_goes_to_the_driver_if_there_is_one_and_else_to_its_error() {
        // SAFETY: the driver refuses a null pointer (`CUDA_ERROR_INVALID_VALUE`).
        let answer = unsafe { cuDriverGetVersion(ptr::null_mut()) };
        assert_eq!(answer, if LIBRARIES[DRIVER].open().is_ok() { 1 } else { 100 });
    }
}
