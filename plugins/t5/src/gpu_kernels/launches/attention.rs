//! Attention's probabilities and their gradients: `attention.cu`.

use candle_core::{DType, Result, Tensor, bail};

use super::launch::{ATTENTION, Argument, Blocks, empty, launch, of_type};

/// The probabilities of scores `[inputs, heads, queries, keys]`, with a bias `[heads, queries, keys]`;
/// `lengths` has each input's keys that are no padding, as `u32`.
pub(crate) fn attend(
    scores: &Tensor,
    bias: Option<&Tensor>,
    lengths: Option<&Tensor>,
) -> Result<Tensor> {
    let (inputs, heads, queries, keys) = scores.dims4()?;
    let scores = scores.contiguous()?;
    let bias = bias.map(|bias| bias.to_dtype(scores.dtype())?.contiguous()).transpose()?;
    if bias.as_ref().is_some_and(|bias| bias.dims() != [heads, queries, keys]) {
        bail!("position bias {bias:?} for scores {:?}", scores.dims())
    }
    if lengths.is_some_and(|lengths| lengths.dims() != [inputs] || lengths.dtype() != DType::U32) {
        bail!("lengths {lengths:?} for {inputs} inputs")
    }
    let probs = empty(scores.shape(), scores.dtype(), &scores)?;
    let rows = inputs * heads * queries;
    let arguments = [
        Argument::count(rows),
        Argument::count(keys),
        Argument::count(heads * queries),
        Argument::array(&scores)?,
        Argument::array_or_none(bias.as_ref())?,
        Argument::array_or_none(lengths)?,
        Argument::array(&probs)?,
    ];
    let (kernel, blocks) = (of_type("attend", &scores)?, Blocks::by_warps(rows));
    // SAFETY: as `attend` declares; shapes are checked, the bias has a row for each of an input.
    unsafe { launch(&ATTENTION, &kernel, &scores, blocks, &arguments) }?;
    Ok(probs)
}

/// The gradient of the scores, and, where it is wanted, that of a bias that all inputs share.
pub(crate) fn attend_backward(
    probs: &Tensor,
    grad: &Tensor,
    wants_bias: bool,
) -> Result<(Tensor, Option<Tensor>)> {
    let (inputs, heads, queries, keys) = probs.dims4()?;
    if grad.dims() != probs.dims() {
        bail!("a gradient of {:?} for {:?}", grad.dims(), probs.dims())
    }
    let (probs, grad) = (probs.contiguous()?, grad.to_dtype(probs.dtype())?.contiguous()?);
    let rows = inputs * heads * queries;
    let scores_grad = empty(probs.shape(), probs.dtype(), &probs)?;
    let dots = empty(rows, DType::F32, &probs)?;
    let arguments = [
        Argument::count(rows),
        Argument::count(keys),
        Argument::array(&probs)?,
        Argument::array(&grad)?,
        Argument::array(&scores_grad)?,
        Argument::array(&dots)?,
    ];
    let (kernel, blocks) = (of_type("attend_backward", &probs)?, Blocks::by_warps(rows));
    // SAFETY: as `attend_backward` declares; the gradient has the shape of the probabilities.
    unsafe { launch(&ATTENTION, &kernel, &probs, blocks, &arguments) }?;
    let of_bias = || -> Result<Tensor> {
        let bias_grad = empty((heads, queries, keys), probs.dtype(), &probs)?;
        let count = heads * queries * keys;
        let arguments = [
            Argument::count(inputs),
            Argument::count(count),
            Argument::count(keys),
            Argument::array(&probs)?,
            Argument::array(&grad)?,
            Argument::array(&dots)?,
            Argument::array(&bias_grad)?,
        ];
        let kernel = of_type("attend_bias_backward", &probs)?;
        // SAFETY: as `attend_bias_backward` declares; the bias has the numbers of one input.
        unsafe { launch(&ATTENTION, &kernel, &probs, Blocks::over(count), &arguments) }?;
        Ok(bias_grad)
    };
    let bias_grad = wants_bias.then(of_bias).transpose()?;
    Ok((scores_grad, bias_grad))
}

/// Numbers that a block is to copy, and the most blocks that share what is behind one `a`.
const OF_BLOCK: usize = 8192;
const MOST_SLICES: usize = 256;

/// `[outer, a, b, width]` → `[outer, b, a, width]`, whole.
pub(crate) fn swap_middle(x: &Tensor) -> Result<Tensor> {
    let (outer, a, b, width) = x.dims4()?;
    let x = x.contiguous()?;
    let out = empty((outer, b, a, width), x.dtype(), &x)?;
    let [of_a, of_b, of_width] = [a, b, width].map(Argument::count);
    let arguments = [of_a, of_b, of_width, Argument::array(&x)?, Argument::array(&out)?];
    let kernel = of_type("swap_middle", &x)?;
    let slices = (b * width).div_ceil(OF_BLOCK).clamp(1, MOST_SLICES);
    // SAFETY: as `swap_middle` declares; both arrays have all of these numbers.
    unsafe { launch(&ATTENTION, &kernel, &x, Blocks(outer * a, slices), &arguments) }?;
    Ok(out)
}
