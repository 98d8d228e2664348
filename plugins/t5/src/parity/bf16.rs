//! bf16 against the same golden values: as near as transformers comes in bf16.

use candle_core::DType;
use deft_neural::Workers;
use serde_json::json;

use super::case::{Case, cases};
use super::{slices, values, wide};
use crate::config::Precision;
use crate::device::Placement;
use crate::model::WHOLE;
use crate::network::{Batch, Pass, Tensors, Work};
use crate::testing;
use crate::training::optimizer::Optimizer;
use crate::training::parameters::Parameters;

/// How far transformers is in bf16 from its own f64 on these models: the length of the difference, of
/// that of the tensor; the larger of two, as `docs/check_bf16_in_transformers.py` tells.
const STATES: f64 = 0.030;
const LOSS: f64 = 0.0044;
/// Of the worst parameter, and of the median one.
const GRADIENTS: [f64; 2] = [0.19, 0.104];
/// Roundings fall otherwise here and there: on models this small they do not all make up for another.
const ROOM: f64 = 1.3;

/// The length of what is off, of the wanted tensor's.
fn deviation(found: &[f64], wanted: &[f64]) -> f64 {
    assert_eq!(found.len(), wanted.len());
    let length = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let off = length(&mut found.iter().zip(wanted).map(|(a, b)| a - b));
    off / length(&mut wanted.iter().copied()).max(f64::MIN_POSITIVE)
}

#[test]
fn bf16_is_as_near_to_f64_as_that_of_transformers() {
    let in_memory = Placement { precision: DType::BF16, ..Placement::host() };
    let places: Vec<Placement> =
        [in_memory].into_iter().chain(testing::gpu(Precision::Bf16)).collect();
    for (case, placement) in cases().iter().flat_map(|case| places.iter().map(move |p| (case, p))) {
        println!("on {:?}", placement.device);
        let model = case.model();
        let tensors = model.tensors(&testing::context(1), &WHOLE).expect("weights");
        let parameters = Parameters::new(tensors, Tensors::new(), placement).expect("parameters");
        let network = model.network(&parameters.detached()).expect("a network");
        let inputs = Batch::new(slices(&case.inputs), 0).expect("a batch");
        let states = network.encode(&inputs, &Pass::inference()).expect("states");
        let (found, wanted) = real(case, &values(&states), &inputs, model.config().d_model);
        assert_within("states", deviation(&found, &wanted), STATES);
        check_training(case, &parameters);
    }
}

/// The states of real tokens, found and wanted.
fn real(case: &Case, found: &[f64], inputs: &Batch, width: usize) -> (Vec<f64>, Vec<f64>) {
    let wanted = wide(&case.tensors["encoder_last_hidden_state"]);
    let rows = case.inputs.iter().enumerate().map(|(row, ids)| {
        let start = row * inputs.length * width;
        start..start + ids.len() * width
    });
    let part = |all: &[f64]| rows.clone().flat_map(|row| all[row].to_vec()).collect();
    (part(found), part(&wanted))
}

fn check_training(case: &Case, parameters: &Parameters) {
    let network = case.model().network(&parameters.tensors()).expect("a network");
    let inputs = Batch::new(slices(&case.inputs), 0).expect("a batch");
    let (targets, pass) = (slices(&case.targets), Pass::training(0.0, 0, 0));
    let work = Work { inputs: &inputs, targets: &targets, pass, divisor: 1 };
    let (loss, gradients) = network.gradients(work).expect("gradients");
    assert_within("loss", deviation(&[loss], &[case.number("loss")]), LOSS);
    let mut sums = parameters.sums(&Optimizer::new(&case.config(&json!({})))).expect("sums");
    sums.add(parameters, parameters.contribution(gradients).expect("all")).expect("added");
    sums.add_head(parameters, &Workers::new(1).expect("a thread")).expect("added");
    let off = parameters.trained().iter().enumerate().map(|(place, trained)| {
        let wanted = wide(&case.tensors[&format!("grad.{}", trained.name)]);
        deviation(&wide(&sums.gradient(place)), &wanted)
    });
    let mut off: Vec<f64> = off.collect();
    off.sort_by(f64::total_cmp);
    assert_within("worst gradient", off[off.len() - 1], GRADIENTS[0]);
    assert_within("median gradient", off[off.len() / 2], GRADIENTS[1]);
}

#[track_caller]
fn assert_within(what: &str, found: f64, limit: f64) {
    println!("{what}: {found:.4}");
    assert!(found <= ROOM * limit, "{what}: {found:.4}, transformers {limit}");
}
