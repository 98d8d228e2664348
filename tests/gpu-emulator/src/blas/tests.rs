//! Products against plain loops.

#![expect(clippy::many_single_char_names, reason = "matrices and lengths have cuBLAS's names")]

use std::ffi::{c_int, c_longlong};
use std::ptr;

use super::products::{cublasDgemmStridedBatched, cublasGemmStridedBatchedEx};
use super::*;
use crate::driver::Status as DriverStatus;
use crate::driver::tests::{get, on_a_gpu, put, take};

/// `cudaDataType`, and `cublasComputeType_t`.
const F32: c_int = 0;
const BF16: c_int = 14;
const COMPUTE_32F: c_int = 68;
const FAST_TF32: c_int = 77;

fn handle() -> Handle {
    on_a_gpu();
    let mut handle = 0;
    // SAFETY: `handle` outlives the call.
    assert_eq!(unsafe { cublasCreate_v2(&raw mut handle) }, Status::SUCCESS);
    handle
}

/// A product of `f32` with room between columns, so that a leading dimension counts.
struct Case {
    transposes: [c_int; 2],
    extent: (usize, usize, usize),
    strides: [c_longlong; 3],
    batch: usize,
    factors: [f32; 2],
}

impl Case {
    /// Columns of A, B and C in memory are so many numbers long.
    fn leading(&self) -> [usize; 3] {
        let (m, n, k) = self.extent;
        let rows = |transpose, one, other| if transpose == 0 { one } else { other };
        [rows(self.transposes[0], m, k) + 1, rows(self.transposes[1], k, n) + 2, m + 3]
    }

    fn run(&self, handle: Handle, [a, b, c]: [u64; 3]) -> Status {
        let (m, n, k) = self.extent;
        let int = |number: usize| c_int::try_from(number).expect("it is small");
        let [a_leading, b_leading, c_leading] = self.leading().map(int);
        let [alpha, beta] =
            self.factors.each_ref().map(|it| ptr::from_ref(it).expose_provenance() as u64);
        let [transpose_a, transpose_b] = self.transposes;
        let [a_stride, b_stride, c_stride] = self.strides;
        // SAFETY: the factors are in `self`.
        unsafe {
            cublasGemmStridedBatchedEx(
                handle,
                transpose_a,
                transpose_b,
                int(m),
                int(n),
                int(k),
                alpha,
                a,
                F32,
                a_leading,
                a_stride,
                b,
                F32,
                b_leading,
                b_stride,
                beta,
                c,
                F32,
                c_leading,
                c_stride,
                int(self.batch),
                COMPUTE_32F,
                -1,
            )
        }
    }

    /// The place of a number of an operand.
    fn place(&self, which: usize, product: usize, row: usize, column: usize) -> usize {
        let transposed = self.transposes.get(which).is_some_and(|transpose| *transpose != 0);
        let (row, column) = if transposed { (column, row) } else { (row, column) };
        let start = product * usize::try_from(self.strides[which]).expect("it is not negative");
        start + column * self.leading()[which] + row
    }

    /// What must come out, by plain loops in `f64`.
    fn expected(&self, [a, b, c]: [&[f32]; 3]) -> Vec<f64> {
        let ((m, n, k), [alpha, beta]) = (self.extent, self.factors.map(f64::from));
        let mut expected: Vec<_> = c.iter().copied().map(f64::from).collect();
        for product in 0..self.batch {
            for (row, column) in (0..m).flat_map(|row| (0..n).map(move |column| (row, column))) {
                let sum: f64 = (0..k)
                    .map(|at| {
                        let left = a[self.place(0, product, row, at)];
                        f64::from(left) * f64::from(b[self.place(1, product, at, column)])
                    })
                    .sum();
                let place = self.place(2, product, row, column);
                expected[place] = alpha * sum + beta * f64::from(c[place]);
            }
        }
        expected
    }

    /// Computes both ways on numbers without pattern.
    fn check(&self) {
        let handle = handle();
        let numbers = |count: usize, step: usize| -> Vec<f32> {
            (0..count).map(|at| (at * step % 101) as f32 / 50.0 - 1.0).collect()
        };
        let (a, b, c) = (numbers(600, 37), numbers(600, 59), numbers(600, 71));
        let places = [put(&a), put(&b), put(&c)];
        assert_eq!(self.run(handle, places), Status::SUCCESS);
        let expected = self.expected([&a, &b, &c]);
        for (at, (got, expected)) in get::<f32>(places[2], 600).iter().zip(&expected).enumerate() {
            assert!((f64::from(*got) - expected).abs() < 1e-5, "at {at}: {got}, not {expected}");
        }
    }
}

#[test]
fn all_transposes_multiply_as_plain_loops_do() {
    for transposes in [[0, 0], [0, 1], [1, 0], [1, 1], [2, 2]] {
        for extent in [(9, 5, 7), (1, 6, 11), (8, 4, 1), (6, 1, 13)] {
            Case { transposes, extent, strides: [0; 3], batch: 1, factors: [1.0, 0.0] }.check();
            Case { transposes, extent, strides: [0; 3], batch: 1, factors: [0.5, -2.0] }.check();
        }
    }
}

#[test]
fn a_batch_goes_on_by_strides_and_a_stride_of_zero_stays() {
    let extent = (5, 4, 6);
    for strides in [[60, 80, 100], [0, 80, 100], [60, 0, 100]] {
        for transposes in [[0, 0], [1, 0]] {
            Case { transposes, extent, strides, batch: 3, factors: [1.0, 0.0] }.check();
            Case { transposes, extent, strides, batch: 3, factors: [2.0, 1.0] }.check();
        }
    }
}

