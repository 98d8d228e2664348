//! C = α·op(A)·op(B) + β·C, for one product or a batch of them, all matrices by columns.

#![expect(unsafe_code, reason = "matrices are read and written by address")]

use super::multiply::{Sum, multiply};
use super::numbers::{Rounding, Type};
use super::{Answer, PointerMode, Status};
use crate::driver::Gpu;
use crate::machine::launch::{Memory, Work};

/// A product that was asked for; its lengths fit together.
#[derive(Debug, Clone)]
pub(super) struct Gemm {
    pub(super) m: usize,
    pub(super) n: usize,
    pub(super) k: usize,
    pub(super) a: Matrix,
    pub(super) b: Matrix,
    pub(super) c: Matrix,
    pub(super) batch: usize,
    /// The addresses of α and β.
    pub(super) factors: [u64; 2],
    pub(super) compute: Compute,
}

/// A matrix of each product of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matrix {
    pub(super) address: u64,
    pub(super) kind: Type,
    /// Numbers of a column in memory, those between columns among them.
    pub(super) leading: usize,
    /// Numbers from one product's matrix to the next's.
    pub(super) stride: i64,
    /// Rows and columns as they are in memory.
    pub(super) extent: (usize, usize),
    /// Whether the product wants rows for columns.
    pub(super) transposed: bool,
}

/// How a product is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Compute {
    /// The type of α and β; products are summed in `f64` if it is that, else in `f32`.
    pub(super) factors: Type,
    /// What is done to operands before.
    pub(super) rounding: Rounding,
}

impl Gemm {
    /// Computes the products, in one launch.
    ///
    /// # Errors
    ///
    /// `EXECUTION_FAILED` if a matrix, or a factor that is to be on the GPU, is not in its memory: that
    /// stays with the GPU; or if the GPU has failed before.
    pub(super) fn run(&self, gpu: &mut Gpu, mode: PointerMode) -> Answer {
        let name = format!("cublas_gemm_{}", self.a.kind.name());
        gpu.launch(&name).map_err(|_| Status::EXECUTION_FAILED)?;
        if let Err(text) = self.check(gpu, mode) {
            gpu.fail(crate::driver::Status::ILLEGAL_ADDRESS, &text);
            return Err(Status::EXECUTION_FAILED);
        }
        if self.compute.factors == Type::F64 {
            self.compute::<f64>();
        } else {
            self.compute::<f32>();
        }
        gpu.add_work(&name, self.work());
        Ok(())
    }

    /// The multiplications, and the bytes of the three matrices.
    fn work(&self) -> Work {
        let batch = self.batch as u64;
        let bytes: usize = [self.a, self.b, self.c].iter().map(Matrix::bytes).sum();
        let instructions = batch * (self.m * self.n * self.k) as u64;
        Work { instructions, bytes: batch * bytes as u64 }
    }

    /// Says which matrix is not in a GPU's memory.
    fn check(&self, gpu: &Gpu, mode: PointerMode) -> Result<(), String> {
        let size = self.compute.factors.size();
        let on_gpu = |address: &u64| gpu.memory.holds(*address, size);
        if mode == PointerMode::Device && !self.factors.iter().all(on_gpu) {
            return Err("a factor of a product is not in the GPU's memory".to_owned());
        }
        for (name, matrix) in [("A", &self.a), ("B", &self.b), ("C", &self.c)] {
            for product in 0..self.batch {
                let (address, bytes) = (matrix.of(product).address, matrix.bytes());
                if bytes > 0 && !gpu.memory.holds(address, bytes) {
                    return Err(format!(
                        "matrix {name} of product {product} ({bytes} bytes at {address:#x}) is not \
                         in the GPU's memory: {self:?}"
                    ));
                }
            }
        }
        Ok(())
    }

    fn compute<T: Sum>(&self) {
        // SAFETY: the factors are the caller's, or were checked.
        let [alpha, beta] = self.factors.map(|at| T::of(unsafe { self.compute.factors.read(at) }));
        // With α = 0 the operands have no part in it, not even if they are not numbers.
        let k = if alpha.wide() == 0.0 { 0 } else { self.k };
        for product in 0..self.batch {
            let [a, b, c] = [self.a, self.b, self.c].map(|matrix| matrix.of(product));
            // SAFETY: all of the matrix was checked.
            let left = |row, at| self.compute.rounding.round(unsafe { a.read(row, at) });
            // SAFETY: all of the matrix was checked.
            let right = |at, column| self.compute.rounding.round(unsafe { b.read(at, column) });
            multiply((self.m, self.n, k), left, right, |row, column, sum: T| {
                let mut result = alpha * sum;
                // With β = 0 what was there has no part in it.
                if beta.wide() != 0.0 {
                    // SAFETY: all of the matrix was checked.
                    result = result + beta * T::of(unsafe { c.read(row, column) });
                }
                // SAFETY: all of the matrix was checked.
                unsafe { c.write(row, column, result.wide()) };
            });
        }
    }
}

impl Matrix {
    /// The matrix of one product of the batch.
    fn of(&self, product: usize) -> Self {
        // Beyond 63 bits there is no memory: a matrix there is found to be outside.
        let numbers = self.stride.wrapping_mul(i64::try_from(product).unwrap_or(i64::MAX));
        let bytes = numbers.wrapping_mul(i64::try_from(self.kind.size()).unwrap_or(i64::MAX));
        Self { address: self.address.wrapping_add_signed(bytes), ..*self }
    }

    /// Bytes from the first number to the last.
    fn bytes(&self) -> usize {
        let (rows, columns) = self.extent;
        if rows == 0 || columns == 0 {
            return 0;
        }
        // The numbers fit: they come from 31 bits each. Too many bytes are nowhere in memory.
        ((columns - 1) * self.leading + rows).saturating_mul(self.kind.size())
    }

    /// The number at a place of the product's operand.
    ///
    /// # Safety
    ///
    /// The place is in the matrix, and the matrix in memory.
    unsafe fn read(&self, row: usize, column: usize) -> f64 {
        // SAFETY: the caller's.
        unsafe { self.kind.read(self.place(row, column)) }
    }

    /// Writes the number at a place.
    ///
    /// # Safety
    ///
    /// The place is in the matrix, and the matrix in memory.
    unsafe fn write(&self, row: usize, column: usize, number: f64) {
        // SAFETY: the caller's.
        unsafe { self.kind.write(self.place(row, column), number) }
    }

    fn place(&self, row: usize, column: usize) -> u64 {
        let (row, column) = if self.transposed { (column, row) } else { (row, column) };
        self.address + ((column * self.leading + row) * self.kind.size()) as u64
    }
}
