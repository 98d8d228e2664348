//! Several tensors of f32 in main memory, changed together.

use candle_core::{Result, Tensor};
use deft_neural::in_place;

/// Lets `change` write to the values of all `tensors`, none of which shares another's.
///
/// It fails where one of them is not f32 in main memory, and has changed nothing then.
pub(super) fn all_in_place<const N: usize>(
    tensors: [&Tensor; N],
    mut change: impl FnMut([&mut [f32]; N]),
) -> Result<()> {
    nest(&tensors, Vec::with_capacity(N), &mut |values: Vec<&mut [f32]>| {
        let values = <[&mut [f32]; N]>::try_from(values);
        change(values.expect("every one of the tensors was opened"));
    })
}

/// Opens one tensor within the other; `opened` are the values of those before.
fn nest(
    tensors: &[&Tensor],
    opened: Vec<&mut [f32]>,
    change: &mut dyn FnMut(Vec<&mut [f32]>),
) -> Result<()> {
    let Some((first, others)) = tensors.split_first() else {
        change(opened);
        return Ok(());
    };
    let (mut opened, mut outcome) = (Some(opened), Ok(()));
    in_place(first, |values| {
        // It is called once.
        if let Some(opened) = opened.take() {
            let mut all: Vec<&mut [f32]> = opened;
            all.push(values);
            outcome = nest(others, all, change);
        }
    })?;
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    fn tensor(values: &[f32]) -> Tensor {
        Tensor::new(values, &Device::Cpu).expect("a tensor")
    }

    #[test]
    fn all_tensors_are_changed_or_none() {
        let (a, b) = (tensor(&[1.0, 2.0]), tensor(&[3.0]));
        let swap = |[a, b]: [&mut [f32]; 2]| std::mem::swap(&mut a[1], &mut b[0]);
        all_in_place([&a, &b], swap).expect("changed");
        let values = |tensor: &Tensor| tensor.to_vec1::<f32>().expect("values");
        assert_eq!((values(&a), values(&b)), (vec![1.0, 3.0], vec![2.0]));
        let half = a.to_dtype(DType::BF16).expect("bf16");
        all_in_place([&a, &half], swap).expect_err("not f32");
        assert_eq!(values(&a), [1.0, 3.0]);
    }
}
