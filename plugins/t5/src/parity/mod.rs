//! The network against Hugging Face's transformers, in float64: `parity/t5/*` of the shared tree.
//!
//! Tolerance: of each tensor 1e-4 of its largest element in f32. In f64, which goes through candle's
//! operations (`network::ops`), 1e-5. `DEFT_T5_DEVICE=cuda:0` has all of it computed there in f32, too.

mod bf16;
mod case;
mod optimizers;
mod way;

use candle_core::{DType, Device, Tensor};
use deft_core::NoServices;
use deft_core::prelude::*;
use deft_neural::Workers;
use serde_json::{Value, json};

use self::case::{Case, cases};
use self::way::{Way, ways};
use crate::adapter::AdapterSpec;
use crate::config::EncoderConfig;
use crate::encoder::T5Encoder;
use crate::model::{Model, WHOLE};
use crate::network::projection::IA3;
use crate::network::{Batch, Pass, T5, Tensors, Work};
use crate::predict::{Generation, generate};
use crate::testing;
use crate::training::optimizer::Optimizer;
use crate::training::parameters::Parameters;
use crate::training::sums::Sums;

fn ids_of(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).expect("ids")
}

fn numbers(value: &Value) -> Vec<f64> {
    serde_json::from_value(value.clone()).expect("numbers")
}

fn slices(rows: &[Vec<u32>]) -> Vec<&[u32]> {
    rows.iter().map(Vec::as_slice).collect()
}

/// Every case in every way of computing it.
fn cases_and_ways() -> Vec<(Case, Way)> {
    let ways_of = |case: Case| ways().into_iter().map(move |way| (case.clone(), way));
    cases().into_iter().flat_map(ways_of).collect()
}

/// The numbers of a tensor anywhere.
fn values(tensor: &Tensor) -> Vec<f64> {
    let here = tensor.to_device(&Device::Cpu).and_then(|t| t.to_dtype(DType::F64)?.flatten_all());
    here.and_then(|t| t.to_vec1()).expect("values")
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

#[test]
fn encoder_states_and_pooled_vectors_are_those_of_transformers() {
    for (case, way) in cases_and_ways() {
        let network = case.network(&way);
        let batch = Batch::new(slices(&case.inputs), 0).expect("a batch");
        let states = network.encode(&batch, &Pass::inference()).expect("states");
        let (states, width) = (values(&states), network.config().d_model);
        let wanted = &case.tensors["encoder_last_hidden_state"];
        for (row, ids) in case.inputs.iter().enumerate() {
            let real = row * batch.length * width..(row * batch.length + ids.len()) * width;
            way.assert_near("state", states[real.clone()].to_vec(), wide(&wanted[real]));
        }
    }
}

#[test]
fn the_encoder_gives_the_pooled_vectors_of_transformers() {
    for case in cases() {
        let options = json!({"model": case.dir, "device": testing::device()});
        let config: EncoderConfig = deft_core::options::parse(&options).expect("options");
        let width = case.model().config().d_model;
        let ctx = Context::new(&NoServices, 1, 2);
        let encoder = T5Encoder::new(&ctx, config, Children::none()).expect("an encoder");
        let texts: Vec<&str> = case.examples.iter().map(|e| e.input.as_str()).collect();
        let mut vectors = vec![0.0; texts.len() * width];
        let report = encoder.encode(&ctx, &texts, TextRole::Pool, &mut vectors).expect("vectors");
        Way::host().assert_near("pooled", wide(&vectors), wide(&case.tensors["pooled_mean"]));
        assert_eq!(report.tokens, case.inputs.iter().map(|ids| ids.len() as u64).sum::<u64>());
    }
}

#[test]
fn logits_loss_and_all_gradients_are_those_of_transformers() {
    for (case, way) in cases_and_ways() {
        let model = case.model();
        let tensors = model.tensors(&testing::context(1), &WHOLE).expect("weights");
        let parameters = Parameters::new(tensors, Tensors::new(), &way.placement);
        let parameters = parameters.expect("parameters");
        let tensors = parameters.tensors();
        let network = model.network(&tensors).expect("a network");
        let inputs = Batch::new(slices(&case.inputs), 0).expect("a batch");
        check_logits(&case, &way, &network, &inputs);
        let plain = model.network(&parameters.detached()).expect("a network");
        for in_segments in [false, true] {
            let networks = Networks { trained: &network, plain: in_segments.then_some(&plain) };
            let sums = gradients(&case, &way, &parameters, networks, case.number("loss"));
            let wanted = |name: &String| &case.tensors[&format!("grad.{name}")];
            for (place, name) in tensors.keys().enumerate() {
                way.assert_near(name, wide(&sums.gradient(place)), wide(wanted(name)));
            }
        }
        let count = case.tensors.keys().filter(|name| name.starts_with("grad.")).count();
        assert_eq!(count, tensors.len(), "every parameter has a wanted gradient");
    }
}

/// The network that is trained, and where activations are computed again that without a graph.
#[derive(Clone, Copy)]
struct Networks<'a> {
    trained: &'a T5,
    plain: Option<&'a T5>,
}

