//! What stands for the kernels in a build without CUDA: nobody calls it, since no tensor is on a GPU.

use candle_core::{Result, Tensor, bail};

use super::{Mask, Targets};
use crate::network::kernels::AdamUpdate;
use crate::training::optimizer::adafactor::AdafactorUpdate;

macro_rules! absent {
    ($($name:ident($($type:ty),*) -> $result:ty;)+) => {
        $(pub(crate) fn $name($(_: $type),*) -> Result<$result> {
            bail!("this build has no kernels for a GPU")
        })+
    };
}

absent! {
    accumulate(&Tensor, &Tensor) -> ();
    adafactor_matrix(Targets<'_>, &Tensor, &Tensor, &AdafactorUpdate) -> ();
    adafactor_vector(Targets<'_>, &Tensor, &AdafactorUpdate) -> ();
    adam(Targets<'_>, &Tensor, &Tensor, &AdamUpdate) -> ();
    add(&Tensor, &Tensor) -> Tensor;
    attend(&Tensor, Option<&Tensor>, Option<&Tensor>) -> Tensor;
    attend_backward(&Tensor, &Tensor, bool) -> (Tensor, Option<Tensor>);
    drop_out(&Tensor, &Mask) -> Tensor;
    gated_gelu(&Tensor, &Tensor) -> Tensor;
    gated_gelu_backward(&Tensor, &Tensor, &Tensor) -> [Tensor; 2];
    largest(&Tensor) -> Vec<Option<u32>>;
    rms_norm(&Tensor, &Tensor, f32) -> Tensor;
    rms_norm_backward(&Tensor, &Tensor, &Tensor, f32, bool) -> (Tensor, Option<Tensor>);
    squares(&Tensor) -> Tensor;
    swap_middle(&Tensor) -> Tensor;
}
