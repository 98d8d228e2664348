//! How many threads FAISS may take.

#![expect(unsafe_code, reason = "OpenMP has no other interface than its C functions")]

use std::ffi::c_int;

unsafe extern "C" {
    fn omp_set_num_threads(threads: c_int);
}

/// Lets what this thread calls in FAISS, and in a BLAS on OpenMP, take `threads` threads.
///
/// The setting is the calling thread's own: call it before every piece of work.
pub(crate) fn set_threads(threads: usize) {
    let threads = c_int::try_from(threads.max(1)).unwrap_or(c_int::MAX);
    // SAFETY: OpenMP allows the call from any thread at any time, with any positive number.
    unsafe { omp_set_num_threads(threads) }
}
