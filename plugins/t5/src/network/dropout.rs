//! Dropout as an operation for candle.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use deft_neural::Values;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::kernels;
use super::ops::slice;

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
    fn apply(&self, x: &[f32]) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(self.stream);
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
