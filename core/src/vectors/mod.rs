//! The vector store: one safetensors file per pool part, read in slices.
//!
//! A part is a file `part-00017.safetensors` with one tensor `vectors` of shape `[rows, dimension]`
//! and type `F32`, `F16` or `I8`. Its metadata has one key, `deft`, with JSON: the pool position of
//! the first row (`first_row`), the fingerprint of the encoder (`encoder`) and, in a store, the name
//! of the folder that the part was made for (`stage`).
//!
//! With `I8` there is a second tensor, `scales`, of shape `[rows]` and type `F32`. It lies before
//! `vectors`, so that both are aligned as other readers of safetensors want them. Component `c` of
//! row `r` is `vectors[r, c] * scales[r]`; see [`VectorType::Int8`] for the error. The metadata's
//! JSON then has the largest relative error of the part's rows, `relative_error`: the length of the
//! difference over the length of the row as it came.
//!
//! Files are read by position and never mapped into memory. A mapping is `unsafe`, and a file that
//! is cut short under it, as happens on network file systems, ends the process by a signal where a
//! read is an error that names the file. The system's page cache serves repeated reads as well.

mod codec;
mod header;
mod read;
mod store;
mod write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use store::VectorStore;
pub use write::{VectorWriter, write_vectors};

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
    /// 8-bit integers with a 32-bit scale for each row, its largest magnitude / 127: a quarter of
    /// the space; the error of a component is at most half the scale (and f32's rounding). A row
    /// whose scale is below 2⁻¹²⁶ is stored as zeros.
    Int8,
}

impl VectorType {
    /// Bytes that a row of `dimension` components takes on disk: with its scale, if it has one.
    pub fn bytes_per_row(self, dimension: usize) -> usize {
        dimension * self.bytes() + self.scale_bytes()
    }

    /// Bytes of one component.
    fn bytes(self) -> usize {
        match self {
            Self::F16 => 2,
            Self::F32 => 4,
            Self::Int8 => 1,
        }
    }

    /// Bytes of what a row has beside its components.
    fn scale_bytes(self) -> usize {
        match self {
            Self::F16 | Self::F32 => 0,
            Self::Int8 => size_of::<f32>(),
        }
    }
}

