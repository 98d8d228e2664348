//! The layer norm, the gated activation and sums of states: `layers.cu`.

use candle_core::{DType, Result, Tensor, bail};

use super::launch::{Argument, Blocks, LAYERS, WARP, blocks_of_rows, empty, launch, of_type};

/// The norm of each row of `x`.
pub(crate) fn rms_norm(x: &Tensor, weight: &Tensor, epsilon: f32) -> Result<Tensor> {
    let (x, weight) = (x.contiguous()?, weight.to_dtype(x.dtype())?.contiguous()?);
    let (rows, width) = rows_of(&x, &weight)?;
    let out = empty(x.shape(), x.dtype(), &x)?;
    let arguments = [
        Argument::count(width),
        Argument::array(&x)?,
        Argument::array(&weight)?,
        Argument::array(&out)?,
        Argument::Number(epsilon),
    ];
    // SAFETY: as `rms_norm` declares; rows and weight are of one width.
    unsafe { launch(&LAYERS, &of_type("rms_norm", &x)?, &x, Blocks(rows, 1), &arguments) }?;
    Ok(out)
}

/// The gradients of the norm of each row of `x`: of `x`, and, where it is wanted, of the weight.
pub(crate) fn rms_norm_backward(
    x: &Tensor,
    weight: &Tensor,
    grad: &Tensor,
    epsilon: f32,
    wants_weight: bool,
) -> Result<(Tensor, Option<Tensor>)> {
    let ([x, grad], weight) = (alike([x, grad])?, weight.to_dtype(x.dtype())?.contiguous()?);
    let (rows, width) = rows_of(&x, &weight)?;
    let x_grad = empty(x.shape(), x.dtype(), &x)?;
    let scales = empty(rows, DType::F32, &x)?;
    let arguments = [
        Argument::count(width),
        Argument::array(&x)?,
        Argument::array(&weight)?,
        Argument::array(&grad)?,
        Argument::array(&x_grad)?,
        Argument::array(&scales)?,
        Argument::Number(epsilon),
    ];
    let kernel = of_type("rms_norm_backward", &x)?;
    // SAFETY: as `rms_norm_backward` declares; there is a scale for each row.
    unsafe { launch(&LAYERS, &kernel, &x, Blocks(rows, 1), &arguments) }?;
    let of_weight = || -> Result<Tensor> {
        let (rows_of_block, blocks) = blocks_of_rows(rows);
        let sums = empty((blocks, width), DType::F32, &x)?;
        let arguments = [
            Argument::count(rows),
            Argument::count(width),
            Argument::count(rows_of_block),
            Argument::array(&x)?,
            Argument::array(&grad)?,
            Argument::array(&scales)?,
            Argument::array(&sums)?,
        ];
        let (kernel, tiles) =
            (of_type("rms_norm_weight_backward", &x)?, Blocks(width.div_ceil(WARP), blocks));
        // SAFETY: as `rms_norm_weight_backward` declares; the sums have a row for each block.
        unsafe { launch(&LAYERS, &kernel, &x, tiles, &arguments) }?;
        sums.sum(0)?.to_dtype(weight.dtype())
    };
    let weight_grad = wants_weight.then(of_weight).transpose()?;
    Ok((x_grad, weight_grad))
}

/// How many rows there are, and how wide they are.
fn rows_of(x: &Tensor, weight: &Tensor) -> Result<(usize, usize)> {
    let width = weight.elem_count();
    if x.dims().last() != Some(&width) {
        bail!("a norm's weight of {width} for {:?}", x.dims())
    }
    Ok((x.elem_count() / width, width))
}

/// `gelu(a) · b`.
pub(crate) fn gated_gelu(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    of_two("gated_gelu", a, b)
}

/// `a + b`.
pub(crate) fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    of_two("add", a, b)
}

/// What a kernel makes of each two numbers.
fn of_two(kernel: &str, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let [a, b] = alike([a, b])?;
    let (out, count) = (empty(a.shape(), a.dtype(), &a)?, a.elem_count());
    let arguments = [
        Argument::count(count),
        Argument::array(&a)?,
        Argument::array(&b)?,
        Argument::array(&out)?,
    ];
    // SAFETY: the kernels of two arrays declare these; all are of one shape.
    unsafe { launch(&LAYERS, &of_type(kernel, &a)?, &a, Blocks::over(count), &arguments) }?;
    Ok(out)
}

/// The gradients of `a` and `b`.
pub(crate) fn gated_gelu_backward(a: &Tensor, b: &Tensor, grad: &Tensor) -> Result<[Tensor; 2]> {
    let [a, b, grad] = alike([a, b, grad])?;
    let count = a.elem_count();
    let [a_grad, b_grad] = [empty(a.shape(), a.dtype(), &a)?, empty(a.shape(), a.dtype(), &a)?];
    let arguments = [
        Argument::count(count),
        Argument::array(&a)?,
        Argument::array(&b)?,
        Argument::array(&grad)?,
        Argument::array(&a_grad)?,
        Argument::array(&b_grad)?,
    ];
    let kernel = of_type("gated_gelu_backward", &a)?;
    // SAFETY: as `gated_gelu_backward` declares; all are of one shape.
    unsafe { launch(&LAYERS, &kernel, &a, Blocks::over(count), &arguments) }?;
    Ok([a_grad, b_grad])
}

/// Tensors of the shape and type of the first, whole.
fn alike<const N: usize>(tensors: [&Tensor; N]) -> Result<[Tensor; N]> {
    let first = tensors[0];
    if let Some(other) = tensors.iter().find(|other| other.dims() != first.dims()) {
        bail!("{:?} and {:?} are not of one shape", first.dims(), other.dims())
    }
    let whole = tensors.map(|tensor| tensor.to_dtype(first.dtype())?.contiguous());
    let whole: Vec<Tensor> = whole.into_iter().collect::<Result<_>>()?;
    Ok(<[Tensor; N]>::try_from(whole).expect("as many as there were"))
}
