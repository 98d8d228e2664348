//! What `faiss` promises as an index, through the built library.

use deft_conformance::{Library, Metric};
use serde_json::json;

#[test]
fn faiss_keeps_the_promises_of_an_index() {
    let library = Library::of_package(env!("CARGO_PKG_NAME"));
    for options in [
        json!({"factory": "Flat", "refine": 1}),
        json!({"factory": "auto", "refine": 50}),
        json!({"factory": "IVF4,SQ8", "refine": 10, "nprobe": 4, "mmap": false}),
    ] {
        library.index("faiss", options).check();
    }
    let options = json!({"factory": "IVF4,Flat", "metric": "ip", "refine": 1, "nprobe": 4});
    library.index("faiss", options).with_metric(Metric::InnerProduct).check();
    // Graphs, and the codes of the paper's index, miss some.
    let graph = json!({"factory": "HNSW32", "refine": 1, "ef_search": 500});
    library.index("faiss", graph).with_recall(0.9).check();
    let paper = json!({"factory": "OPQ8_16,HNSW32,PQ8np", "refine": 4});
    library.index("faiss", paper).with_recall(0.2).check();
}
