//! The vector store: one safetensors file per pool part, read in slices.
//!
//! A part is a file `part-00017.safetensors` with one tensor `vectors` of shape `[rows, dimension]`
//! and type `F32` or `F16`. Its metadata has one key, `deft`, with JSON: the pool position of the
//! first row (`first_row`), the fingerprint of the encoder (`encoder`) and, in a store, the name of
//! the folder that the part was made for (`stage`).

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use half::f16;
use half::slice::HalfFloatSliceExt;
use safetensors::tensor::Dtype;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{Error, ErrorKind, Matrix, Result, ResultExt};

const TENSOR: &str = "vectors";
const METADATA: &str = "deft";
/// Longest header that is believed; ours are about 200 bytes.
const MAX_HEADER: u64 = 1 << 20;

/// How vectors are stored.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum VectorType {
    /// 16-bit floats: half the space; relative error at most 2⁻¹¹.
    #[default]
    F16,
    /// 32-bit floats: as the encoder made them.
    F32,
}

impl VectorType {
    /// Bytes of one component.
    pub fn bytes(self) -> usize {
        match self {
            Self::F16 => 2,
            Self::F32 => 4,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Metadata {
    first_row: u64,
    encoder: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stage: Option<String>,
}

/// The file name of a part or unit: `part-00017` and a suffix.
pub fn part_name(number: usize, suffix: &str) -> String {
    format!("part-{number:05}{suffix}")
}

/// Writes the vectors of one part as they come, in memory for one call's rows.
#[derive(Debug)]
pub struct VectorWriter {
    path: PathBuf,
    out: BufWriter<File>,
    vector_type: VectorType,
    dimension: usize,
    /// Pool position of the next row.
    next_row: usize,
    end_row: usize,
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
        let metadata = Metadata { first_row, encoder, stage };
        let metadata = serde_json::to_string(&metadata)
            .or_error(ErrorKind::Unexpected, "the metadata is no JSON")?;
        let dtype = match vector_type {
            VectorType::F16 => Dtype::F16,
            VectorType::F32 => Dtype::F32,
        };
        let bytes = rows.len() * dimension * vector_type.bytes();
        let mut header = json!({
            "__metadata__": {METADATA: metadata},
            TENSOR: {"dtype": dtype, "shape": [rows.len(), dimension], "data_offsets": [0, bytes]},
        })
        .to_string();
        // The numbers must start at a multiple of 8, and blanks after JSON are allowed.
        header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
        let file = File::create(path).or_io("cannot write the vectors", path)?;
        let mut out = BufWriter::new(file);
        out.write_all(&(header.len() as u64).to_le_bytes())
            .and_then(|()| out.write_all(header.as_bytes()))
            .or_io("cannot write the vectors", path)?;
        let (next_row, end_row) = (rows.start, rows.end);
        Ok(Self { path: path.to_owned(), out, vector_type, dimension, next_row, end_row })
    }

    /// Writes the next rows.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] when writing fails; [`ErrorKind::Data`] when a value is not finite or, as
    /// f16, becomes infinite (its magnitude is 65,520 or more); [`ErrorKind::Unexpected`] when the
    /// rows have another dimension.
    pub fn write(&mut self, rows: Matrix<'_>) -> Result<()> {
        if rows.dimension() != self.dimension {
            return Err(Error::new(ErrorKind::Unexpected, "the vectors have another dimension")
                .with_context("found", rows.dimension())
                .with_context("wanted", self.dimension));
        }
        let finite = |x: &f32| match self.vector_type {
            VectorType::F16 => f16::from_f32(*x).is_finite(),
            VectorType::F32 => x.is_finite(),
        };
        if let Some(at) = rows.as_slice().iter().position(|x| !finite(x)) {
            return Err(Error::new(ErrorKind::Data, "a vector has a value that cannot be stored")
                .with_context("pool row", self.next_row + at / self.dimension)
                .with_hint("store the vectors as f32, or look at the encoder"));
        }
        self.next_row += rows.rows();
        let written = match self.vector_type {
            VectorType::F32 => write_each(&mut self.out, rows.as_slice(), f32::to_le_bytes),
            VectorType::F16 => {
                let mut half = vec![f16::ZERO; rows.as_slice().len()];
                half.convert_from_f32_slice(rows.as_slice());
                write_each(&mut self.out, &half, f16::to_le_bytes)
            }
        };
        written.or_io("cannot write the vectors", &self.path)
    }

    /// Ends the file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] when writing fails; [`ErrorKind::Unexpected`] when not all rows came.
    pub fn finish(mut self) -> Result<()> {
        if self.next_row != self.end_row {
            return Err(Error::new(ErrorKind::Unexpected, "not as many vectors came as were said")
                .with_context("next row", self.next_row)
                .with_context("end", self.end_row));
        }
        self.out.flush().or_io("cannot write the vectors", &self.path)
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

fn write_each<T: Copy, const N: usize>(
    out: &mut impl Write,
    values: &[T],
    to_bytes: impl Fn(T) -> [u8; N],
) -> std::io::Result<()> {
    values.iter().try_for_each(|&value| out.write_all(&to_bytes(value)))
}

/// The vectors of a pool, or of a run of its rows, on disk.
///
/// Cloning and slicing are cheap; reading is positioned and may be done by many threads at once.
#[derive(Debug, Clone)]
pub struct VectorStore {
    dir: PathBuf,
    parts: Arc<Vec<Part>>,
    dimension: usize,
    vector_type: VectorType,
    encoder: String,
    stage: Option<String>,
    rows: Range<usize>,
}

#[derive(Debug)]
struct Part {
    path: PathBuf,
    /// Where the numbers start in the file.
    offset: u64,
    /// Pool rows in it.
    rows: Range<usize>,
}

impl VectorStore {
    /// Opens the parts in a folder, all of them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Data`] when a part is damaged, missing in between, of another dimension, type,
    /// encoder or stage than the first; [`ErrorKind::Io`] when the folder cannot be read.
    pub fn open(dir: &Path) -> Result<Self> {
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(dir).or_io("cannot open the vectors", dir)? {
            let path = entry.or_io("cannot list the vectors", dir)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with("part-") && name.ends_with(".safetensors") {
                paths.push(path);
            }
        }
        paths.sort();
        let mut store: Option<Self> = None;
        let mut parts = Vec::new();
        for path in paths {
            let header = Header::read(&path)?;
            let first = store.get_or_insert_with(|| Self {
                dir: dir.to_owned(),
                parts: Arc::default(),
                dimension: header.dimension,
                vector_type: header.vector_type,
                encoder: header.encoder.clone(),
                stage: header.stage.clone(),
                rows: 0..0,
            });
            first.check_part(&header, &path)?;
            first.rows.end = header.part.rows.end;
            parts.push(header.part);
        }
        let store = store.ok_or_else(|| {
            Error::new(ErrorKind::Data, "no vectors here").with_context("folder", dir.display())
        })?;
        Ok(Self { parts: Arc::new(parts), ..store })
    }

    fn check_part(&self, header: &Header, path: &Path) -> Result<()> {
        let wrong = |what: &str, found: String, wanted: String| {
            Err(Error::new(ErrorKind::Data, format!("the vector parts differ in {what}"))
                .with_context("file", path.display())
                .with_context("found", found)
                .with_context("wanted", wanted))
        };
        if header.dimension != self.dimension {
            return wrong("dimension", header.dimension.to_string(), self.dimension.to_string());
        }
        if header.vector_type != self.vector_type {
            let name = |vector_type| format!("{vector_type:?}").to_lowercase();
            return wrong("type", name(header.vector_type), name(self.vector_type));
        }
        if header.encoder != self.encoder {
            return wrong("encoder", header.encoder.clone(), self.encoder.clone());
        }
        // A part that names none is of an earlier version.
        if let (Some(found), Some(wanted)) = (&header.stage, &self.stage)
            && found != wanted
        {
            return wrong("the stage that they were made for", found.clone(), wanted.clone());
        }
        if header.part.rows.start != self.rows.end {
            let (found, wanted) = (header.part.rows.start, self.rows.end);
            return wrong("their first row", found.to_string(), wanted.to_string());
        }
        Ok(())
    }

    /// The same vectors, limited to a run of pool rows.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unexpected`] when the store does not hold all of them.
    pub fn slice(&self, rows: Range<usize>) -> Result<Self> {
        if rows.start < self.rows.start || rows.end > self.rows.end || rows.start > rows.end {
            return Err(Error::new(ErrorKind::Unexpected, "these rows have no stored vectors")
                .with_context("wanted", format!("{rows:?}"))
                .with_context("stored", format!("{:?}", self.rows)));
        }
        Ok(Self { rows, parts: Arc::clone(&self.parts), ..self.clone() })
    }

    /// The folder that the vectors lie in.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The pool rows that the store (or slice) holds.
    pub fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    /// Number of vectors.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no vector at all.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Components of each vector.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Fingerprint of the encoder that made the vectors.
    pub fn encoder(&self) -> &str {
        &self.encoder
    }

    /// Name of the store's folder that the vectors were made for, if the first part says it.
    pub fn stage(&self) -> Option<&str> {
        self.stage.as_deref()
    }

    /// Reads rows, counted from the start of this slice, into `out` (row-major, replaced).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] when a file cannot be read; [`ErrorKind::Unexpected`] when a row is out of
    /// range.
    pub fn read(&self, rows: Range<usize>, out: &mut Vec<f32>) -> Result<()> {
        let of_pool = |row: usize| self.rows.start.saturating_add(row);
        let wanted = self.slice(of_pool(rows.start)..of_pool(rows.end))?.rows;
        out.clear();
        out.reserve(wanted.len() * self.dimension);
        let mut bytes = Vec::new();
        let from = self.parts.partition_point(|part| part.rows.end <= wanted.start);
        for part in &self.parts[from..] {
            let start = wanted.start.max(part.rows.start);
            let end = wanted.end.min(part.rows.end);
            if start >= end {
                break;
            }
            let row_bytes = self.dimension * self.vector_type.bytes();
            bytes.resize((end - start) * row_bytes, 0);
            let at = part.offset + ((start - part.rows.start) * row_bytes) as u64;
            // Opened for each read: a pool of a hundred million rows has a thousand parts.
            File::open(&part.path)
                .and_then(|file| file.read_exact_at(&mut bytes, at))
                .or_io("cannot read vectors", &part.path)?;
            self.decode(&bytes, out);
        }
        Ok(())
    }

    fn decode(&self, bytes: &[u8], out: &mut Vec<f32>) {
        match self.vector_type {
            VectorType::F32 => {
                out.extend(bytes.as_chunks().0.iter().map(|&chunk| f32::from_le_bytes(chunk)));
            }
            VectorType::F16 => {
                let halves: Vec<f16> =
                    bytes.as_chunks().0.iter().map(|&chunk| f16::from_le_bytes(chunk)).collect();
                let start = out.len();
                out.resize(start + halves.len(), 0.0);
                halves.convert_to_f32_slice(&mut out[start..]);
            }
        }
    }
}

/// What a part's header says.
struct Header {
    dimension: usize,
    vector_type: VectorType,
    encoder: String,
    stage: Option<String>,
    part: Part,
}

impl Header {
    fn read(path: &Path) -> Result<Self> {
        let damaged = |what: &str| {
            Error::new(ErrorKind::Data, format!("the vector part is damaged: {what}"))
                .with_context("file", path.display())
                .with_hint("remove the file: the next run makes it again")
        };
        let mut file = File::open(path).or_io("cannot open the vectors", path)?;
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(|_| damaged("it is shorter than its header"))?;
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER {
            return Err(damaged("its header's length is not believable"));
        }
        let mut header = Vec::new();
        (&mut file).take(length).read_to_end(&mut header).or_io("cannot read the vectors", path)?;
        let metadata: safetensors::tensor::Metadata =
            serde_json::from_slice(&header).map_err(|e| damaged(&e.to_string()))?;
        let tensor = metadata.info(TENSOR).ok_or_else(|| damaged("it has no tensor `vectors`"))?;
        let &[rows, dimension] = tensor.shape.as_slice() else {
            return Err(damaged("its tensor has not two dimensions"));
        };
        let vector_type = match tensor.dtype {
            Dtype::F16 => VectorType::F16,
            Dtype::F32 => VectorType::F32,
            _ => return Err(damaged("its numbers are neither F16 nor F32")),
        };
        let deft = metadata.metadata().as_ref().and_then(|map| map.get(METADATA));
        let deft: Metadata = deft
            .and_then(|json| serde_json::from_str(json).ok())
            .ok_or_else(|| damaged("its metadata has no `deft`"))?;
        let offset = 8 + length;
        let bytes = rows.checked_mul(dimension).and_then(|n| n.checked_mul(vector_type.bytes()));
        let bytes = bytes.ok_or_else(|| damaged("its shape is not believable"))? as u64;
        if dimension == 0 {
            return Err(damaged("its vectors have no component"));
        }
        let size = file.metadata().or_io("cannot read the vectors", path)?.len();
        if size != offset + bytes || tensor.data_offsets.0 != 0 {
            return Err(damaged("its length is not that of its vectors"));
        }
        let first = usize::try_from(deft.first_row).map_err(|_| damaged("its first row"))?;
        let end = first.checked_add(rows).ok_or_else(|| damaged("its first row"))?;
        let part = Part { path: path.to_owned(), offset, rows: first..end };
        Ok(Self { dimension, vector_type, encoder: deft.encoder, stage: deft.stage, part })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(vector_type: VectorType) -> (tempfile::TempDir, VectorStore) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let values: Vec<f32> = (0..10u8).map(f32::from).collect();
        for (part, rows) in [(0, 0..3), (1, 3..5)] {
            let data = &values[rows.start * 2..rows.end * 2];
            let path = dir.path().join(part_name(part, ".safetensors"));
            let mut writer =
                VectorWriter::create(&path, rows, 2, vector_type, "e").expect("created");
            for row in data.chunks(2) {
                writer.write(Matrix::new(row, 2).expect("whole rows")).expect("written");
            }
            writer.finish().expect("written");
        }
        let store = VectorStore::open(dir.path()).expect("opened");
        (dir, store)
    }

    #[test]
    fn rows_are_read_across_parts_and_from_slices() {
        for vector_type in [VectorType::F16, VectorType::F32] {
            let (_dir, store) = store(vector_type);
            let mut out = Vec::new();
            store.read(2..4, &mut out).expect("read");
            assert_eq!(out, [4.0, 5.0, 6.0, 7.0]);
            let slice = store.slice(1..5).expect("stored");
            slice.read(3..4, &mut out).expect("read");
            assert_eq!(out, [8.0, 9.0]);
        }
    }

    #[test]
    fn a_missing_or_cut_part_is_refused_by_name() {
        let (dir, _) = store(VectorType::F16);
        let second = dir.path().join("part-00001.safetensors");
        let bytes = std::fs::read(&second).expect("read");
        std::fs::write(&second, &bytes[..bytes.len() - 1]).expect("cut");
        let error = VectorStore::open(dir.path()).expect_err("damaged");
        assert!(error.to_string().contains("part-00001.safetensors"), "{error}");
        std::fs::remove_file(dir.path().join("part-00000.safetensors")).expect("removed");
        std::fs::write(&second, &bytes).expect("restored");
        let error = VectorStore::open(dir.path()).expect_err("a part is missing");
        assert!(error.to_string().contains("first row"), "{error}");
    }

    #[test]
    fn parts_made_for_different_stages_are_refused_with_both_names() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for (row, stage) in [(0, "t5-aaaa"), (1, "t5-bbbb")] {
            let path = dir.path().join(part_name(row, ".safetensors"));
            let vector_type = VectorType::F32;
            let mut writer =
                VectorWriter::create_in(&path, row..row + 1, 1, vector_type, "e", stage)
                    .expect("created");
            writer.write(Matrix::new(&[1.0], 1).expect("whole rows")).expect("written");
            writer.finish().expect("written");
            if row == 0 {
                let store = VectorStore::open(dir.path()).expect("opened");
                assert_eq!(store.stage(), Some("t5-aaaa"));
            }
        }
        let error = VectorStore::open(dir.path()).expect_err("another stage's part");
        let named = (error.context("found"), error.context("wanted"));
        assert_eq!(named, (Some("t5-bbbb"), Some("t5-aaaa")));
    }

    #[test]
    fn other_readers_of_safetensors_read_a_part() {
        let (dir, _) = store(VectorType::F32);
        let bytes = std::fs::read(dir.path().join("part-00001.safetensors")).expect("read");
        let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
        let tensor = tensors.tensor("vectors").expect("there");
        assert_eq!((tensor.shape(), tensor.dtype()), ([2, 2].as_slice(), Dtype::F32));
        assert_eq!(tensor.data()[..4], 6f32.to_le_bytes());
    }

    #[test]
    fn values_that_f16_cannot_hold_and_missing_rows_are_refused() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("part-00000.safetensors");
        let create = |vector_type| {
            VectorWriter::create(&path, 10..13, 1, vector_type, "e").expect("created")
        };
        let rows = Matrix::new(&[0.0, 1.0e6], 1).expect("whole rows");
        let error = create(VectorType::F16).write(rows).expect_err("too large");
        assert_eq!(error.context("pool row"), Some("11"));
        let mut writer = create(VectorType::F32);
        writer.write(rows).expect("f32 holds it");
        assert!(writer.finish().is_err(), "a row is missing");
    }
}
