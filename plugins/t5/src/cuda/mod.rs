//! CUDA for one library that serves machines with and without it.
//!
//! `functions.rs` keeps the plugin free of CUDA's libraries until one of their functions is called,
//! `libraries.rs` opens them then. Whether a GPU can be used is found out by asking, not by linking.

mod functions;
mod libraries;

use libraries::LIBRARIES;

/// The version of the CUDA toolkit that has made the kernels: `13.0`. A driver must be at least as new.
pub(crate) const TOOLKIT: &str = env!("DEFT_CUDA_TOOLKIT");

/// The compute capability that the kernels are made for: `8.0`.
///
/// Kernels for a capability below 9.0 run on every GPU of that or a later one. From 9.0 on candle's build
/// makes them for that capability alone (`sm_90a`): such a plugin runs on no other GPU.
pub(crate) const COMPUTE_CAPABILITY: &str = env!("DEFT_CUDA_COMPUTE_CAPABILITY");

/// The libraries that cannot be opened, each with the loader's reason; none on a machine that is ready.
///
/// cuRAND is among them because candle makes a generator for every device that it opens.
pub(crate) fn missing() -> Vec<(&'static str, String)> {
    let reason = |library: &'static libraries::Library| {
        library.open().err().map(|reason| (library.file, reason.to_owned()))
    };
    LIBRARIES.iter().filter_map(reason).collect()
}

#[cfg(test)]
mod tests {
    use candle_core::cuda_backend::kernels;

    use super::*;

    #[test]
    fn the_kernels_are_made_for_the_capability_that_is_stated() {
        let target =
            kernels::AFFINE.ptx().split(".target sm_").nth(1).expect("PTX names its target");
        let number: String = target.chars().take_while(char::is_ascii_digit).collect();
        assert_eq!(number, COMPUTE_CAPABILITY.replace('.', ""));
    }
}
