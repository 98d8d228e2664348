//! What `faiss` promises as an index, through the built library.

use deft_conformance::{Library, Metric};
use serde_json::json;

#[test]
fn faiss_keeps_the_promises_of_an_index() {
    let library = Library::of_package(env!("CARGO_PKG_NAME"));
    for options in [
        json!({"factory": "Flat", "refine": 1}),
        json!({"factory": "HNSW32", "refine": 1}),
        json!({"factory": "auto", "refine": 50}),
    ] {
        library.index("faiss", options).check();
    }
    let options = json!({"factory": "IVF4,SQ8", "metric": "ip", "refine": 4, "nprobe": 4});
    library.index("faiss", options).with_metric(Metric::InnerProduct).check();
}