#[test]
fn what_was_there_has_no_part_in_it_if_its_factor_is_zero() {
    let handle = handle();
    let (nothing, ones) = (put(&[f32::NAN; 64]), put(&[1.0_f32; 64]));
    let mut case = Case {
        transposes: [0, 0],
        extent: (2, 2, 2),
        strides: [0; 3],
        batch: 1,
        factors: [1.0, 0.0],
    };
    assert_eq!(case.run(handle, [ones, ones, nothing]), Status::SUCCESS);
    assert_eq!(get::<f32>(nothing, 2), [2.0, 2.0]);
    case.factors = [0.0, 3.0];
    let operand = put(&[f32::NAN; 64]);
    assert_eq!(case.run(handle, [operand, operand, ones]), Status::SUCCESS);
    assert_eq!(get::<f32>(ones, 2), [3.0, 3.0]);
}

#[test]
fn a_matrix_outside_memory_fails_and_stays_with_the_gpu() {
    let handle = handle();
    let case = Case {
        transposes: [0, 0],
        extent: (2, 2, 2),
        strides: [0; 3],
        batch: 1,
        factors: [1.0, 0.0],
    };
    let (there, short) = (take(64), take(12));
    assert_eq!(case.run(handle, [there, there, short]), Status::EXECUTION_FAILED);
    assert_eq!(case.run(handle, [there, there, there]), Status::EXECUTION_FAILED);
    let failed = with(DriverStatus::UNKNOWN, DriverStatus::UNKNOWN, |state| state.current());
    assert_eq!(failed, Err(DriverStatus::ILLEGAL_ADDRESS));
    assert_eq!(cublasDestroy_v2(handle), Status::SUCCESS);
    assert_eq!(cublasDestroy_v2(handle), Status::NOT_INITIALIZED);
}

/// The sum of the products of two columns, as a matrix of one number.
fn dot<T, U: Copy + Default>(
    kinds: [c_int; 2],
    compute: c_int,
    left: &[T],
    right: &[T],
) -> (Status, U) {
    let (handle, n) = (handle(), c_int::try_from(left.len()).expect("it is small"));
    let (a, b, c) = (put(left), put(right), take(8));
    let factors = [1.0_f32, 0.0].each_ref().map(|it| ptr::from_ref(it).expose_provenance() as u64);
    let [alpha, beta] = factors;
    let [kind, out] = kinds;
    // SAFETY: the factors are constants.
    let answer = unsafe {
        cublasGemmStridedBatchedEx(
            handle, 1, 0, 1, 1, n, alpha, a, kind, n, 0, b, kind, n, 0, beta, c, out, 1, 0, 1,
            compute, -1,
        )
    };
    (answer, get(c, 1)[0])
}

#[test]
fn products_of_bf16_are_rounded_once_at_the_end() {
    // 1 + 2⁻⁹ + 2⁻⁹ is a bf16 only as a whole; each of the last two alone would vanish.
    let [one, small] = [0x3F80_u16, 0x3B00];
    let summed = dot([BF16, BF16], COMPUTE_32F, &[one, small, small, small, small], &[one; 5]);
    assert_eq!(summed, (Status::SUCCESS, one + 1));
    let wide = dot([BF16, F32], COMPUTE_32F, &[one, small], &[one; 2]);
    assert_eq!(wide, (Status::SUCCESS, 1.0_f32 + 1.0 / 512.0));
}

#[test]
fn the_fast_type_rounds_operands_to_tf32() {
    let operand = 1.0_f32 + 1.0 / 4096.0;
    assert_eq!(dot([F32, F32], COMPUTE_32F, &[operand], &[1.0]), (Status::SUCCESS, operand));
    assert_eq!(dot([F32, F32], FAST_TF32, &[operand], &[1.0]), (Status::SUCCESS, 1.0_f32));
}

#[test]
fn what_cublas_does_not_know_is_refused() {
    assert_eq!(dot::<f32, f32>([F32, BF16], COMPUTE_32F, &[1.0], &[1.0]).0, Status::NOT_SUPPORTED);
    assert_eq!(dot::<f32, f32>([F32, F32], 72, &[1.0], &[1.0]).0, Status::NOT_SUPPORTED);
    assert_eq!(cublasSetPointerMode_v2(12345, 0), Status::NOT_INITIALIZED);
    let handle = handle();
    assert_eq!(cublasSetStream_v2(handle, 12345), Status::INVALID_VALUE);
    assert_eq!(cublasSetStream_v2(handle, 2), Status::SUCCESS);
}

#[test]
fn factors_may_be_in_the_gpu_s_memory() {
    let handle = handle();
    let (mut mode, place) = (0, put(&[2.0_f64, 0.0, 3.0, 4.0, 0.0]));
    assert_eq!(cublasSetPointerMode_v2(handle, 1), Status::SUCCESS);
    // SAFETY: `mode` outlives the call.
    assert_eq!(unsafe { cublasGetPointerMode_v2(handle, &raw mut mode) }, Status::SUCCESS);
    let [alpha, beta, a, b, c] = [0, 8, 16, 24, 32].map(|offset| place + offset);
    // SAFETY: the factors are checked in this mode.
    let product = |alpha| unsafe {
        cublasDgemmStridedBatched(handle, 0, 0, 1, 1, 1, alpha, a, 1, 0, b, 1, 0, beta, c, 1, 0, 1)
    };
    assert_eq!((mode, product(alpha), get::<f64>(c, 1)), (1, Status::SUCCESS, vec![24.0]));
    assert_eq!(product(8), Status::EXECUTION_FAILED);
}
