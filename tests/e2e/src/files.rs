//! What the program has written, as values.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// The JSON of a file.
///
/// # Panics
///
/// When it cannot be read, or is none.
pub fn read_json(path: &Path) -> Value {
    let text = fs::read(path).expect("a file that can be read");
    serde_json::from_slice(&text).expect("JSON")
}

/// Rows and numbers of a two-dimensional little-endian f32 `.npy` file.
///
/// # Panics
///
/// When it cannot be read, or is none.
pub fn read_npy(path: &Path) -> (usize, Vec<f32>) {
    let bytes = fs::read(path).expect("a file that can be read");
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let text = std::str::from_utf8(&bytes[10..10 + header]).expect("a header of text");
    let (_, shape) = text.split_once("'shape': (").expect("a shape");
    let rows = shape.split(',').next().and_then(|rows| rows.parse().ok()).expect("rows");
    let numbers = bytes[10 + header..].as_chunks().0.iter().map(|&b| f32::from_le_bytes(b));
    (rows, numbers.collect())
}
