//! Dropout as an operation.

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor, bail};
use deft_neural::Values;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::kernels;
use super::ops::{Composed1, slice, wide};

/// Zeroes elements with a probability and scales the rest up; backward draws the same mask again.
#[derive(Debug)]
pub(crate) struct Dropout {
    /// Probability of zero, below 1.
    pub(crate) rate: f32,
    pub(crate) seed: u64,
    /// Distinguishes the masks of one seed.
    pub(crate) stream: u64,
}

/// Dropout of which the mask is there: what is composed.
#[derive(Debug)]
pub(crate) struct Masked {
    pub(crate) rate: f32,
    /// 0 where an element is dropped, else 1; of bytes, in the argument's shape.
    pub(crate) mask: Tensor,
}

impl Dropout {
    /// The mask for a tensor, where the tensor is.
    ///
    /// In main memory it is the one that [`Dropout::apply`] draws, for any type of numbers. A GPU
    /// draws from the generator of its own, which goes on from mask to mask: the same masks need the
    /// same seed before the first of them and the same order.
    pub(crate) fn mask(&self, of: &Tensor) -> Result<Tensor> {
        if of.device().is_cpu() {
            let kept = self.apply(&vec![1.0; of.elem_count()]);
            let kept = kept.into_iter().map(|x| u8::from(x != 0.0)).collect();
            return Tensor::from_vec(kept, of.shape(), of.device());
        }
        Tensor::rand(0f32, 1f32, of.elem_count(), of.device())?.ge(self.rate)?.reshape(of.shape())
    }

    /// A seed for the generator of a GPU.
    pub(crate) fn device_seed(&self) -> u64 {
        self.rng().next_u64()
    }

    fn rng(&self) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(self.stream);
        rng
    }

    fn apply(&self, x: &[f32]) -> Vec<f32> {
        let mut rng = self.rng();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rate < 1")]
        let dropped = (self.rate * 65536.0) as u16;
        let scale = 1.0 / (1.0 - self.rate);
        let mut out = vec![0.0; x.len()];
        // Two random bytes an element, drawn in blocks: one by one they would cost more than
        // attention itself.
        let mut random = [0; 1024];
        for (x, out) in x.chunks(random.len() / 2).zip(out.chunks_mut(random.len() / 2)) {
            rng.fill_bytes(&mut random);
            kernels::drop_out(x, random.as_chunks().0, dropped, scale, out);
        }
        out
    }
}

impl CustomOp1 for Dropout {
    fn name(&self) -> &'static str {
        "t5-dropout"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(self.apply(slice(x, layout)?)), layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let out = self.apply(Values::of(&grad).get()?);
        Tensor::from_vec(out, grad.shape(), grad.device()).map(Some)
    }
}

impl Masked {
    fn scaled(&self, x: &Tensor) -> Result<Tensor> {
        // The factor itself is of more bits than a number may have.
        let wide = wide(x)?;
        let factor = 1.0 / f64::from(1.0 - self.rate);
        let kept = self.mask.to_dtype(DType::F32)?.to_dtype(wide.dtype())?.affine(factor, 0.0)?;
        (wide * kept)?.to_dtype(x.dtype())
    }
}

impl CustomOp1 for Masked {
    fn name(&self) -> &'static str {
        "t5-masked"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        bail!("f32 in main memory has dropout of its own")
    }
}

impl Composed1 for Masked {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.scaled(x)
    }

    fn backward(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Tensor> {
        self.scaled(grad)
    }
}
