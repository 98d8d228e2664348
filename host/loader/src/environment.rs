//! What libraries read from the environment when they are loaded.

#![expect(unsafe_code, reason = "setting the environment is unsafe by nature")]

/// Sets what libraries read from the environment when they are loaded; what a user set stays.
///
/// A plugin's threads come from its context. Pools that a library would start by itself, one
/// thread per core each, would compete with them; and threads of OpenMP that wait for work by
/// asking for it without end would take the cores from those that have some. `OpenBLAS` takes a
/// processor that is newer than itself for one of 2004: it is told what the processor can do.
///
/// # Safety
///
/// No other thread may be running: call it first thing in `main`.
pub unsafe fn prepare_environment() {
    let settings = [("RAYON_NUM_THREADS", "1"), ("OMP_WAIT_POLICY", "passive")];
    let kernels = openblas_kernels().map(|kernels| ("OPENBLAS_CORETYPE", kernels));
    for (name, value) in settings.into_iter().chain(kernels) {
        if std::env::var_os(name).is_none() {
            #[expect(clippy::disallowed_methods, reason = "this is the place for it")]
            // SAFETY: the caller guarantees that no other thread reads the environment.
            unsafe {
                std::env::set_var(name, value);
            }
        }
    }
}

/// `OpenBLAS`'s name for the kernels that this machine's processor can run; elsewhere it is left to
/// itself.
fn openblas_kernels() -> Option<&'static str> {
    match crate::level()? {
        "x86-64-v4" => Some("SkylakeX"),
        _ => Some("Haswell"),
    }
}
