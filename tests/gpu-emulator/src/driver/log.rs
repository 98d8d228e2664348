//! What the GPUs have done, for tests that ask whether something ran on one at all.
//!
//! At the end of a process the file `GPU_EMULATOR_LOG` is given, for each GPU on which there was
//! something, the bytes that were in use at once at most, how often each kernel was launched, and what
//! that has cost: the instructions of its threads, and the bytes of the GPU's memory that they have read
//! and written, each time that they did. Of cuBLAS these are the multiplications, and the bytes of all
//! matrices, each once.
//!
//! ```text
//! gpu 0 peak 1048576
//! gpu 0 launches affine_f32 12
//! gpu 0 instructions affine_f32 516096
//! gpu 0 bytes affine_f32 98304
//! ```
//!
//! The lines of one process are added to those of the processes before it.

#![expect(unsafe_code, reason = "only the C library tells when a process ends")]

use std::ffi::c_int;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::sync::Once;

use super::state::{Gpu, State, complain, with};

unsafe extern "C" {
    /// The C library's: calls a function when the process ends, or this library is closed.
    fn atexit(function: extern "C" fn()) -> c_int;
}

/// Has the file written at the end of the process.
pub(crate) fn at_exit() {
    static ASKED: Once = Once::new();
    ASKED.call_once(|| {
        // SAFETY: the function keeps its panics for itself, and is there until the library is closed.
        let failed = unsafe { atexit(write) };
        if failed != 0 {
            complain("nothing will be written at the end of the process");
        }
    });
}

extern "C" fn write() {
    let _ = with((), (), |state| {
        if let Err(error) = append(state) {
            complain(&format!("cannot write `GPU_EMULATOR_LOG`: {error}"));
        }
        Ok(())
    });
}

fn append(state: &State) -> std::io::Result<()> {
    let Some(path) = &state.settings.log else { return Ok(()) };
    OpenOptions::new().create(true).append(true).open(path)?.write_all(text(&state.gpus).as_bytes())
}

fn text(gpus: &[Gpu]) -> String {
    let mut text = String::new();
    for (number, gpu) in gpus.iter().enumerate().filter(|(_, gpu)| gpu.memory.peak() > 0) {
        let _ = writeln!(text, "gpu {number} peak {}", gpu.memory.peak());
        for (kernel, (count, work)) in &gpu.launches {
            let _ = writeln!(text, "gpu {number} launches {kernel} {count}");
            let _ = writeln!(text, "gpu {number} instructions {kernel} {}", work.instructions);
            let _ = writeln!(text, "gpu {number} bytes {kernel} {}", work.bytes);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::tests::on_a_gpu;
    use crate::machine::launch::Work;

    #[test]
    fn a_gpu_s_memory_and_launches_are_told() {
        let number = on_a_gpu();
        let told = with((), (), |state| {
            let gpu = &mut state.gpus[number];
            gpu.memory.take(256).expect("there is room");
            for kernel in ["b", "a", "b"] {
                gpu.launch(kernel).expect("it is not lost");
                gpu.add_work(kernel, Work { instructions: 3, bytes: 8 });
            }
            Ok(text(&state.gpus[number..=number]))
        });
        assert_eq!(
            told.expect("it was started"),
            "gpu 0 peak 256\n\
             gpu 0 launches a 1\ngpu 0 instructions a 3\ngpu 0 bytes a 8\n\
             gpu 0 launches b 2\ngpu 0 instructions b 6\ngpu 0 bytes b 16\n"
        );
    }
}
