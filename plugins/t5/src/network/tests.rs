//! The whole network.

use super::*;
use crate::model::{Model, WHOLE, Weights};
use crate::testing::{context, model_dir};
use serde_json::json;

#[test]
fn queries_in_rows_give_the_states_of_all_at_once() {
    let dir = model_dir(&json!({}));
    let weights = Weights::Random(3);
    let model = Model::open_dir(&context(1), dir.path(), None, weights).expect("a model");
    let tensors = model.tensors(&context(1), &WHOLE).expect("weights");
    let network = model.network(&tensors).expect("a network");
    let ids = |count: u32| (0..count).map(|n| 2 + n * 7 % 38).collect::<Vec<u32>>();
    // Three runs of `ROWS` queries, the last one short.
    let rows = [ids(2148), ids(1300)];
    let batch = Batch::new(rows.iter().map(Vec::as_slice), 0).expect("a batch");
    let in_rows = network.encode(&batch, &Pass::inference()).expect("states");
    // Training computes all at once.
    let pass = Pass::training(0.0, 0, 0).with_frozen_embeddings();
    let whole = network.encode(&batch, &pass).expect("states");
    let values = |states: &Tensor| states.to_vec3::<f32>().expect("values");
    let (in_rows, whole) = (values(&in_rows), values(&whole));
    for (row, ids) in rows.iter().enumerate() {
        for (found, wanted) in in_rows[row].iter().zip(&whole[row]).take(ids.len()) {
            assert!(found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-4));
        }
    }
}
