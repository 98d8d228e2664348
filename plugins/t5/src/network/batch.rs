//! Texts that go through a network together: their ids, and which of these are padding.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use candle_core::{Device, Result, Tensor};

use super::attention::hidden;

/// Token ids of several texts, padded to the longest.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    /// `[rows, length]`.
    pub(crate) ids: Tensor,
    pub(crate) rows: usize,
    pub(crate) length: usize,
    /// Ids of each row that are no padding; `None` when there is no padding at all.
    pub(crate) lengths: Option<Arc<Lengths>>,
}

/// How many ids of each row of a batch are no padding.
#[derive(Debug)]
pub(crate) struct Lengths {
    counts: Vec<usize>,
    /// What hides the padding, once it was asked for.
    mask: OnceLock<Tensor>,
    /// The counts where they are computed with, once they were asked for.
    there: OnceLock<Tensor>,
}

impl Deref for Lengths {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.counts
    }
}

impl Lengths {
    pub(super) fn new(counts: Vec<usize>) -> Self {
        Self { counts, mask: OnceLock::new(), there: OnceLock::new() }
    }

    /// What hides the keys of padding: `[rows, 1, keys]` of 0 and −∞, for scores like these.
    ///
    /// A batch goes through one network, so that there is one mask for all its blocks: later calls
    /// must be for the same keys and numbers.
    pub(super) fn mask(&self, keys: usize, scores: &Tensor) -> Result<Tensor> {
        if let Some(mask) = self.mask.get() {
            debug_assert_eq!(
                (mask.dims(), mask.dtype()),
                ([self.counts.len(), 1, keys].as_slice(), scores.dtype()),
                "a batch goes through one network"
            );
            return Ok(mask.clone());
        }
        let row = |&count: &usize| (0..keys).map(move |key| hidden(key >= count));
        let values: Vec<f32> = self.counts.iter().flat_map(row).collect();
        let mask = Tensor::from_vec(values, (self.counts.len(), 1, keys), scores.device())?;
        let mask = mask.to_dtype(scores.dtype())?;
        Ok(self.mask.get_or_init(|| mask).clone())
    }

    /// The counts as `u32` on a device, for a kernel: later calls must be for the same one.
    pub(super) fn on(&self, device: &Device) -> Result<Tensor> {
        if let Some(there) = self.there.get() {
            return Ok(there.clone());
        }
        let count = |&count: &usize| u32::try_from(count).map_err(candle_core::Error::wrap);
        let counts = self.counts.iter().map(count).collect::<Result<Vec<u32>>>()?;
        let there = Tensor::from_vec(counts, self.counts.len(), device)?;
        Ok(self.there.get_or_init(|| there).clone())
    }
}

impl Batch {
    /// Pads rows of ids, of which there is at least one and none is empty, to the longest.
    #[cfg(test)]
    pub(crate) fn new<'a>(rows: impl IntoIterator<Item = &'a [u32]>, pad: u32) -> Result<Self> {
        Self::padded(rows, pad, 1)
    }

    /// Pads rows of ids, of which there is at least one and none is empty, to a length that is a
    /// multiple of `multiple`.
    pub(crate) fn padded<'a>(
        rows: impl IntoIterator<Item = &'a [u32]>,
        pad: u32,
        multiple: usize,
    ) -> Result<Self> {
        let rows: Vec<&[u32]> = rows.into_iter().collect();
        let length = rows.iter().map(|row| row.len()).max().unwrap_or(0).next_multiple_of(multiple);
        let mut ids = Vec::with_capacity(rows.len() * length);
        for row in &rows {
            ids.extend_from_slice(row);
            ids.resize(ids.len() + length - row.len(), pad);
        }
        let is_padded = rows.iter().any(|row| row.len() < length);
        Ok(Self {
            ids: Tensor::from_vec(ids, (rows.len(), length), &Device::Cpu)?,
            rows: rows.len(),
            length,
            lengths: is_padded
                .then(|| Arc::new(Lengths::new(rows.iter().map(|row| row.len()).collect()))),
        })
    }

    /// Ids of a row that are no padding.
    pub(crate) fn length_of(&self, row: usize) -> usize {
        self.lengths.as_ref().map_or(self.length, |lengths| lengths[row])
    }
}
