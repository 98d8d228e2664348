//! Rows of vectors, borrowed.

use crate::{Error, ErrorKind, Result};

/// Vectors as rows: `rows() × dimension()` numbers, row-major.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    data: &'a [f32],
    dimension: usize,
}

impl<'a> Matrix<'a> {
    /// Views `data` as rows of `dimension` numbers.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unexpected`] when `dimension` is 0 or does not divide the length of `data`.
    pub fn new(data: &'a [f32], dimension: usize) -> Result<Self> {
        if dimension == 0 || !data.len().is_multiple_of(dimension) {
            return Err(Error::new(
                ErrorKind::Unexpected,
                "the numbers are no whole rows of this dimension",
            )
            .with_context("numbers", data.len())
            .with_context("dimension", dimension));
        }
        Ok(Self { data, dimension })
    }

    /// Number of vectors.
    pub fn rows(&self) -> usize {
        self.data.len() / self.dimension
    }

    /// Components of each vector.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// The vector at `row`.
    pub fn row(&self, row: usize) -> &'a [f32] {
        &self.data[row * self.dimension..(row + 1) * self.dimension]
    }

    /// All numbers, row after row.
    pub fn as_slice(&self) -> &'a [f32] {
        self.data
    }
}
