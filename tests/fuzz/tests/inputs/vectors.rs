//! Parts of the vector store.

use std::fs;

use deft_core::{Matrix, VectorStore, VectorType, write_vectors};
use deft_fuzz::{Seed, fuzz};

use crate::support::handled;

const WORDS: &[&str] = &[
    "__metadata__",
    "\"vectors\"",
    "\"dtype\":\"F32\"",
    "\"F16\"",
    "\"I8\"",
    "\"scales\"",
    "\"F8_E4M3\"",
    "\"F4\"",
    "\"shape\":[",
    "\"data_offsets\":[0,",
    "\"first_row\":",
    "\\\"first_row\\\":",
    "[0,0]",
    "0,0",
    "9223372036854775807,2",
    "4611686018427387904",
];

#[test]
fn mutated_vector_parts_are_read_or_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let (first, second) =
        (dir.path().join("part-00000.safetensors"), dir.path().join("part-00001.safetensors"));
    let values: Vec<f32> = (0..40u8).map(f32::from).collect();
    let rows = Matrix::new(&values, 4).expect("ten rows");
    let seeds = [VectorType::F16, VectorType::F32, VectorType::Int8].map(|vector_type| {
        write_vectors(&first, rows, vector_type, 0, "an encoder").expect("written");
        let bytes = fs::read(&first).expect("readable");
        let header = bytes.iter().rposition(|&byte| byte == b'}').expect("a header");
        Seed::new(bytes).hot(0..9).hot(8..header)
    });
    write_vectors(&second, rows, VectorType::F32, 10, "an encoder").expect("written");
    fuzz("vectors", &seeds, WORDS, |input| {
        fs::write(&first, input).expect("written");
        let Some(store) = handled(VectorStore::open(dir.path())) else { return };
        let mut out = Vec::new();
        let rows = store.len();
        if handled(store.read(0..rows, &mut out)).is_some() {
            assert_eq!(out.len(), rows * store.dimension());
        }
        assert!(store.read(0..rows + 1, &mut out).is_err());
    });
}
