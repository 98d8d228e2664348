//! What the encoder `bert` promises, through the built library, on a tiny model.

use deft_conformance::{Library, tiny_bert};
use serde_json::json;

#[test]
fn encoder_keeps_its_promises() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    tiny_bert(dir.path());
    let library = Library::of_package(env!("CARGO_PKG_NAME"));
    library.encoder("bert", json!({"model": dir.path()})).check();
}
