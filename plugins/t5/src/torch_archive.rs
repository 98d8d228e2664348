//! Writes what `torch.save(state_dict)` writes, for tests: torch itself is not needed.
//!
//! The file is a zip archive, nothing in it compressed: `archive/data.pkl` is a pickle of protocol
//! 2 that builds the dictionary, `archive/data/N` are the raw values of the N-th storage.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use candle_core::Tensor;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

const PROTOCOL_2: &[u8] = b"\x80\x02";
const STOP: &[u8] = b".";
const MARK: &[u8] = b"(";
const TUPLE: &[u8] = b"t";
const REDUCE: &[u8] = b"R";
const SET_ITEMS: &[u8] = b"u";
const PERSISTENT_ID: &[u8] = b"Q";
const FALSE: &[u8] = b"\x89";
const ORDERED_DICT: &[u8] = b"ccollections\nOrderedDict\n)R";
const FLOAT_STORAGE: &[u8] = b"ctorch\nFloatStorage\n";
const REBUILD_TENSOR: &[u8] = b"ctorch._utils\n_rebuild_tensor_v2\n";

/// Writes named f32 tensors.
pub(crate) fn write(path: &Path, tensors: &[(&String, &Tensor)]) {
    let mut zip = ZipWriter::new(File::create(path).expect("a file"));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    zip.start_file("archive/data.pkl", options).expect("an entry");
    zip.write_all(&dictionary(tensors)).expect("written");
    for (storage, (_, tensor)) in tensors.iter().enumerate() {
        zip.start_file(format!("archive/data/{storage}"), options).expect("an entry");
        let values: Vec<f32> = tensor.flatten_all().and_then(|t| t.to_vec1()).expect("f32");
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        zip.write_all(&bytes).expect("written");
    }
    zip.finish().expect("written");
}

/// The pickle of an ordered dictionary of tensors.
fn dictionary(tensors: &[(&String, &Tensor)]) -> Vec<u8> {
    let items = tensors.iter().enumerate().flat_map(|(storage, (name, tensor))| {
        let key = text(&storage.to_string());
        let count = number(tensor.elem_count());
        let storage = [MARK, &text("storage"), FLOAT_STORAGE, &key, &text("cpu"), &count, TUPLE];
        let sizes: Vec<u8> = tensor.dims().iter().flat_map(|&size| number(size)).collect();
        let strides: Vec<u8> = tensor.stride().iter().flat_map(|&step| number(step)).collect();
        [
            [&text(name), REBUILD_TENSOR, MARK, &storage.concat(), PERSISTENT_ID].concat(),
            [&number(0), MARK, &sizes, TUPLE, MARK, &strides, TUPLE].concat(),
            [FALSE, ORDERED_DICT, TUPLE, REDUCE].concat(),
        ]
        .concat()
    });
    let items: Vec<u8> = items.collect();
    [PROTOCOL_2, ORDERED_DICT, MARK, &items, SET_ITEMS, STOP].concat()
}

fn text(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).expect("short");
    [b"X", &length.to_le_bytes()[..], text.as_bytes()].concat()
}

fn number(number: usize) -> Vec<u8> {
    let number = i32::try_from(number).expect("small");
    [b"J", &number.to_le_bytes()[..]].concat()
}