/// The sum of twice a half: what several micro-batches of a step add up to.
fn gradients(
    case: &Case,
    way: &Way,
    parameters: &Parameters,
    networks: Networks<'_>,
    wanted_loss: f64,
) -> Sums {
    let optimizer = Optimizer::new(&case.config(&json!({})));
    let mut sums = parameters.sums(&optimizer).expect("sums");
    let workers = Workers::new(2).expect("threads");
    let (inputs, targets) =
        (Batch::new(slices(&case.inputs), 0).expect("a batch"), slices(&case.targets));
    for micro_batch in 0..2 {
        let pass = Pass::training(0.0, 0, micro_batch);
        let pass =
            if parameters.trains_embeddings() { pass } else { pass.with_frozen_embeddings() };
        let work = Work { inputs: &inputs, targets: &targets, pass, divisor: 2 };
        let (loss, gradients) = match networks.plain {
            Some(plain) => networks.trained.gradients_by_segments(plain, work),
            None => networks.trained.gradients(work),
        }
        .expect("loss and gradients");
        way.assert_near("loss", [loss], [wanted_loss]);
        let contribution = parameters.contribution(gradients).expect("all gradients");
        sums.add(parameters, contribution).expect("added");
    }
    sums.add_head(parameters, &workers).expect("added");
    sums
}

#[test]
fn ia3_losses_and_gradients_are_those_of_pytorch() {
    for (case, way) in cases_and_ways() {
        let model = case.model();
        let weights = model.tensors(&testing::context(1), &WHOLE).expect("weights");
        let modules: Vec<String> =
            serde_json::from_value(case.goldens["ia3_modules"].clone()).expect("names");
        let vector = |module: &String| {
            let values = case.tensors[&format!("ia3.{module}")].clone();
            let shape = (values.len(), 1);
            let tensor = Tensor::from_vec(values, shape, &Device::Cpu).expect("a vector");
            (format!("{module}.{IA3}"), tensor)
        };
        let adapter: Tensors = modules.iter().map(vector).collect();
        // The options' adapter is on the same projections.
        let spec = AdapterSpec::of(&case.config(&json!({"method": "ia3"}))).expect("an adapter");
        let new = spec.new_tensors(model.config(), 1).expect("new vectors");
        assert!(new.keys().eq(adapter.keys()), "{:?}", new.keys());
        let parameters = Parameters::new(adapter.clone(), weights.clone(), &way.placement);
        let parameters = parameters.expect("parameters");
        let network = |tensors: Tensors| model.network(&tensors).expect("a network");
        let (network, plain) = (network(parameters.tensors()), network(parameters.detached()));
        for in_segments in [false, true] {
            let networks = Networks { trained: &network, plain: in_segments.then_some(&plain) };
            let sums = gradients(&case, &way, &parameters, networks, case.number("ia3_loss"));
            for (place, name) in adapter.keys().enumerate() {
                let module = name.strip_suffix(".ia3_l").expect("a vector");
                let wanted = &case.tensors[&format!("ia3_grad.{module}")];
                way.assert_near(name, wide(&sums.gradient(place)), wide(wanted));
            }
        }
        check_merged(&case, &model, &spec, &adapter, weights);
    }
}

