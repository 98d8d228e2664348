//! What the tests of the manifest's parts share.

use deft_core::Result;

use super::{Document, Manifest};

/// All that a manifest needs, in six lines: what is tested begins in line 7.
pub(super) const HEAD: &str = "version: 1\nname: x\nplugins: []\npool: [{ reader: p3, source: a }]\n\
                               tasks: []\nretriever: bm25\n";

/// Loads the file `m.yaml` with such a text.
pub(super) fn load(text: &str) -> Result<(Manifest, Document)> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.yaml");
    std::fs::write(&path, text).unwrap();
    Manifest::load(&path, &[])
}
