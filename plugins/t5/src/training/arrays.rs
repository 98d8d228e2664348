//! What is done to f32 arrays of a parameter's size outside of the optimizer: in main memory with
//! loops over their values, elsewhere in candle's operations ([`composed`]).

use candle_core::{Result, Tensor};
use deft_neural::{Values, in_place};

use crate::network::kernels;
use crate::network::ops::is_host;

/// The sum of the squares of an array in main memory.
pub(super) fn squares(x: &Tensor) -> Result<f64> {
    let values = Values::of(x);
    Ok(values.get()?.iter().map(|&x| f64::from(x) * f64::from(x)).sum())
}

/// Whether all elements are numbers.
pub(super) fn is_finite(x: &Tensor) -> Result<bool> {
    if !is_host(x) {
        return composed::is_finite(x);
    }
    let values = Values::of(x);
    Ok(values.get()?.iter().all(|x| x.is_finite()))
}

/// Adds each row of `rows`, of any numbers, to the row of `table` that its id names.
pub(super) fn add_rows(table: &Tensor, ids: &[u32], rows: &Tensor) -> Result<()> {
    if !is_host(table) || !is_host(rows) {
        return composed::add_rows(table, ids, rows);
    }
    let rows = rows.contiguous()?;
    let values = Values::of(&rows);
    let values = values.get()?;
    let width = values.len() / ids.len();
    in_place(table, |table| {
        for (&id, row) in ids.iter().zip(values.chunks_exact(width)) {
            kernels::add_to(&mut table[id as usize * width..][..width], row);
        }
    })
}

/// The same in candle's operations, wherever the arrays are.
pub(super) mod composed {
    use candle_core::{D, DType, Result, Tensor};

    use crate::gpu_kernels;

    /// The sum of the squares of each of some arrays, which a device is waited for once.
    ///
    /// At the peak there are two arrays of f64 more where the squares are too large for f32.
    pub(in super::super) fn squares(all: &[&Tensor]) -> Result<Vec<f64>> {
        let sum = |x: &&Tensor| {
            total(&if gpu_kernels::are_for(x) { gpu_kernels::squares(x)? } else { x.sqr()? })
        };
        let sums = all.iter().map(sum).collect::<Result<Vec<_>>>()?;
        let mut sums: Vec<f64> = Tensor::stack(&sums, 0)?.to_vec1()?;
        for (sum, x) in sums.iter_mut().zip(all).filter(|(sum, _)| !sum.is_finite()) {
            *sum = total(&x.to_dtype(DType::F64)?.sqr()?)?.to_scalar()?;
        }
        Ok(sums)
    }

    /// Whether all elements are numbers.
    pub(super) fn is_finite(x: &Tensor) -> Result<bool> {
        // Nothing but numbers is 0 when it is multiplied with 0.
        Ok(total(&(x * 0.0)?)?.to_scalar::<f64>()?.is_finite())
    }

    /// Adds rows in place, and each column in the order of the ids: there is no second table, and
    /// equal ids give the same sum every time.
    pub(super) fn add_rows(table: &Tensor, ids: &[u32], rows: &Tensor) -> Result<()> {
        let rows = rows.to_dtype(table.dtype())?.contiguous()?;
        let ids = Tensor::from_slice(ids, (ids.len(), 1), table.device())?;
        table.scatter_add_set(&ids.broadcast_as(rows.shape())?.contiguous()?, &rows, 0)
    }

    /// The sum of all elements, in f64: rows first, since a device adds up one row with one block of
    /// threads.
    fn total(x: &Tensor) -> Result<Tensor> {
        let rows = if x.rank() > 1 { x.sum(D::Minus1)? } else { x.clone() };
        rows.to_dtype(DType::F64)?.sum_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    fn tensor(values: &[f32]) -> Tensor {
        Tensor::from_slice(values, (values.len() / 2, 2), &Device::Cpu).expect("a tensor")
    }

    #[test]
    fn squares_and_finiteness_are_the_same_in_both_ways() {
        for (values, wanted) in [
            (&[3.0, 4.0, 0.0, 12.0][..], 169.0),
            (&[0.0, 0.0][..], 0.0),
            // The square is too large for f32.
            (&[-1e25, 0.0][..], f64::from(1e25_f32).powi(2)),
        ] {
            let x = tensor(values);
            let composed = composed::squares(&[&x, &x]).expect("sums");
            for found in [squares(&x).expect("a sum"), composed[0], composed[1]] {
                assert!((found - wanted).abs() <= 1e-6 * wanted, "{found}, not {wanted}");
            }
            assert!(is_finite(&x).expect("known") && composed::is_finite(&x).expect("known"));
        }
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let x = tensor(&[1.0, 2.0, bad, f32::MAX]);
            assert!(!is_finite(&x).expect("known") && !composed::is_finite(&x).expect("known"));
            assert!(!composed::squares(&[&x]).expect("a sum")[0].is_finite());
        }
    }

    type Add = fn(&Tensor, &[u32], &Tensor) -> Result<()>;

    #[test]
    fn rows_are_added_to_those_that_their_ids_name_in_both_ways() {
        let rows = tensor(&[1.0, 2.0, 4.0, 8.0, 16.0, 32.0]);
        let half = rows.to_dtype(DType::BF16).expect("bf16");
        for add in [add_rows as Add, composed::add_rows] {
            for rows in [&rows, &half] {
                let table = tensor(&[0.5; 6]);
                add(&table, &[2, 0, 2], rows).expect("added");
                let found: Vec<Vec<f32>> = table.to_vec2().expect("values");
                assert_eq!(found, [[4.5, 8.5], [0.5, 0.5], [17.5, 34.5]]);
            }
        }
    }
}
