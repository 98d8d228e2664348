//! Sums of gradients, and steps of the optimizers: `optimizer.cu`.

use candle_core::{DType, Result, Tensor, bail};

use super::super::Targets;
use super::launch::{Argument, Blocks, OPTIMIZER, WARP, blocks_of_rows, empty, launch, of_type};
use crate::network::kernels::{AdamUpdate, Limits};
use crate::training::optimizer::adafactor::{AdafactorUpdate, MIN_SIZE};

/// `sum += x`, in place; `sum` is f32.
pub(crate) fn accumulate(sum: &Tensor, x: &Tensor) -> Result<()> {
    if sum.dtype() != DType::F32 || sum.dims() != x.dims() {
        bail!("{x:?} cannot be added to {sum:?}")
    }
    let (x, count) = (x.contiguous()?, sum.elem_count());
    let arguments = [Argument::count(count), Argument::array(sum)?, Argument::array(&x)?];
    // SAFETY: as `accumulate` declares; both are of one shape.
    unsafe { launch(&OPTIMIZER, &of_type("accumulate", &x)?, sum, Blocks::over(count), &arguments) }
}

/// The sum of the squares of f32, in parts.
pub(crate) fn squares(x: &Tensor) -> Result<Tensor> {
    check_lengths(x, [x])?;
    let (x, count) = (x.contiguous()?, x.elem_count());
    let blocks = Blocks::over(count);
    let sums = empty(blocks.count(), DType::F32, &x)?;
    let arguments = [Argument::count(count), Argument::array(&x)?, Argument::array(&sums)?];
    // SAFETY: as `squares` declares; there is a sum for each block.
    unsafe { launch(&OPTIMIZER, "squares", &x, blocks, &arguments) }?;
    Ok(sums)
}

/// One step of Adam in one pass over its arrays, in place.
pub(crate) fn adam(
    on: Targets<'_>,
    mean: &Tensor,
    square: &Tensor,
    update: &AdamUpdate,
) -> Result<()> {
    let [values, gradient, working] = on.arrays()?;
    check_lengths(on.values, [on.gradient, mean, square])?;
    let count = on.values.elem_count();
    let [scale, clip] = limits(update.limits);
    let arguments = [
        Argument::count(count),
        values,
        gradient,
        Argument::array(mean)?,
        Argument::array(square)?,
        working,
        scale,
        clip,
        Argument::Number(update.decay),
        Argument::Number(update.new_mean),
        Argument::Number(update.old_square),
        Argument::Number(update.new_square),
        Argument::Number(update.step),
        Argument::Number(update.root_bias),
        Argument::Number(update.epsilon),
    ];
    // SAFETY: as `adam` declares; all arrays have the length of the values.
    unsafe { launch(&OPTIMIZER, "adam", on.values, Blocks::over(count), &arguments) }
}

