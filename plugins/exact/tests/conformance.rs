//! What `exact` promises as an index, through the built library.

use deft_conformance::{Library, Metric};
use serde_json::json;

#[test]
fn exact_keeps_the_promises_of_an_index() {
    let library = Library::of_package(env!("CARGO_PKG_NAME"));
    library.index("exact", json!({})).check();
    library.index("exact", json!({"metric": "ip"})).with_metric(Metric::InnerProduct).check();
}
