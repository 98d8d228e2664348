//! Attention of texts that stand behind each other.

use candle_core::{Device, Result, Tensor};
use deft_neural::{Values, in_place};

use super::{Linear, kernels};

/// Scores that are computed at once: 256 kB stay in a core's cache.
const SCORES: usize = 1 << 16;

/// Attention with several heads, up to the values mixed.
#[derive(Debug)]
pub(super) struct Attention {
    /// Query, key and value side by side.
    pub(super) projections: Linear,
    pub(super) heads: usize,
}

/// One text's place in a batch.
struct Text<'a> {
    /// `[length, 3, heads, width of a head]`.
    projected: Tensor,
    length: usize,
    /// `[length, heads · width of a head]`, to be written.
    mixed: &'a mut [f32],
}

impl Attention {
    /// `[tokens, width]` → `[tokens, width]`; each text's tokens look at each other alone.
    pub(super) fn forward(&self, x: &Tensor, lengths: &[usize]) -> Result<Tensor> {
        let (tokens, width) = x.dims2()?;
        let projected = self.projections.times(x)?;
        in_place(&projected, |x| kernels::add_rows(x, &self.projections.bias))?;
        let projected = projected.reshape((tokens, 3, self.heads, width / self.heads))?;
        let mut mixed = vec![0.0; tokens * width];
        let (mut first, mut rest) = (0, mixed.as_mut_slice());
        for &length in lengths.iter().filter(|&&length| length > 0) {
            let (own, others) = rest.split_at_mut(length * width);
            let projected = projected.narrow(0, first, length)?;
            self.mix(&mut Text { projected, length, mixed: own })?;
            (first, rest) = (first + length, others);
        }
        Tensor::from_vec(mixed, (tokens, width), &Device::Cpu)
    }

    /// Some heads of a text after the other: as many as have their scores in the cache.
    fn mix(&self, text: &mut Text<'_>) -> Result<()> {
        let width = text.mixed.len() / text.length;
        let of_head = width / self.heads;
        let scale = 1.0 / (of_head as f32).sqrt();
        let at_once = (SCORES / (text.length * text.length)).clamp(1, self.heads);
        for first in (0..self.heads).step_by(at_once) {
            let heads = at_once.min(self.heads - first);
            let part = |which: usize| {
                let part = text.projected.narrow(1, which, 1)?.squeeze(1)?;
                part.narrow(1, first, heads)?.transpose(0, 1)
            };
            let probabilities = part(0)?.matmul(&part(1)?.t()?)?;
            in_place(&probabilities, |x| kernels::softmax_rows(x, text.length, scale))?;
            let values = probabilities.matmul(&part(2)?)?;
            let values = Values::of(&values);
            let of_heads = values.get()?.chunks_exact(text.length * of_head);
            for (head, rows) in (first..).zip(of_heads) {
                let places = text.mixed.chunks_exact_mut(width);
                for (row, place) in rows.chunks_exact(of_head).zip(places) {
                    place[head * of_head..][..of_head].copy_from_slice(row);
                }
            }
        }
        Ok(())
    }
}