/// One step of Adafactor on a matrix, in place: four passes over the gradient, two over the values.
pub(crate) fn adafactor_matrix(
    on: Targets<'_>,
    of_rows: &Tensor,
    of_columns: &Tensor,
    update: &AdafactorUpdate,
) -> Result<()> {
    let (rows, columns) = on.values.dims2()?;
    check_lengths(on.values, [on.gradient])?;
    if (of_rows.elem_count(), of_columns.elem_count()) != (rows, columns) {
        bail!("squares of {of_rows:?} and {of_columns:?} for {:?}", on.values.dims())
    }
    let (rows_of_block, blocks) = blocks_of_rows(rows);
    let scratch = |count: usize| empty(count, DType::F32, on.values);
    // Of each row: first of its values, then of its change.
    let row_squares = scratch(rows)?;
    let column_sums = scratch(blocks * columns)?;
    let between = scratch(4)?;
    let [values, gradient, working] = on.arrays()?;
    let [scale, clip] = limits(update.limits);
    let [old, fresh, size, rate, decay] = numbers_of(update);
    let [height, width] = [rows, columns].map(Argument::count);
    let [rows_of_block, count] = [rows_of_block, blocks].map(Argument::count);
    let [by_row, by_column] = [Argument::array(of_rows)?, Argument::array(of_columns)?];
    let [squares, sums] = [Argument::array(&row_squares)?, Argument::array(&column_sums)?];
    let numbers = Argument::array(&between)?;
    let run = |kernel: &str, grid: Blocks, arguments: &[Argument<'_>]| {
        let kernel = format!("adafactor_{kernel}");
        // SAFETY: each call below is as its kernel declares; arrays of rows and columns have one
        // number for each, the sums a row for each block.
        unsafe { launch(&OPTIMIZER, &kernel, on.values, grid, arguments) }
    };
    let (each_row, one) = (Blocks(rows, 1), Blocks(1, 1));
    let tiles = Blocks(columns.div_ceil(WARP), blocks);
    let of_rows = [width, values, gradient, by_row, squares, scale, clip, old, fresh];
    run("rows", each_row, &of_rows)?;
    run("columns", tiles, &[height, width, rows_of_block, gradient, sums, scale, clip])?;
    let of_columns = [height, width, count, sums, by_column, old, fresh];
    run("remember_columns", Blocks::over(columns), &of_columns)?;
    run("means", one, &[height, width, by_row, squares, numbers, size])?;
    let of_changes = [width, gradient, by_row, by_column, numbers, squares, scale, clip];
    run("changes", each_row, &of_changes)?;
    run("factors", one, &[height, width, squares, numbers, rate, decay])?;
    let of_step = [width, values, gradient, by_row, by_column, numbers, working, scale, clip];
    run("step", each_row, &of_step)
}

/// One step of Adafactor on a vector, in place.
pub(crate) fn adafactor_vector(
    on: Targets<'_>,
    square: &Tensor,
    update: &AdafactorUpdate,
) -> Result<()> {
    let [values, gradient, working] = on.arrays()?;
    check_lengths(on.values, [on.gradient, square])?;
    let [scale, clip] = limits(update.limits);
    let [old, fresh, size, rate, decay] = numbers_of(update);
    let arguments = [
        Argument::count(on.values.elem_count()),
        values,
        gradient,
        Argument::array(square)?,
        working,
        scale,
        clip,
        old,
        fresh,
        size,
        rate,
        decay,
    ];
    // SAFETY: as `adafactor_vector` declares; all arrays have the length of the values.
    unsafe { launch(&OPTIMIZER, "adafactor_vector", on.values, Blocks(1, 1), &arguments) }
}

impl<'a> Targets<'a> {
    /// Values, gradient, and what the network computes with.
    fn arrays(&self) -> Result<[Argument<'a>; 3]> {
        let is_f32 = [self.values, self.gradient].iter().all(|array| array.dtype() == DType::F32);
        let fits = |working: &Tensor| {
            working.dtype() == DType::BF16 && working.elem_count() == self.values.elem_count()
        };
        if !is_f32 || !self.working.is_none_or(fits) {
            bail!("a step is for f32, and bf16 to compute with")
        }
        Ok([
            Argument::array(self.values)?,
            Argument::array(self.gradient)?,
            Argument::array_or_none(self.working)?,
        ])
    }
}

/// The shares of old squares and of new ones, the smallest length of values that the rate is a share of, the rate, and
/// its share that values lose.
#[expect(clippy::cast_possible_truncation, reason = "parameters are f32")]
fn numbers_of(update: &AdafactorUpdate) -> [Argument<'static>; 5] {
    // Below 0 the rate is a share of nothing.
    let size = if update.scale_parameter { MIN_SIZE } else { -1.0 };
    [update.beta_2, 1.0 - update.beta_2, size, update.rate, update.weight_decay]
        .map(|number| Argument::Number(number as f32))
}

fn limits(limits: Limits) -> [Argument<'static>; 2] {
    [limits.scale, limits.clip].map(Argument::Number)
}

/// Refuses arrays that are not f32 of as many numbers as the values.
fn check_lengths<const N: usize>(values: &Tensor, others: [&Tensor; N]) -> Result<()> {
    let fits =
        |other: &&Tensor| other.elem_count() == values.elem_count() && other.dtype() == DType::F32;
    match others.iter().find(|other| !fits(other)) {
        None => Ok(()),
        Some(other) => bail!("{other:?} is no array for the values {:?}", values.dims()),
    }
}
