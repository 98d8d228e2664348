//! What generation looks for in logits: `generation.cu`.

use candle_core::{DType, Result, Tensor};

use super::launch::{Argument, Blocks, GENERATION, empty, launch, of_type};

/// The position of the largest number of each row `[rows, columns]`, the first of equal ones; `None`
/// where one is not finite.
pub(crate) fn largest(logits: &Tensor) -> Result<Vec<Option<u32>>> {
    let (rows, columns) = logits.dims2()?;
    let logits = logits.contiguous()?;
    let positions = empty(rows, DType::U32, &logits)?;
    let arguments =
        [Argument::count(columns), Argument::array(&logits)?, Argument::array(&positions)?];
    let kernel = of_type("largest", &logits)?;
    // SAFETY: as `largest` declares; there is a position for each row.
    unsafe { launch(&GENERATION, &kernel, &logits, Blocks(rows, 1), &arguments) }?;
    let positions: Vec<u32> = positions.to_vec1()?;
    Ok(positions.into_iter().map(|at| (at != u32::MAX).then_some(at)).collect())
}
