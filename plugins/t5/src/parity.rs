//! The network against Hugging Face's transformers, in float64: `parity/t5/*` of the shared tree.
//!
//! Tolerance: of each tensor 1e-4 of its largest element (f32 here, f64 there).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use deft_core::NoServices;
use deft_core::prelude::*;
use safetensors::SafeTensors;
use serde_json::{Value, json};

use crate::adapter::AdapterSpec;
use crate::config::TrainerConfig;
use crate::encoder::T5Encoder;
use crate::model::{Model, WHOLE, Weights};
use crate::network::ops::Values;
use crate::network::projection::IA3;
use crate::network::{Batch, Pass, T5, Tensors, Work};
use crate::parallel::Workers;
use crate::predict::{Generation, generate};
use crate::testing;
use crate::trainer::T5Trainer;
use crate::training::Optimizer;
use crate::training::parameters::{Parameters, Sums};

const TOLERANCE: f64 = 1e-4;
/// The learning rate of the optimizers' steps in the goldens, but for Adafactor.
const RATE: f64 = 5e-3;
const ADAFACTOR_RATE: f64 = 3e-3;

/// One model with what transformers computes with it.
struct Case {
    dir: PathBuf,
    goldens: Value,
    tensors: BTreeMap<String, Vec<f32>>,
    examples: Vec<Example>,
    inputs: Vec<Vec<u32>>,
    targets: Vec<Vec<u32>>,
}

fn cases() -> Vec<Case> {
    let Some(root) = testing::shared("parity/t5") else { return Vec::new() };
    let mut dirs: Vec<_> = std::fs::read_dir(root)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    dirs.sort();
    dirs.into_iter().map(Case::read).collect()
}

impl Case {
    fn read(dir: PathBuf) -> Self {
        let text = |name: &str| std::fs::read_to_string(dir.join(name)).expect("readable");
        let goldens = serde_json::from_str(&text("goldens.json")).expect("JSON");
        let bytes = std::fs::read(dir.join("goldens.safetensors")).expect("readable");
        let tensors = SafeTensors::deserialize(&bytes)
            .expect("safetensors")
            .tensors()
            .into_iter()
            .filter(|(_, view)| view.dtype() == safetensors::Dtype::F32)
            .map(|(name, view)| {
                let (chunks, _) = view.data().as_chunks();
                (name, chunks.iter().map(|&chunk| f32::from_le_bytes(chunk)).collect())
            })
            .collect();
        let lines: Vec<Value> = text("examples.jsonl")
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        let ids = |key: &str| lines.iter().map(|line| ids_of(&line[key])).collect();
        let (inputs, targets) = (ids("input_ids"), ids("target_ids"));
        let examples = lines
            .iter()
            .map(|line| serde_json::from_value(line.clone()).expect("an example"))
            .collect();
        Self { dir, goldens, tensors, examples, inputs, targets }
    }

    fn model(&self) -> Model {
        Model::open_dir(&testing::context(1), &self.dir, None, Weights::Folder).expect("a model")
    }

    fn config(&self, options: &Value) -> TrainerConfig {
        let mut config = json!({
            "model": self.dir, "dropout": 0, "schedule": "constant", "shuffle": false,
        });
        for (key, value) in options.as_object().expect("an object") {
            config[key] = value.clone();
        }
        deft_core::options::parse(&config).expect("valid options")
    }

    fn trainer(&self, threads: usize, options: &Value) -> T5Trainer {
        let ctx = Context::new(&NoServices, 1, threads);
        T5Trainer::new(&ctx, self.config(options), Children::none()).expect("a trainer")
    }

    fn number(&self, key: &str) -> f64 {
        self.goldens[key].as_f64().expect("a number")
    }
}

fn ids_of(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).expect("ids")
}

fn numbers(value: &Value) -> Vec<f64> {
    serde_json::from_value(value.clone()).expect("numbers")
}

fn slices(rows: &[Vec<u32>]) -> Vec<&[u32]> {
    rows.iter().map(Vec::as_slice).collect()
}

