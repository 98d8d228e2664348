//! A GPU for tests, on the CPU: CUDA's driver, cuBLAS and cuRAND as one shared library.
//!
//! A program that opens `libcuda.so.1`, `libcublas.so.13` and `libcurand.so.10` is given this library
//! under these names. [`ptx`] reads the kernels as the CUDA compiler made them, [`machine`] computes
//! them one thread after the other, and [`driver`] is what a program calls. What a kernel reads and
//! writes is checked against what was allocated: an address outside is an error, as on a GPU.
//!
//! It is right, not fast: some hundred million instructions a second. What it cannot show is a GPU's
//! speed, the order in which cuBLAS adds up, and races between threads.

mod blas;
mod driver;
mod machine;
mod ptx;
mod random;
