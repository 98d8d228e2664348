//! What `fusion` promises as a retriever, through the built library, with children from others.

use deft_conformance::{Component, Library, RetrieverChecks};
use deft_core::Kind;
use serde_json::{Value, json};

/// `dense` over hashed words, with all vectors compared.
fn dense() -> Component {
    let honest = Library::of_package("deft-faulty");
    let exact = Library::of_package("deft-exact");
    Library::of_package("deft-dense")
        .component(Kind::Retriever, "dense", json!({}))
        .with_child("encoder", honest.component(Kind::Encoder, "faulty", json!({})))
        .with_child("index", exact.component(Kind::Index, "exact", json!({})))
}

/// Fused with shared words: two retrievers that find a text by itself.
fn checks(options: Value) -> RetrieverChecks {
    let words = Library::of_package("deft-faulty").component(Kind::Retriever, "faulty", json!({}));
    Library::of_package(env!("CARGO_PKG_NAME"))
        .retriever("fusion", options)
        .with_child("retrievers", words)
        .with_child("retrievers", dense())
}

#[test]
fn fusion_by_ranks_keeps_the_promises_of_a_retriever() {
    // Deeper than the pool is long: the first hits are then the same for every `k`.
    checks(json!({"depth": 1000})).check();
}

#[test]
fn fusion_by_scores_keeps_them_and_so_does_one_no_deeper_than_asked() {
    checks(json!({"method": "weighted_sum", "weights": [1, 0.5], "depth": 1000})).check();
    checks(json!({"method": "weighted_sum", "normalize": "z_score"})).approximate().check();
}