/// The file name of a part or unit: `part-00017` and a suffix.
pub fn part_name(number: usize, suffix: &str) -> String {
    format!("part-{number:05}{suffix}")
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::Dtype;

    use super::*;
    use crate::{ErrorKind, Matrix};

    const TYPES: [VectorType; 3] = [VectorType::F16, VectorType::F32, VectorType::Int8];

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
        for vector_type in TYPES {
            let (_dir, store) = store(vector_type);
            let mut out = Vec::new();
            store.read(2..4, &mut out).expect("read");
            assert_near(&out, &[4.0, 5.0, 6.0, 7.0], vector_type);
            let slice = store.slice(1..5).expect("stored");
            slice.read(3..4, &mut out).expect("read");
            assert_near(&out, &[8.0, 9.0], vector_type);
            assert!(slice.read_into(3..4, &mut [0.0; 3]).is_err(), "no room for two numbers");
            slice.read(4..4, &mut out).expect("nothing to read");
            assert!(out.is_empty());
        }
    }

    #[test]
    fn scattered_rows_are_read_in_the_order_asked_for() {
        for vector_type in TYPES {
            let (_dir, store) = store(vector_type);
            let slice = store.slice(1..5).expect("stored");
            let mut out = vec![f32::NAN; 3];
            slice.read_rows(&[3, 0, 3, 1], &mut out).expect("read");
            assert_near(&out, &[8.0, 9.0, 2.0, 3.0, 8.0, 9.0, 4.0, 5.0], vector_type);
            slice.read_rows(&[], &mut out).expect("nothing to read");
            assert!(out.is_empty());
            let error = slice.read_rows(&[0, 4], &mut out).expect_err("four rows");
            assert_eq!((error.kind(), error.context("wanted")), (ErrorKind::Unexpected, Some("4")));
            assert!(slice.read_rows(&[u64::MAX], &mut out).is_err());
        }
    }

    #[test]
    fn scattered_rows_are_those_of_one_read_after_the_other() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        // Rows of 2 KiB: some neighbours are near enough to be read at once, and some runs too long.
        let (rows, dimension) = (700, 1024);
        let values: Vec<_> = (0..rows * dimension).map(|i| (i as f32 * 0.37).sin()).collect();
        for (part, span) in [0..300, 300..301, 301..700].into_iter().enumerate() {
            let path = dir.path().join(part_name(part, ".safetensors"));
            let data =
                Matrix::new(&values[span.start * dimension..span.end * dimension], dimension);
            let data = data.expect("whole rows");
            write_vectors(&path, data, VectorType::Int8, span.start, "e").expect("written");
        }
        let store = VectorStore::open(dir.path()).expect("opened");
        let wanted: Vec<u64> = (0..rows as u64).map(|i| i * i * 7 % 697).chain(150..560).collect();
        let (mut out, mut one) = (Vec::new(), Vec::new());
        store.read_rows(&wanted, &mut out).expect("read");
        for (&row, found) in wanted.iter().zip(out.chunks_exact(dimension)) {
            let row = usize::try_from(row).expect("small");
            store.read(row..row + 1, &mut one).expect("read");
            assert_eq!(found, one, "{row}");
        }
    }

    #[test]
    fn files_of_floats_have_the_bytes_that_they_always_had() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join(part_name(0, ".safetensors"));
        let rows = Matrix::new(&[1.0, -2.5, 0.1], 1).expect("whole rows");
        for (vector_type, name, end, numbers) in [
            (VectorType::F16, "F16", 6, vec![0x00, 0x3c, 0x00, 0xc1, 0x66, 0x2e]),
            (
                VectorType::F32,
                "F32",
                12,
                [1.0_f32, -2.5, 0.1].into_iter().flat_map(f32::to_le_bytes).collect(),
            ),
        ] {
            let span = 5..8;
            let mut writer = VectorWriter::create_in(&path, span, 1, vector_type, "e", "t5-aaaa")
                .expect("created");
            writer.write(rows).expect("written");
            writer.finish().expect("written");
            let mut header = format!(
                r#"{{"__metadata__":{{"deft":"{{\"first_row\":5,\"encoder\":\"e\",\"stage\":\"t5-aaaa\"}}"}},"vectors":{{"dtype":"{name}","shape":[3,1],"data_offsets":[0,{end}]}}}}"#
            );
            header
                .extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
            let mut wanted = (header.len() as u64).to_le_bytes().to_vec();
            wanted.extend(header.bytes().chain(numbers));
            assert_eq!(std::fs::read(&path).expect("read"), wanted);
        }
    }

    #[test]
    fn other_readers_of_safetensors_read_int8_with_its_scales() {
        let (dir, store) = store(VectorType::Int8);
        assert_eq!((store.bytes_per_row(), store.dimension()), (6, 2));
        let bytes = std::fs::read(dir.path().join("part-00001.safetensors")).expect("read");
        let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).expect("a header");
        let deft = &metadata.metadata().as_ref().expect("metadata")["deft"];
        let deft: serde_json::Value = serde_json::from_str(deft).expect("JSON");
        let error = deft["relative_error"].as_f64().expect("a number");
        assert!(error > 0.0 && error < 0.004, "{error}");
        assert!(store.relative_error().is_some_and(|largest| f64::from(largest) >= error));
        let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
        let vectors = tensors.tensor("vectors").expect("there");
        assert_eq!((vectors.shape(), vectors.dtype()), ([2, 2].as_slice(), Dtype::I8));
        // The rows (6, 7) and (8, 9).
        assert_eq!(vectors.data(), [109, 127, 113, 127]);
        let scales = tensors.tensor("scales").expect("there");
        assert_eq!((scales.shape(), scales.dtype()), ([2].as_slice(), Dtype::F32));
        assert_eq!(scales.data()[..4], (7.0_f32 / 127.0).to_le_bytes());
    }

    /// Int8 is off by half of 1/127 of a row's largest number, 9 at most.
    fn assert_near(found: &[f32], wanted: &[f32], vector_type: VectorType) {
        let tolerance = if vector_type == VectorType::Int8 { 0.036 } else { 0.0 };
        assert_eq!(found.len(), wanted.len());
        for (x, y) in found.iter().zip(wanted) {
            assert!((x - y).abs() <= tolerance, "{found:?} {wanted:?}");
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
