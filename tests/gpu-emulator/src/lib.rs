//! A GPU for tests, on the CPU: CUDA's driver, cuBLAS and cuRAND as one shared library.
//!
//! A program that opens `libcuda.so.1`, `libcublas.so.13` and `libcurand.so.10` is given this library
//! under these names. [`ptx`] reads the kernels as the CUDA compiler made them, [`machine`] computes
//! them one thread after the other, and [`driver`] is what a program calls. What a kernel reads and
//! writes is checked against what was allocated: an address outside is an error, as on a GPU.
//!
//! The way of a kernel through it:
//!
//! 1. `cuModuleLoadData` (`driver/modules.rs`) has the text read by [`ptx`]: `module.rs` takes its
//!    variables and functions, `body.rs` a function's statements, and `decode` makes an instruction
//!    of each ([`ptx::operation`]), whose operands are numbered registers.
//! 2. `cuLaunchKernel` (`driver/launches.rs`) checks the grid, copies the arguments, and starts
//!    [`machine::run`], which may use the addresses that `driver/allocations.rs` has given out.
//! 3. [`machine`] takes block after block. In each (`block.rs`) a thread runs until it has ended or
//!    waits for others, then the next one does. `threads.rs` has a thread's registers and where it
//!    is, `execute.rs` what each instruction does, `space.rs` the memory that an address is in, and
//!    `exchange.rs` what the threads of a warp give each other.
//! 4. What a kernel has done wrong comes back as a [`machine::launch::Fault`], is said on stderr, and
//!    stays with the GPU: each later call answers it.
//!
//! [`blas`] and [`random`] compute at once, on the same GPUs.
//!
//! Known are the instructions that the kernels of candle and of the plugin have, and other common
//! ones. A kernel that comes to another fails with its text and line: that one wants an
//! [`Op`](ptx::operation::Op), or a variant of what an `Op` computes; how it is decoded; and what it
//! does.
//!
//! It is right, not fast: some hundred million instructions a second. What it cannot show is a GPU's
//! speed, the order in which cuBLAS adds up, and races between threads.

mod blas;
mod driver;
mod machine;
mod ptx;
mod random;
