//! Rows in memory.

use std::ops::Range;

use deft_core::prelude::*;
use pulp::{Arch, Simd, WithSimd};

use crate::Metric;
use crate::aligned::Aligned;
use crate::bound::length;

/// Numbers of a block: 1 MiB, which a core's second cache holds beside a panel of queries.
const NUMBERS: usize = 1 << 18;
const MIN_ROWS: usize = 64;
const MAX_ROWS: usize = 1024;

/// Rows of a block of vectors of `dimension` components, where `threads` share `rows` rows.
pub(crate) fn block_rows(rows: usize, dimension: usize, threads: usize) -> usize {
    // With four blocks for each thread, the last ones to work are not waited for long.
    let share = rows.div_ceil(4 * threads).next_multiple_of(MIN_ROWS);
    (NUMBERS / dimension).clamp(MIN_ROWS, MAX_ROWS).min(share.max(MIN_ROWS))
}

/// Consecutive rows, and what the product and its bound need of them.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// Number of the first row.
    pub(crate) first: u32,
    dimension: usize,
    numbers: Aligned,
    lengths: Vec<f64>,
    /// What the product of each row starts from: −|b|²/2 for L2, 0 for the inner product.
    starts: Vec<f32>,
    /// Length of the longest row.
    pub(crate) longest: f64,
}

impl Block {
    /// Reads these rows of `vectors`, the first of which gets the number `first`.
    pub(crate) fn read(
        &mut self,
        vectors: &VectorStore,
        rows: Range<usize>,
        first: u32,
    ) -> Result<()> {
        self.dimension = vectors.dimension();
        vectors.read_into(rows.clone(), self.numbers.resize(rows.len() * self.dimension))?;
        self.first = first;
        Ok(())
    }

    /// Computes what the product needs.
    pub(crate) fn prepare(&mut self, metric: Metric) {
        self.lengths.clear();
        let numbers = self.numbers.as_slice().chunks_exact(self.dimension);
        Arch::new().dispatch(Lengths { numbers, lengths: &mut self.lengths });
        self.longest = self.lengths.iter().copied().fold(0.0, f64::max);
        self.starts.clear();
        #[expect(clippy::cast_possible_truncation, reason = "the bound counts this rounding")]
        let start = |length: &f64| match metric {
            Metric::L2 => (-length * length / 2.0) as f32,
            Metric::Ip => 0.0,
        };
        self.starts.extend(self.lengths.iter().map(start));
    }

    pub(crate) fn row(&self, row: usize) -> &[f32] {
        &self.numbers.as_slice()[row * self.dimension..(row + 1) * self.dimension]
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.numbers.as_slice().chunks_exact(self.dimension)
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.numbers.as_slice().len() / self.dimension
    }

    pub(crate) fn starts(&self) -> &[f32] {
        &self.starts
    }
}

#[cfg(test)]
impl Block {
    /// A prepared block of these rows.
    pub(crate) fn of_rows(rows: &[f32], dimension: usize, metric: Metric) -> Self {
        use deft_core::{VectorType, part_name, write_vectors};
        let dir = tempfile::tempdir().expect("a temporary folder");
        let part = dir.path().join(part_name(0, ".safetensors"));
        let rows = Matrix::new(rows, dimension).expect("whole rows");
        write_vectors(&part, rows, VectorType::F32, 0, "e").expect("written");
        let vectors = VectorStore::open(dir.path()).expect("opened");
        let mut block = Self::default();
        block.read(&vectors, 0..vectors.len(), 0).expect("read");
        block.prepare(metric);
        block
    }
}

/// Computes the length of each row.
struct Lengths<'a> {
    numbers: std::slice::ChunksExact<'a, f32>,
    lengths: &'a mut Vec<f64>,
}

impl WithSimd for Lengths<'_> {
    type Output = ();

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the loop must be compiled for the vectors of `S`")]
    fn with_simd<S: Simd>(self, _simd: S) {
        // A closure would not be compiled for the vectors of `S`.
        for row in self.numbers {
            self.lengths.push(length(row));
        }
    }
}