/// Compares a tensor: no element is further off than the tolerance of the largest wanted one.
#[track_caller]
fn assert_near(
    what: &str,
    found: impl IntoIterator<Item = f64>,
    wanted: impl IntoIterator<Item = f64>,
) {
    let (found, wanted): (Vec<_>, Vec<_>) =
        (found.into_iter().collect(), wanted.into_iter().collect());
    assert_eq!(found.len(), wanted.len(), "{what}: lengths");
    let largest = wanted.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
    for (at, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
        let off = (found - wanted).abs();
        assert!(off <= TOLERANCE * largest, "{what}[{at}]: {found}, not {wanted} (of {largest})");
    }
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

#[test]
fn encoder_states_and_pooled_vectors_are_those_of_transformers() {
    for case in cases() {
        let model = case.model();
        let tensors = model.tensors(&testing::context(1), &WHOLE).expect("weights");
        let network = model.network(&tensors).expect("a network");
        let batch = Batch::new(slices(&case.inputs), 0).expect("a batch");
        let states = network.encode(&batch, &Pass::inference()).expect("states");
        let (values, width) = (Values::of(&states), model.config().d_model);
        let wanted = &case.tensors["encoder_last_hidden_state"];
        for (row, ids) in case.inputs.iter().enumerate() {
            let real = row * batch.length * width..(row * batch.length + ids.len()) * width;
            let found = &values.get().expect("values")[real.clone()];
            assert_near("state", wide(found), wide(&wanted[real]));
        }
        let config = deft_core::options::parse(&json!({"model": case.dir})).expect("options");
        let ctx = Context::new(&NoServices, 1, 2);
        let encoder = T5Encoder::new(&ctx, config, Children::none()).expect("an encoder");
        let texts: Vec<&str> = case.examples.iter().map(|e| e.input.as_str()).collect();
        let mut vectors = vec![0.0; texts.len() * width];
        let report = encoder.encode(&ctx, &texts, TextRole::Pool, &mut vectors).expect("vectors");
        assert_near("pooled", wide(&vectors), wide(&case.tensors["pooled_mean"]));
        assert_eq!(report.tokens, case.inputs.iter().map(|ids| ids.len() as u64).sum::<u64>());
    }
}

#[test]
fn logits_loss_and_all_gradients_are_those_of_transformers() {
    for case in cases() {
        let model = case.model();
        let tensors = model.tensors(&testing::context(1), &WHOLE).expect("weights");
        let parameters = Parameters::new(tensors, Tensors::new()).expect("parameters");
        let tensors = parameters.tensors();
        let network = model.network(&tensors).expect("a network");
        let inputs = Batch::new(slices(&case.inputs), 0).expect("a batch");
        check_logits(&case, &network, &inputs);
        let plain = model.network(&parameters.detached()).expect("a network");
        for in_segments in [false, true] {
            let plain = in_segments.then_some(&plain);
            let sums = gradients(&case, &parameters, &network, plain, case.number("loss"));
            let wanted = |name: &String| &case.tensors[&format!("grad.{name}")];
            for (place, name) in tensors.keys().enumerate() {
                assert_near(name, wide(sums.gradient(place)), wide(wanted(name)));
            }
        }
        let count = case.tensors.keys().filter(|name| name.starts_with("grad.")).count();
        assert_eq!(count, tensors.len(), "every parameter has a wanted gradient");
    }
}

/// The sum of twice a half: what several micro-batches of a step add up to. `plain` is given where
/// activations are computed again.
fn gradients(
    case: &Case,
    parameters: &Parameters,
    network: &T5,
    plain: Option<&T5>,
    wanted_loss: f64,
) -> Sums {
    let optimizer = Optimizer::new(&case.config(&json!({})));
    let (mut sums, workers) = (parameters.sums(&optimizer), Workers::new(2).expect("threads"));
    let (inputs, targets) =
        (Batch::new(slices(&case.inputs), 0).expect("a batch"), slices(&case.targets));
    for micro_batch in 0..2 {
        let pass = Pass::training(0.0, 0, micro_batch);
        let pass =
            if parameters.trains_embeddings() { pass } else { pass.with_frozen_embeddings() };
        let work = Work { inputs: &inputs, targets: &targets, pass, divisor: 2 };
        let (loss, gradients) = match plain {
            Some(plain) => network.gradients_by_segments(plain, work),
            None => network.gradients(work),
        }
        .expect("loss and gradients");
        assert_near("loss", [loss], [wanted_loss]);
        let contribution = parameters.contribution(gradients).expect("all gradients");
        sums.add(parameters, contribution).expect("added");
    }
    sums.add_head(parameters, &workers).expect("added");
    sums
}

#[test]
fn ia3_losses_and_gradients_are_those_of_pytorch() {
    for case in cases() {
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
        let parameters = Parameters::new(adapter.clone(), weights.clone()).expect("parameters");
        let network = |tensors: Tensors| model.network(&tensors).expect("a network");
        let (network, plain) = (network(parameters.tensors()), network(parameters.detached()));
        for in_segments in [false, true] {
            let plain = in_segments.then_some(&plain);
            let sums = gradients(&case, &parameters, &network, plain, case.number("ia3_loss"));
            for (place, name) in adapter.keys().enumerate() {
                let module = name.strip_suffix(".ia3_l").expect("a vector");
                let wanted = &case.tensors[&format!("ia3_grad.{module}")];
                assert_near(name, wide(sums.gradient(place)), wide(wanted));
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
    assert_near("merged", [loss], [case.number("ia3_loss")]);
}

fn check_logits(case: &Case, network: &T5, inputs: &Batch) {
    let states = network.encode(inputs, &Pass::inference()).expect("states");
    let memory = network.memory(&states, inputs, &Pass::inference()).expect("a memory");
    let shifted = network.decoder_inputs(&slices(&case.targets)).expect("ids");
    let states = network.decode(&shifted.ids, &memory, &Pass::inference()).expect("states");
    let logits = network.logits(&states).expect("logits");
    let values = Values::of(&logits);
    let width = network.config().vocabulary;
    for (row, ids) in case.targets.iter().enumerate() {
        let start = row * shifted.length * width;
        let real = start..start + ids.len() * width;
        let found = &values.get().expect("values")[real.clone()];
        assert_near("logit", wide(found), wide(&case.tensors["logits"][real]));
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
            assert_near("score", log_probs.iter().map(|x| -x), wanted);
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
    for case in cases() {
        let model = case.model();
        let tensors = model.tensors(&testing::context(1), &WHOLE).expect("weights");
        let network = model.network(&tensors).expect("a network");
        let wanted: Vec<Vec<u32>> = case.goldens["greedy_max_length_20"]
            .as_array()
            .expect("rows")
            .iter()
            .map(ids_of)
            .collect();
        let limit = wanted[0].len() - 1;
        let how = Generation { limit, beams: 1, length_penalty: 1.0 };
        let mut found = generate(&network, &slices(&case.inputs), how, &Pass::inference()).expect("ids");
        // transformers pads what has ended before the others.
        let longest = found.iter().map(Vec::len).max().unwrap_or(0);
        for ids in &mut found {
            ids.resize(longest, model.config().pad);
        }
        assert_eq!(found, wanted, "{}", case.dir.display());
    }
}

#[test]
fn optimizer_steps_are_those_of_pytorch() {
    for case in cases() {
        for (name, options) in [
            ("adam", json!({"optimizer": "adam", "clip_value": null})),
            ("adamw", json!({"optimizer": "adamw", "weight_decay": 0.1, "clip_value": null})),
            ("adam_clip_value_0p01", json!({"optimizer": "adam", "clip_value": 0.01})),
            ("adafactor", json!({"optimizer": "adafactor", "clip_value": null})),
        ] {
            let mut options = options.clone();
            let rate = if name == "adafactor" { ADAFACTOR_RATE } else { RATE };
            options["learning_rate"] = json!(rate);
            options["batch_size"] = json!(case.examples.len());
            options["gradient_accumulation"] = json!(1);
            let wanted = numbers(&case.goldens[format!("{name}_losses")]);
            options["epochs"] = json!(wanted.len());
            let out = tempfile::tempdir().expect("a folder");
            let ctx = Context::new(&NoServices, 1, 2);
            let trainer = case.trainer(2, &options);
            let report = testing::try_train(&trainer, &ctx, &case.examples, None, out.path());
            assert_near(name, report.expect("trained").losses, wanted);
            check_weights(&case, name, rate, out.path());
        }
    }
}

/// Parameters are off by at most 1e-3 of the learning rate, with few exceptions.
///
/// Adam takes a step of the same length for every gradient, however small: where one is zero but
/// for f32's rounding (an error of 1e-6 of a tensor's largest is usual, in `PyTorch`, too) the step
/// has the length or even the sign of the rounding, and the steps after it see another network. A
/// gradient of 3e-6 of its tensor's largest does that in one of the models: hence the shares.
fn check_weights(case: &Case, optimizer: &str, rate: f64, out: &Path) {
    let ctx = testing::context(1);
    let model = Model::open_dir(&ctx, out, None, Weights::Folder).expect("a model");
    let weights = model.tensors(&ctx, &WHOLE).expect("weights");
    let mut all = Vec::new();
    for (name, wanted) in &case.tensors {
        let Some(name) = name.strip_prefix(&format!("{optimizer}.")) else { continue };
        let gradients = &case.tensors[&format!("grad.{name}")];
        let largest = gradients.iter().fold(0.0, |largest: f32, g| largest.max(g.abs()));
        let found = Values::of(&weights[name]);
        let values = found.get().expect("values").iter().zip(wanted).zip(gradients);
        let is_noise = |gradient: f32| gradient.abs() <= 1e-6 * largest;
        let off = |((found, wanted), _): ((&f32, &f32), &f32)| f64::from((found - wanted).abs());
        all.extend(values.filter(|(_, gradient)| !is_noise(**gradient)).map(off));
    }
    let share = |limit: f64| {
        all.iter().filter(|&&off| off > limit * rate).count() as f64 / all.len() as f64
    };
    let (some, few) = (share(1e-3), share(1e-2));
    assert!(some < 0.1 && few < 0.01, "{optimizer}: {some} off by 1e-3, {few} by 1e-2");
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
