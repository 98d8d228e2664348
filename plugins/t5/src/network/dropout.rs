//! Dropout as an operation.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use deft_neural::Values;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::kernels;
use super::ops::{Composed1, slice, wide};
use crate::gpu_kernels::{self, Mask};

/// Zeroes elements with a probability and scales the rest up; backward draws the same mask again.
#[derive(Debug)]
pub(crate) struct Dropout {
    /// Probability of zero, below 1.
    pub(crate) rate: f32,
    pub(crate) seed: u64,
    /// Distinguishes the masks of one seed.
    pub(crate) stream: u64,
}

impl Dropout {
    /// In any other form than the fused one: with the same mask.
    fn scaled(&self, x: &Tensor) -> Result<Tensor> {
        if gpu_kernels::are_for(x) {
            return gpu_kernels::drop_out(x, &self.mask());
        }
        let factors = self.apply(&vec![1.0; x.elem_count()]);
        let factors = Tensor::from_vec(factors, x.shape(), x.device())?;
        let wide = wide(x)?;
        (&wide * factors.to_dtype(wide.dtype())?)?.to_dtype(x.dtype())
    }

    fn mask(&self) -> Mask {
        let seed = self.rng().get_seed();
        let (words, _) = seed.as_chunks();
        let key = std::array::from_fn(|at| u64::from_le_bytes(words[at]));
        Mask { key, stream: self.stream, dropped: self.dropped(), scale: self.scale() }
    }

    /// An element is dropped if its two bytes are below this.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rate < 1")]
    fn dropped(&self) -> u16 {
        (self.rate * 65536.0) as u16
    }

    fn scale(&self) -> f32 {
        1.0 / (1.0 - self.rate)
    }

    fn rng(&self) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(self.stream);
        rng
    }

    fn apply(&self, x: &[f32]) -> Vec<f32> {
        let mut rng = self.rng();
        let (dropped, scale) = (self.dropped(), self.scale());
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

impl Composed1 for Dropout {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.scaled(x)
    }

    fn backward(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Tensor> {
        self.scaled(grad)
    }
}
