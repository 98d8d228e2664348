//! What every encoder promises, checked on the built library.

use deft_conformance::Library;
use deft_core::serde_json::json;

#[test]
fn hash_keeps_the_promises_of_an_encoder() {
    let library = Library::of_package(env!("CARGO_PKG_NAME"));
    // A vector is exact: neighbours do not move it, not even by rounding.
    library.encoder("hash", json!({})).with_tolerance(0.0).check();
    library
        .encoder("hash", json!({"dimension": 7, "lowercase": false}))
        .with_tolerance(0.0)
        .check();
}
