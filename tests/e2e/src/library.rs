//! Plugins that are not as they should be: copies of built ones with some bytes changed.

use std::path::Path;

use serde_json::Value;

/// First bytes of a descriptor; then its length (u32, little endian) and the JSON itself.
const MAGIC: &[u8] = b"DEFT-PLUGIN\0";

/// Room for a descriptor in the file.
const CAPACITY: usize = 4096;

/// Copies a plugin and changes what its descriptor says.
///
/// # Panics
///
/// When the file has no descriptor, or cannot be read or written.
pub fn copy_with_descriptor(from: &Path, to: &Path, change: impl FnOnce(&mut Value)) {
    let mut bytes = std::fs::read(from).expect("the plugin is built");
    let (start, mut descriptor) = find_descriptor(&bytes).expect("a plugin has a descriptor");
    change(&mut descriptor);
    let json = descriptor.to_string();
    let length = u32::try_from(json.len()).expect("short").to_le_bytes();
    let section = [MAGIC, &length, json.as_bytes()].concat();
    bytes[start..start + CAPACITY].fill(0);
    bytes[start..start + section.len()].copy_from_slice(&section);
    std::fs::write(to, bytes).expect("written");
}

/// The magic bytes alone are also a constant of every library with deft-core in it.
fn find_descriptor(bytes: &[u8]) -> Option<(usize, Value)> {
    let starts = bytes.windows(MAGIC.len()).enumerate().filter(|(_, window)| *window == MAGIC);
    starts.map(|(start, _)| start).find_map(|start| {
        let (length, rest) = bytes[start + MAGIC.len()..].split_first_chunk()?;
        let json = rest.get(..usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        Some((start, serde_json::from_slice(json).ok()?))
    })
}

/// Copies a plugin with one word of its table of dynamic strings in another's place: the name of a
/// library that it needs, or the version of one. Both have the same length.
///
/// # Panics
///
/// When the word is not there, or a file cannot be read or written.
pub fn copy_with_word(from: &Path, to: &Path, word: &str, other: &str) {
    assert_eq!(word.len(), other.len(), "nothing else may move");
    let mut bytes = std::fs::read(from).expect("the plugin is built");
    let wanted = [b"\0", word.as_bytes(), b"\0"].concat();
    let found = bytes.windows(wanted.len()).position(|window| window == wanted);
    let start = found.expect("the word is there") + 1;
    bytes[start..start + other.len()].copy_from_slice(other.as_bytes());
    std::fs::write(to, bytes).expect("written");
}