/// An adapter that is merged into the weights gives the same loss.
fn check_merged(
    case: &Case,
    model: &Model,
    spec: &AdapterSpec,
    adapter: &Tensors,
    mut weights: Tensors,
) {
    spec.merge(adapter, &mut weights).expect("merged");
    let network = model.network(&weights).expect("a network");
    let inputs = Batch::new(slices(&case.inputs), 0).expect("a batch");
    let (loss, _) = network.loss(&inputs, &slices(&case.targets)).expect("a loss");
    Way::host().assert_near("merged", [loss], [case.number("ia3_loss")]);
}

fn check_logits(case: &Case, way: &Way, network: &T5, inputs: &Batch) {
    let states = network.encode(inputs, &Pass::inference()).expect("states");
    let memory = network.memory(&states, inputs, &Pass::inference()).expect("a memory");
    let shifted = network.decoder_inputs(&slices(&case.targets)).expect("ids");
    let states = network.decode(&shifted.ids, &memory, &Pass::inference()).expect("states");
    let logits = network.logits(&states).expect("logits");
    let (logits, width) = (values(&logits), network.config().vocabulary);
    // Both are padded, each to a length of its own.
    let longest = case.targets.iter().map(Vec::len).max().unwrap_or(0);
    for (row, ids) in case.targets.iter().enumerate() {
        let real = |length: usize| row * length * width..(row * length + ids.len()) * width;
        let wanted = wide(&case.tensors["logits"][real(longest)]);
        way.assert_near("logit", logits[real(shifted.length)].to_vec(), wanted);
    }
}

#[test]
fn option_scores_are_those_of_transformers() {
    for case in cases() {
        let ctx = Context::new(&NoServices, 1, 2);
        let predictor = case.trainer(2, &json!({})).open(&ctx, None).expect("a predictor");
        let kind = PredictionKind::OptionScores;
        let predictions = predictor.predict(&ctx, &case.examples, kind).expect("predictions");
        for (row, prediction) in predictions.iter().enumerate() {
            let Prediction::OptionScores { log_probs, tokens } = prediction else {
                panic!("scores are wanted")
            };
            let wanted = numbers(&case.goldens["option_nll_sum"][row]);
            Way::host().assert_near("score", log_probs.iter().map(|x| -x), wanted);
            let options = case.goldens["options"][row].as_array().expect("options");
            let counts: Vec<u32> = options
                .iter()
                .map(|ids| u32::try_from(ids_of(ids).len()).expect("small"))
                .collect();
            assert_eq!(tokens, &counts);
        }
    }
}

#[test]
fn greedy_ids_are_those_of_transformers() {
    for (case, way) in cases_and_ways() {
        let network = case.network(&way);
        let wanted: Vec<Vec<u32>> = case.goldens["greedy_max_length_20"]
            .as_array()
            .expect("rows")
            .iter()
            .map(ids_of)
            .collect();
        let limit = wanted[0].len() - 1;
        let how = Generation { limit, beams: 1, length_penalty: 1.0 };
        let mut found =
            generate(&network, &slices(&case.inputs), how, &Pass::inference()).expect("ids");
        // transformers pads what has ended before the others.
        let longest = found.iter().map(Vec::len).max().unwrap_or(0);
        for ids in &mut found {
            ids.resize(longest, network.config().pad);
        }
        assert_eq!(found, wanted, "{}", case.dir.display());
    }
}

#[test]
fn ids_of_the_real_tokenizer_are_those_of_the_python_library() {
    let Some(goldens) = testing::shared_json("models/t5-tokenizer/goldens.json") else { return };
    let Some(path) = testing::shared("models/t5-tokenizer/tokenizer.json") else { return };
    let config = json!({
        "vocab_size": 32128, "d_model": 8, "d_kv": 4, "d_ff": 16, "num_layers": 2, "num_heads": 2,
    });
    let config = crate::network::NetworkConfig::parse(&config.to_string(), &path).expect("valid");
    let tokens = crate::tokens::Tokens::read(&path, &config).expect("a tokenizer");
    for case in goldens["cases"].as_array().expect("cases") {
        let text = case["text"].as_str().expect("a text");
        assert_eq!(tokens.encode(text, None).expect("ids").ids, ids_of(&case["ids"]), "{text:?}");
    }
}
