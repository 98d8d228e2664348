//! Reading rows of the parts.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::codec::Decoder;
use super::header::Part;
use super::store::VectorStore;
use crate::{Error, ErrorKind, Result, ResultExt};

/// Bytes that are read and decoded before the next ones are: what a core's second cache holds.
const PIECE: usize = 256 << 10;
/// Scattered rows with no more bytes between them than this are read at once: to read a page more
/// costs less than another call.
const GAP: usize = 4 << 10;

impl VectorStore {
    /// Reads rows, counted from the start of this slice, into `out` (row-major, replaced).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] when a file cannot be read; [`ErrorKind::Unexpected`] when a row is out of
    /// range.
    pub fn read(&self, rows: Range<usize>, out: &mut Vec<f32>) -> Result<()> {
        let wanted = self.within(&rows)?;
        out.resize(wanted.len() * self.dimension(), 0.0);
        self.read_into(rows, out)
    }

    /// The same into memory for just as many numbers.
    ///
    /// # Errors
    ///
    /// Those of [`VectorStore::read`]; [`ErrorKind::Unexpected`] when there is room for fewer numbers
    /// or for more.
    pub fn read_into(&self, rows: Range<usize>, out: &mut [f32]) -> Result<()> {
        let wanted = self.within(&rows)?;
        if out.len() != wanted.len() * self.dimension() {
            return Err(Error::new(ErrorKind::Unexpected, "the rows have not as many numbers")
                .with_context("room", out.len())
                .with_context("numbers", wanted.len() * self.dimension()));
        }
        let mut rest = out;
        let mut buffer = Buffer::default();
        for part in &self.parts()[self.part_of(wanted.start)..] {
            let rows = wanted.start.max(part.rows.start)..wanted.end.min(part.rows.end);
            if rows.is_empty() {
                break;
            }
            // Opened for each read: a pool of a hundred million rows has a thousand parts.
            let file = File::open(&part.path).or_io("cannot read vectors", &part.path)?;
            let piece_rows = (PIECE / self.bytes_per_row()).max(1);
            for first in rows.clone().step_by(piece_rows) {
                let piece = first..(first + piece_rows).min(rows.end);
                let (numbers, after) =
                    std::mem::take(&mut rest).split_at_mut(piece.len() * self.dimension());
                rest = after;
                buffer.fill(self, part, &file, &piece)?;
                buffer.decode(self, 0..piece.len(), numbers);
            }
        }
        Ok(())
    }

    /// Reads some rows, counted from the start of this slice, into `out` (row-major, in the order of
    /// `rows`, replaced).
    ///
    /// The rows come in any order, and may come twice. Neighbours are read at once, and each part is
    /// opened once.
    ///
    /// # Errors
    ///
    /// Those of [`VectorStore::read`].
    pub fn read_rows(&self, rows: &[u64], out: &mut Vec<f32>) -> Result<()> {
        let dimension = self.dimension();
        out.resize(rows.len() * dimension, 0.0);
        let wanted = self.sorted(rows)?;
        let mut buffer = Buffer::default();
        let mut opened: Option<(&Part, File)> = None;
        let mut rest = wanted.as_slice();
        while let Some(&(first, _)) = rest.first() {
            let part = &self.parts()[self.part_of(first)];
            let (run, after) = rest.split_at(self.run_length(rest, part));
            rest = after;
            let file = match opened.take() {
                Some((last, file)) if std::ptr::eq(last, part) => file,
                _ => File::open(&part.path).or_io("cannot read vectors", &part.path)?,
            };
            let span = first..run[run.len() - 1].0 + 1;
            buffer.fill(self, part, &file, &span)?;
            for &(row, place) in run {
                let numbers = &mut out[place * dimension..(place + 1) * dimension];
                buffer.decode(self, row - first..row - first + 1, numbers);
            }
            opened = Some((part, file));
        }
        Ok(())
    }

    /// The pool rows of these rows of the slice.
    fn within(&self, rows: &Range<usize>) -> Result<Range<usize>> {
        let of_pool = |row: usize| self.rows().start.saturating_add(row);
        Ok(self.slice(of_pool(rows.start)..of_pool(rows.end))?.rows())
    }

    /// The pool rows of these rows of the slice, with their places, in rising order.
    fn sorted(&self, rows: &[u64]) -> Result<Vec<(usize, usize)>> {
        let mut wanted = Vec::with_capacity(rows.len());
        for (place, &row) in rows.iter().enumerate() {
            let within = usize::try_from(row).ok().filter(|&row| row < self.len());
            let row_of_pool = within.map(|row| self.rows().start + row);
            wanted.push((row_of_pool.ok_or_else(|| self.out_of_range(row))?, place));
        }
        wanted.sort_unstable();
        Ok(wanted)
    }

    fn out_of_range(&self, row: u64) -> Error {
        Error::new(ErrorKind::Unexpected, "this row has no stored vector")
            .with_context("wanted", row)
            .with_context("rows", self.len())
    }

    /// How many of these sorted rows, from the first, are read at once.
    fn run_length(&self, rows: &[(usize, usize)], part: &Part) -> usize {
        let row_bytes = self.bytes_per_row();
        let end = part.rows.end.min(rows[0].0 + (PIECE / row_bytes).max(1));
        let near = |pair: &[(usize, usize)]| {
            let skipped = (pair[1].0 - pair[0].0).saturating_sub(1);
            pair[1].0 < end && skipped * row_bytes <= GAP
        };
        1 + rows.windows(2).take_while(|pair| near(pair)).count()
    }

    /// The number of the first part that ends after this pool row.
    fn part_of(&self, row: usize) -> usize {
        self.parts().partition_point(|part| part.rows.end <= row)
    }
}

/// The bytes of some consecutive rows.
#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    scales: Vec<u8>,
    decoder: Decoder,
}

impl Buffer {
    /// Reads these pool rows, all of one part.
    fn fill(
        &mut self,
        store: &VectorStore,
        part: &Part,
        file: &File,
        rows: &Range<usize>,
    ) -> Result<()> {
        let first = rows.start - part.rows.start;
        let vector_type = store.vector_type();
        let read = |bytes: &mut Vec<u8>, start: u64, per_row: usize| {
            bytes.resize(rows.len() * per_row, 0);
            file.read_exact_at(bytes, start + (first * per_row) as u64)
        };
        read(&mut self.bytes, part.offset, store.dimension() * vector_type.bytes())
            .and_then(|()| read(&mut self.scales, part.scales, vector_type.scale_bytes()))
            .or_io("cannot read vectors", &part.path)
    }

    /// Decodes some of the rows, counted from the first that was read.
    fn decode(&mut self, store: &VectorStore, rows: Range<usize>, out: &mut [f32]) {
        let vector_type = store.vector_type();
        let bytes_of = |per_row: usize| rows.start * per_row..rows.end * per_row;
        let bytes = &self.bytes[bytes_of(store.dimension() * vector_type.bytes())];
        let scales = &self.scales[bytes_of(vector_type.scale_bytes())];
        self.decoder.decode(vector_type, bytes, scales, out);
    }
}
