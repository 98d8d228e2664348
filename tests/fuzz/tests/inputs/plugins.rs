//! Plugins before they are loaded. A mutated library is never loaded.

use std::fs;

use deft_core::Kind;
use deft_core::abi::descriptor::{Descriptor, DescriptorWriter, MAGIC};
use deft_fuzz::{Seed, fuzz};
use deft_loader::{check_descriptor, read_descriptor};

use crate::support::{handled, library};

const WORDS: &[&str] = &[
    "DEFT-PLUGIN\0",
    "{\"interface\":1",
    "\"interface\":2",
    "\"components\":[",
    "[\"encoder\",",
    "\"panic\":\"abort\"",
    "]]}",
    "\0\0\0\0",
    "deft_plugin",
    "\x7fELF",
    ".shstrtab",
];

fn section() -> Vec<u8> {
    DescriptorWriter::new("hash", "1.2.3", "")
        .component(Kind::Encoder, "hash")
        .component(Kind::Reader, "t0/rte")
        .finish()
        .to_vec()
}

#[test]
fn mutated_descriptors_are_read_or_refused() {
    let seed = Seed::new(section()).hot(0..300).hot(8..24);
    fuzz("descriptor", &[seed], WORDS, |input| {
        if let Some(descriptor) = handled(Descriptor::parse(input)) {
            handled(check_descriptor(&descriptor, "x.so".as_ref()));
        }
    });
}

#[test]
fn mutated_libraries_are_described_or_refused() {
    let whole = fs::read(library("exact")).expect("readable");
    let end = whole.len();
    let at = whole.windows(MAGIC.len()).position(|window| window == MAGIC).expect("a section");
    // The file's header, the table of sections and their names, the descriptor.
    let seed = Seed::new(whole).hot(0..64).hot(64..1024).hot(end.saturating_sub(4096)..end);
    let seed = seed.hot(at..at + 300);
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("libdeft_mutated.so");
    fuzz("library", &[seed], WORDS, |input| {
        fs::write(&path, input).expect("written");
        handled(read_descriptor(&path));
    });
}
