//! What `bm25` promises as a retriever, through the built library.

use deft_conformance::Library;
use serde_json::json;

#[test]
fn bm25_keeps_the_promises_of_a_retriever() {
    let library = Library::of_package(env!("CARGO_PKG_NAME"));
    library.retriever("bm25", json!({})).with_checksums().check();
}
