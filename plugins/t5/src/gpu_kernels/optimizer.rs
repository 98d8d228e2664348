//! Sums of gradients, and steps of the optimizers: `optimizer.cu`.

use candle_core::{DType, Result, Tensor, bail};

use super::Targets;
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
    launch(&OPTIMIZER, &of_type("accumulate", &x)?, sum, Blocks::over(count), &arguments)
}

/// The sum of the squares of f32, in parts.
pub(crate) fn squares(x: &Tensor) -> Result<Tensor> {
    check_lengths(x, [x])?;
    let (x, count) = (x.contiguous()?, x.elem_count());
    let blocks = Blocks::over(count);
    let sums = empty(blocks.count(), DType::F32, &x)?;
    let arguments = [Argument::count(count), Argument::array(&x)?, Argument::array(&sums)?];
    launch(&OPTIMIZER, "squares", &x, blocks, &arguments)?;
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
    launch(&OPTIMIZER, "adam", on.values, Blocks::over(count), &arguments)
}

/// One step of Adafactor on a matrix, in place: three passes over the gradient, two over the values.
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
    let [values, gradient, working] = on.arrays()?;
    let [scale, clip] = limits(update.limits);
    let [height, width] = [rows, columns].map(Argument::count);
    let [of_rows, of_columns] = [Argument::array(of_rows)?, Argument::array(of_columns)?];
    let (rows_of_block, blocks) = blocks_of_rows(rows);
    let scratch = |count: usize| empty(count, DType::F32, on.values);
    let (squares, sums, numbers) = (scratch(rows)?, scratch(blocks * columns)?, scratch(4)?);
    let [squares, sums, numbers] =
        [Argument::array(&squares)?, Argument::array(&sums)?, Argument::array(&numbers)?];
    let launch = |kernel: &str, blocks: Blocks, arguments: &[Argument]| {
        launch(&OPTIMIZER, &format!("adafactor_{kernel}"), on.values, blocks, arguments)
    };
    let (by_row, one) = (Blocks(rows, 1), Blocks(1, 1));
    let by_column = Blocks(columns.div_ceil(WARP), blocks);
    let of_block = [height, width, Argument::count(rows_of_block)];
    let [fresh, size, rate, decay] = numbers_of(update);
    launch("rows", by_row, &[width, values, gradient, of_rows, squares, scale, clip, fresh])?;
    launch("columns", by_column, &[&of_block[..], &[gradient, sums, scale, clip]].concat())?;
    let together = [height, width, Argument::count(blocks), sums, of_columns, fresh];
    launch("remember_columns", Blocks::over(columns), &together)?;
    launch("means", one, &[height, width, of_rows, squares, numbers, size])?;
    let known = [of_rows, of_columns, numbers];
    launch("changes", by_row, &[&[width, gradient], &known[..], &[squares, scale, clip]].concat())?;
    launch("factors", one, &[height, width, squares, numbers, rate, decay])?;
    let end = [&[width, values, gradient], &known[..], &[working, scale, clip]].concat();
    launch("step", by_row, &end)
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
    let [fresh, size, rate, decay] = numbers_of(update);
    let arguments = [
        Argument::count(on.values.elem_count()),
        values,
        gradient,
        Argument::array(square)?,
        working,
        scale,
        clip,
        fresh,
        size,
        rate,
        decay,
    ];
    launch(&OPTIMIZER, "adafactor_vector", on.values, Blocks(1, 1), &arguments)
}

impl Targets<'_> {
    /// Values, gradient, and what the network computes with.
    fn arrays(&self) -> Result<[Argument; 3]> {
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

/// The share of new squares, the smallest length of values that the rate is a share of, the rate, and
/// its share that values lose.
#[expect(clippy::cast_possible_truncation, reason = "parameters are f32")]
fn numbers_of(update: &AdafactorUpdate) -> [Argument; 4] {
    // Below 0 the rate is a share of nothing.
    let size = if update.scale_parameter { MIN_SIZE } else { -1.0 };
    [1.0 - update.beta_2, size, update.rate, update.weight_decay]
        .map(|number| Argument::Number(number as f32))
}

fn limits(limits: Limits) -> [Argument; 2] {
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
