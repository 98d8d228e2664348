//! Dropout: `dropout.cu`.

use candle_core::{Result, Tensor};

use super::super::Mask;
use super::launch::{Argument, Blocks, DROPOUT, empty, launch, of_type};

/// Numbers that a thread takes at a time.
const OF_THREAD: usize = 32;

/// Drops numbers and scales the others up.
pub(crate) fn drop_out(x: &Tensor, mask: &Mask) -> Result<Tensor> {
    let x = x.contiguous()?;
    let (out, count) = (empty(x.shape(), x.dtype(), &x)?, x.elem_count());
    let arrays = [Argument::count(count), Argument::array(&x)?, Argument::array(&out)?];
    let key = mask.key.map(Argument::Count);
    let rest = [
        Argument::Count(mask.stream),
        Argument::Count(mask.dropped.into()),
        Argument::Number(mask.scale),
    ];
    let arguments = [&arrays[..], &key, &rest].concat();
    let blocks = Blocks::over(count.div_ceil(OF_THREAD));
    // SAFETY: as `drop_out` declares.
    unsafe { launch(&DROPOUT, &of_type("drop_out", &x)?, &x, blocks, &arguments) }?;
    Ok(out)
}
