//! The functions that ask for products, and what they refuse.

#![expect(unsafe_code, reason = "cuBLAS's interface is of pointers")]
#![expect(clippy::many_single_char_names, reason = "matrices and lengths have cuBLAS's names")]

use std::ffi::{c_int, c_longlong};

use super::gemm::{Compute, Gemm, Matrix};
use super::numbers::{Rounding, Type};
use super::{Answer, Status, call, find};
use crate::driver::Handle;

/// `CUDA_R_64F` and `CUBLAS_COMPUTE_64F`.
const F64: c_int = 1;
const COMPUTE_64F: c_int = 70;

/// A batch of products of the types that are named; a stride may be 0.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cublasGemmStridedBatchedEx(
    handle: Handle,
    transpose_a: c_int,
    transpose_b: c_int,
    m: c_int,
    n: c_int,
    k: c_int,
    alpha: u64,
    a: u64,
    a_type: c_int,
    a_leading: c_int,
    a_stride: c_longlong,
    b: u64,
    b_type: c_int,
    b_leading: c_int,
    b_stride: c_longlong,
    beta: u64,
    c: u64,
    c_type: c_int,
    c_leading: c_int,
    c_stride: c_longlong,
    batch: c_int,
    compute: c_int,
    _algorithm: c_int,
) -> Status {
    call(|state| {
        let (gpu, mode) = find(state, handle).map(|(gpu, mode)| (gpu, *mode))?;
        let [m, n, k, batch] = lengths([m, n, k, batch])?;
        let a = matrix(a, a_type, (a_leading, a_stride), (m, k), transpose_a)?;
        let b = matrix(b, b_type, (b_leading, b_stride), (k, n), transpose_b)?;
        let c = matrix(c, c_type, (c_leading, c_stride), (m, n), 0)?;
        let compute = compute_type(compute, [a.kind, b.kind, c.kind])?;
        if m == 0 || n == 0 || batch == 0 {
            return Ok(());
        }
        if alpha == 0 || beta == 0 {
            return Err(Status::INVALID_VALUE);
        }
        let gpu = &mut state.gpus[gpu];
        gpu.error.map_or(Ok(()), |_| Err(Status::EXECUTION_FAILED))?;
        Gemm { m, n, k, a, b, c, batch, factors: [alpha, beta], compute }.run(gpu, mode)
    })
}

/// A batch of products of `f64`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn cublasDgemmStridedBatched(
    handle: Handle,
    transpose_a: c_int,
    transpose_b: c_int,
    m: c_int,
    n: c_int,
    k: c_int,
    alpha: u64,
    a: u64,
    a_leading: c_int,
    a_stride: c_longlong,
    b: u64,
    b_leading: c_int,
    b_stride: c_longlong,
    beta: u64,
    c: u64,
    c_leading: c_int,
    c_stride: c_longlong,
    batch: c_int,
) -> Status {
    // SAFETY: the caller's.
    unsafe {
        cublasGemmStridedBatchedEx(
            handle,
            transpose_a,
            transpose_b,
            m,
            n,
            k,
            alpha,
            a,
            F64,
            a_leading,
            a_stride,
            b,
            F64,
            b_leading,
            b_stride,
            beta,
            c,
            F64,
            c_leading,
            c_stride,
            batch,
            COMPUTE_64F,
            -1,
        )
    }
}

fn lengths(numbers: [c_int; 4]) -> Answer<[usize; 4]> {
    if numbers.iter().any(|number| *number < 0) {
        return Err(Status::INVALID_VALUE);
    }
    Ok(numbers.map(|number| number.unsigned_abs() as usize))
}

/// An operand of `extent` rows and columns once it is transposed, if it is.
fn matrix(
    address: u64,
    kind: c_int,
    (leading, stride): (c_int, c_longlong),
    extent: (usize, usize),
    transpose: c_int,
) -> Answer<Matrix> {
    let kind = Type::of_cuda(kind).ok_or(Status::NOT_SUPPORTED)?;
    let (transposed, extent) = match transpose {
        0 => (false, extent),
        // The conjugate of a real number is itself.
        1 | 2 => (true, (extent.1, extent.0)),
        _ => return Err(Status::INVALID_VALUE),
    };
    let leading = usize::try_from(leading).ok().filter(|leading| *leading >= extent.0.max(1));
    let leading = leading.ok_or(Status::INVALID_VALUE)?;
    Ok(Matrix { address, kind, leading, stride, extent, transposed })
}

/// A `cublasComputeType_t` for matrices A, B and C of these types, among those that cuBLAS lists.
fn compute_type(number: c_int, kinds: [Type; 3]) -> Answer<Compute> {
    let (factors, rounding) = match number {
        64 | 65 => (Type::F16, Rounding::None),
        68 | 69 => (Type::F32, Rounding::None),
        70 | 71 => (Type::F64, Rounding::None),
        74 => (Type::F32, Rounding::F16),
        75 => (Type::F32, Rounding::Bf16),
        77 => (Type::F32, Rounding::Tf32),
        _ => return Err(Status::NOT_SUPPORTED),
    };
    let [a, b, c] = kinds;
    let fits = a == b
        && match factors {
            Type::F32 => a != Type::F64 && (c == a || c == Type::F32),
            other => a == other && c == other,
        };
    // The fast types are for `f32`; narrower matrices are multiplied as they are.
    let rounding = if a == Type::F32 { rounding } else { Rounding::None };
    if fits { Ok(Compute { factors, rounding }) } else { Err(Status::NOT_SUPPORTED) }
}
