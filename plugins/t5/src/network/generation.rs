//! Generation: the decoder computes one position after the other and keeps what it knows of those
//! before.

use candle_core::{Result, Tensor};

use super::layers::{Before, Bias, Sees};
use super::{Memory, Pass, T5};

/// The decoder's positions so far, in generation.
#[derive(Debug)]
pub(crate) struct Generated {
    /// Of each decoder block.
    before: Vec<Before>,
    length: usize,
}

impl T5 {
    /// Generation that has not begun.
    pub(crate) fn begin(&self) -> Result<Generated> {
        let blocks = &self.decoder()?.stack.blocks;
        let before = blocks.iter().map(|_| Before::default()).collect();
        Ok(Generated { before, length: 0 })
    }

    /// The decoder's last states for the next id of each row: `[rows, d_model]`.
    ///
    /// There may be several rows for each input of the memory, as in [`T5::decode`].
    pub(crate) fn decode_next(
        &self,
        ids: &[u32],
        memory: &Memory,
        generated: &mut Generated,
        pass: &Pass<'_>,
    ) -> Result<Tensor> {
        let stack = &self.decoder()?.stack;
        generated.length += 1;
        let bias = stack.positions.bias_from(generated.length - 1, 1, generated.length)?;
        let ids = Tensor::from_slice(ids, (ids.len(), 1), self.device())?;
        let mut x = self.embed(&ids, pass)?;
        let remembered = memory.keys_and_values.iter().zip(&generated.before);
        for (block, (remembered, before)) in stack.blocks.iter().zip(remembered) {
            let cross = Some((remembered, memory.lengths.as_ref()));
            let sees = Sees { before: Some(before), cross, lengths: None };
            x = block.forward(x, Bias::Whole(&bias), sees, pass)?;
        }
        stack.norm.forward(&x)?.squeeze(1)
    }
}

impl Generated {
    /// Keeps these rows, in this order.
    pub(crate) fn keep(&self, rows: &[u32]) -> Result<()> {
        self.before.iter().try_for_each(|before| before.keep(rows))
    }
}
