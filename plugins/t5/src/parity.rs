//! The network against Hugging Face's transformers, in float64: `parity/t5/*` of the shared tree.
//!
//! Tolerance: 1e-4, of the value or absolute, whichever is larger (f32 here, f64 there).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use deft_core::NoServices;
use deft_core::prelude::*;
use safetensors::SafeTensors;
use serde_json::{Value, json};

use crate::encoder::T5Encoder;
use crate::model::{Model, WHOLE};
use crate::network::ops::Values;
use crate::network::{Batch, Pass};
use crate::parallel::Workers;
use crate::predict::T5Predictor;
use crate::testing;
use crate::trainer::T5Trainer;
use crate::training::parameters::Parameters;

const TOLERANCE: f64 = 1e-4;

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
        Model::open_dir(&testing::context(1), &self.dir, None, None).expect("a model")
    }

    fn trainer(&self, threads: usize, options: &Value) -> T5Trainer {
        let mut config = json!({
            "model": self.dir, "dropout": 0, "schedule": "constant", "shuffle": false,
        });
        for (key, value) in options.as_object().expect("an object") {
            config[key] = value.clone();
        }
        let config = deft_core::options::parse(&config).expect("valid options");
        let ctx = Context::new(&NoServices, 1, threads);
        T5Trainer::new(&ctx, config, Children::none()).expect("a trainer")
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

#[track_caller]
fn assert_near(
    what: &str,
    found: impl IntoIterator<Item = f64>,
    wanted: impl IntoIterator<Item = f64>,
) {
    let (found, wanted): (Vec<_>, Vec<_>) =
        (found.into_iter().collect(), wanted.into_iter().collect());
    assert_eq!(found.len(), wanted.len(), "{what}: lengths");
    for (at, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
        let allowed = TOLERANCE * wanted.abs().max(1.0);
        assert!((found - wanted).abs() <= allowed, "{what}[{at}]: {found}, not {wanted}");
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
        let parameters = Parameters::new(tensors).expect("parameters");
        let tensors = parameters.tensors();
        let network = model.network(&tensors).expect("a network");
        let inputs = Batch::new(slices(&case.inputs), 0).expect("a batch");
        check_logits(&case, &network, &inputs);
        // Twice a half: what several micro-batches of a step add up to.
        let (mut sums, workers) = (parameters.sums(), Workers::new(2).expect("threads"));
        for micro_batch in 0..2 {
            let pass = Pass::training(0.0, 0, micro_batch);
            let (loss, gradients) = network
                .gradients(&inputs, &slices(&case.targets), pass, 2)
                .expect("loss and gradients");
            assert_near("loss", [loss], [case.number("loss")]);
            let contribution = parameters.contribution(gradients).expect("all gradients");
            sums.add(&parameters, contribution).expect("added");
        }
        sums.add_head(&parameters, &workers).expect("added");
        let wanted = |name: &String| &case.tensors[&format!("grad.{name}")];
        for (place, name) in tensors.keys().enumerate() {
            assert_near(name, wide(sums.gradient(place)), wide(wanted(name)));
        }
        let count = case.tensors.keys().filter(|name| name.starts_with("grad.")).count();
        assert_eq!(count, tensors.len(), "every parameter has a wanted gradient");
    }
}

fn check_logits(case: &Case, network: &crate::network::T5, inputs: &Batch) {
    let states = network.encode(inputs, &Pass::inference()).expect("states");
    let memory = network.memory(&states, inputs).expect("a memory");
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
        let ctx = Context::new(&NoServices, 1, 1);
        let predictor =
            T5Predictor::open(&ctx, case.model().into(), 512, 256).expect("a predictor");
        let wanted: Vec<Vec<u32>> = case.goldens["greedy_max_length_20"]
            .as_array()
            .expect("rows")
            .iter()
            .map(ids_of)
            .collect();
        let limit = wanted[0].len() - 1;
        let found = predictor.generate(&slices(&case.inputs), limit, || Ok(())).expect("ids");
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
        ] {
            let mut options = options.clone();
            options["learning_rate"] = json!(5e-3);
            options["batch_size"] = json!(case.examples.len());
            options["gradient_accumulation"] = json!(1);
            let wanted = numbers(&case.goldens[format!("{name}_losses")]);
            options["epochs"] = json!(wanted.len());
            let out = tempfile::tempdir().expect("a folder");
            let ctx = Context::new(&NoServices, 1, 2);
            let trainer = case.trainer(2, &options);
            let report = trainer.train(&ctx, &case.examples, out.path()).expect("trained");
            assert_near(name, report.losses, wanted);
            check_weights(&case, name, out.path());
        }
    }
}

/// Where a gradient is zero but for rounding, Adam's step has the sign of the rounding: such
/// elements, at most 1 in 500, may be anywhere within the steps' reach.
fn check_weights(case: &Case, optimizer: &str, out: &Path) {
    let model = Model::open_dir(&testing::context(1), out, None, None).expect("a model");
    let weights = model.tensors(&testing::context(1), &WHOLE).expect("weights");
    for (name, wanted) in &case.tensors {
        let Some(name) = name.strip_prefix(&format!("{optimizer}.")) else { continue };
        let found = Values::of(&weights[name]);
        let differences: Vec<f32> = found
            .get()
            .expect("values")
            .iter()
            .zip(wanted)
            .map(|(found, wanted)| (found - wanted).abs())
            .collect();
        let far = differences.iter().filter(|&&d| f64::from(d) > TOLERANCE).count();
        assert!(
            far * 500 <= differences.len(),
            "{optimizer} {name}: {far} of {}",
            differences.len()
        );
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
