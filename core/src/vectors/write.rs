//! Writing a part.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::VectorType;
use super::codec::{encode_f16, encode_f32, encode_int8, storable};
use super::header::Metadata;
use crate::{Error, ErrorKind, Matrix, Result, ResultExt};

/// Numbers that are encoded at once: what a core's second cache holds.
const PIECE: usize = 1 << 15;

/// Writes the vectors of one part as they come, in memory for one call's rows (and for the scales of
/// all rows, 4 bytes each, with [`VectorType::Int8`]).
#[derive(Debug)]
pub struct VectorWriter {
    path: PathBuf,
    out: BufWriter<File>,
    metadata: Metadata,
    vector_type: VectorType,
    dimension: usize,
    /// Pool position of the next row.
    next_row: usize,
    rows: Range<usize>,
    /// Bytes of the scales so far; they go to the file's front at the end.
    scales: Vec<u8>,
    largest_error: f32,
}

impl VectorWriter {
    /// Starts the file of the part that holds these pool rows, for vectors of an encoder.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] when the file cannot be written.
    pub fn create(
        path: &Path,
        rows: Range<usize>,
        dimension: usize,
        vector_type: VectorType,
        encoder: &str,
    ) -> Result<Self> {
        Self::begin(path, rows, dimension, vector_type, encoder, None)
    }

    /// The same for a part of the stage `stage` of a store, `t5-<fingerprint>`: there it belongs, and
    /// nowhere else.
    ///
    /// # Errors
    ///
    /// Those of [`VectorWriter::create`].
    pub fn create_in(
        path: &Path,
        rows: Range<usize>,
        dimension: usize,
        vector_type: VectorType,
        encoder: &str,
        stage: &str,
    ) -> Result<Self> {
        Self::begin(path, rows, dimension, vector_type, encoder, Some(stage.to_owned()))
    }

    fn begin(
        path: &Path,
        rows: Range<usize>,
        dimension: usize,
        vector_type: VectorType,
        encoder: &str,
        stage: Option<String>,
    ) -> Result<Self> {
        let (first_row, encoder) = (rows.start as u64, encoder.to_owned());
        let metadata = Metadata { first_row, encoder, stage, relative_error: None };
        let header = metadata.header(rows.len(), dimension, vector_type)?;
        let file = File::create(path).or_io("cannot write the vectors", path)?;
        let mut out = BufWriter::new(file);
        let first_number = 8 + header.len() + rows.len() * vector_type.scale_bytes();
        out.write_all(&(header.len() as u64).to_le_bytes())
            .and_then(|()| out.write_all(header.as_bytes()))
            .and_then(|()| out.seek(SeekFrom::Start(first_number as u64)))
            .or_io("cannot write the vectors", path)?;
        let (path, next_row) = (path.to_owned(), rows.start);
        let (scales, largest_error) = (Vec::new(), 0.0);
        Ok(Self {
            path,
            out,
            metadata,
            vector_type,
            dimension,
            next_row,
            rows,
            scales,
            largest_error,
        })
    }

    /// Writes the next rows.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] when writing fails; [`ErrorKind::Data`] when a value is not finite, as
    /// f16 becomes infinite (its magnitude is 65,520 or more), or cannot be read back from int8
    /// (f32's largest number); [`ErrorKind::Unexpected`] when the rows have another dimension.
    pub fn write(&mut self, rows: Matrix<'_>) -> Result<()> {
        if rows.dimension() != self.dimension {
            return Err(Error::new(ErrorKind::Unexpected, "the vectors have another dimension")
                .with_context("found", rows.dimension())
                .with_context("wanted", self.dimension));
        }
        let refused = |x: &f32| !storable(self.vector_type, *x);
        if let Some(at) = rows.as_slice().iter().position(refused) {
            return Err(Error::new(ErrorKind::Data, "a vector has a value that cannot be stored")
                .with_context("pool row", self.next_row + at / self.dimension)
                .with_hint("store the vectors as f32, or look at the encoder"));
        }
        self.next_row += rows.rows();
        let mut bytes = Vec::new();
        let whole_rows = (PIECE / self.dimension).max(1) * self.dimension;
        for piece in rows.as_slice().chunks(whole_rows) {
            bytes.clear();
            self.encode(piece, &mut bytes);
            self.out.write_all(&bytes).or_io("cannot write the vectors", &self.path)?;
        }
        Ok(())
    }

    /// Appends the bytes of whole rows.
    fn encode(&mut self, rows: &[f32], bytes: &mut Vec<u8>) {
        match self.vector_type {
            VectorType::F32 => encode_f32(rows, bytes),
            VectorType::F16 => encode_f16(rows, bytes),
            VectorType::Int8 => {
                for row in rows.chunks_exact(self.dimension) {
                    let (scale, error) = encode_int8(row, bytes);
                    self.scales.extend_from_slice(&scale.to_le_bytes());
                    self.largest_error = self.largest_error.max(error);
                }
            }
        }
    }

    /// Ends the file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] when writing fails; [`ErrorKind::Unexpected`] when not all rows came.
    pub fn finish(mut self) -> Result<()> {
        if self.next_row != self.rows.end {
            return Err(Error::new(ErrorKind::Unexpected, "not as many vectors came as were said")
                .with_context("next row", self.next_row)
                .with_context("end", self.rows.end));
        }
        self.out.flush().or_io("cannot write the vectors", &self.path)?;
        if self.vector_type == VectorType::Int8 {
            self.metadata.relative_error = Some(self.largest_error);
            let rows = self.rows.len();
            let mut front =
                self.metadata.header(rows, self.dimension, self.vector_type)?.into_bytes();
            front.append(&mut self.scales);
            let written = self.out.get_ref().write_all_at(&front, 8);
            written.or_io("cannot write the vectors", &self.path)?;
        }
        Ok(())
    }
}

/// Writes a part whose vectors are all in memory.
///
/// # Errors
///
/// Those of [`VectorWriter`].
pub fn write_vectors(
    path: &Path,
    rows: Matrix<'_>,
    vector_type: VectorType,
    first_row: usize,
    encoder: &str,
) -> Result<()> {
    let span = first_row..first_row + rows.rows();
    let mut writer = VectorWriter::create(path, span, rows.dimension(), vector_type, encoder)?;
    writer.write(rows)?;
    writer.finish()
}
