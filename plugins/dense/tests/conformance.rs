//! What `dense` promises as a retriever, through the built library, with children from others.

use deft_conformance::Library;
use deft_core::Kind;
use serde_json::{Value, json};

fn check(options: Value, index: &str, index_options: Value) {
    // An encoder of hashed words, whose vectors are the same in every batch.
    let honest = Library::of_package("deft-faulty");
    let index =
        Library::of_package(&format!("deft-{index}")).component(Kind::Index, index, index_options);
    Library::of_package(env!("CARGO_PKG_NAME"))
        .retriever("dense", options)
        .with_child("encoder", honest.component(Kind::Encoder, "faulty", json!({})))
        .with_child("index", index)
        .check();
}

#[test]
fn dense_over_exact_keeps_the_promises_of_a_retriever() {
    check(json!({}), "exact", json!({}));
}

#[test]
fn dense_keeps_them_with_many_units_of_an_index_that_trains() {
    check(json!({"rows_per_unit": 70, "vectors": "f32"}), "faulty", json!({"trains": true}));
}
