//! Training anywhere but in main memory with f32: in other numbers there, which goes the way that
//! devices go, and on the GPU that `DEFT_T5_DEVICE` names. It is compared with the fused kernels' way.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Tensor};
use deft_core::prelude::*;
use deft_neural::Workers;
use serde_json::{Value, json};

use super::optimizer::Optimizer;
use super::parameters::Parameters;
use super::tests::{Folders, examples, tensors};
use crate::adapter::AdapterSpec;
use crate::config::{Precision, TrainerConfig};
use crate::device::Placement;
use crate::model::{Model, WHOLE};
use crate::network::projection::Adapting;
use crate::network::{Batch, Pass, T5, Tensors, Work};
use crate::testing::{self, context, model_dir};

const METHODS: [&str; 3] = ["full", "ia3", "lora"];

/// Main memory with numbers of many bits, and the GPU.
fn exact_places() -> impl Iterator<Item = Placement> {
    places(DType::F64, Precision::F32)
}

/// Main memory and the GPU, in bf16.
fn places_in_bf16() -> impl Iterator<Item = Placement> {
    places(DType::BF16, Precision::Bf16)
}

fn places(in_memory: DType, on_gpu: Precision) -> impl Iterator<Item = Placement> {
    let in_memory = Placement { precision: in_memory, ..Placement::host() };
    [in_memory].into_iter().chain(testing::gpu(on_gpu))
}

/// A tiny model with how it is trained.
struct Tiny {
    config: TrainerConfig,
    model: Model,
}

impl Tiny {
    fn new(options: &Value) -> Self {
        let dir = model_dir(&json!({}));
        let mut all = json!({
            "model": dir.path(), "init": "random", "init_seed": 3, "dropout": 0, "epochs": 1,
        });
        for (key, value) in options.as_object().expect("an object") {
            all[key] = value.clone();
        }
        let config: TrainerConfig = deft_core::options::parse(&all).expect("options");
        let model = Model::open(&context(1), &config.model()).expect("a model");
        Self { config, model }
    }

    fn train(
        &self,
        folders: &Folders,
        examples: &Vec<Example>,
        placement: &Placement,
    ) -> Result<TrainReport> {
        let train = |training: &Training<'_>| {
            super::train(&context(2), &self.config, &self.model, training, placement)
        };
        folders.run(examples, None, train)
    }

    /// The parameters that are trained, and how an adapter is put on.
    fn parameters(&self, placement: &Placement) -> (Parameters, Adapting) {
        let weights = self.model.tensors(&context(1), &WHOLE).expect("weights");
        let (trained, frozen, adapting) = match AdapterSpec::of(&self.config) {
            None => (weights, Tensors::new(), Adapting::default()),
            Some(spec) => {
                let new = spec.new_tensors(self.model.config(), 1).expect("tensors");
                (new, weights, spec.adapting())
            }
        };
        (Parameters::new(trained, frozen, placement).expect("parameters"), adapting)
    }

    /// Loss and gradients of one step of one micro-batch.
    fn step(&self, placement: &Placement) -> (f64, BTreeMap<String, Vec<f32>>) {
        let (parameters, adapting) = self.parameters(placement);
        let network = |tensors: Tensors| {
            T5::adapted(self.model.config(), &tensors, adapting).expect("a network")
        };
        let inputs = [&[3, 4, 5, 6, 1][..], &[7, 8, 1], &[9, 10, 11, 1]];
        let targets = [&[12, 13, 1][..], &[14, 1], &[15, 16, 17, 1]];
        let inputs = Batch::new(inputs, 0).expect("a batch");
        let pass = Pass::training(0.0, 0, 0);
        let pass =
            if parameters.trains_embeddings() { pass } else { pass.with_frozen_embeddings() };
        let work = Work { inputs: &inputs, targets: &targets, pass, divisor: 1 };
        let whole = network(parameters.tensors());
        let (loss, gradients) = if self.config.gradient_checkpointing {
            whole.gradients_by_segments(&network(parameters.detached()), work)
        } else {
            whole.gradients(work)
        }
        .expect("gradients");
        let mut sums = parameters.sums(&Optimizer::new(&self.config)).expect("sums");
        let contribution = parameters.contribution(gradients).expect("all gradients");
        sums.add(&parameters, contribution).expect("added");
        sums.add_head(&parameters, &Workers::new(1).expect("a thread")).expect("added");
        let names = parameters.trained().iter().map(|trained| trained.name.clone());
        let gradients = names.enumerate().map(|(place, name)| (name, sums.gradient(place)));
        (loss, gradients.collect())
    }
}

/// Each method, with all activations kept and with some computed again.
fn cases() -> impl Iterator<Item = (&'static str, bool, Placement)> {
    let ways = METHODS.into_iter().flat_map(|method| [(method, false), (method, true)]);
    ways.flat_map(|(method, again)| exact_places().map(move |place| (method, again, place)))
}

#[test]
fn the_gradients_of_one_step_are_those_of_the_fused_kernels() {
    for (method, again, place) in cases() {
        let tiny = Tiny::new(&json!({"method": method, "gradient_checkpointing": again}));
        let (wanted_loss, wanted) = tiny.step(&Placement::host());
        let (loss, found) = tiny.step(&place);
        assert!((loss - wanted_loss).abs() < 1e-5 * wanted_loss, "{loss}, not {wanted_loss}");
        assert!(found.keys().eq(wanted.keys()));
        for (name, wanted) in &wanted {
            let largest = wanted.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
            for (found, wanted) in found[name].iter().zip(wanted) {
                let off = (found - wanted).abs();
                assert!(off <= 1e-4 * largest, "{method}, {name}: {found}, not {wanted}");
            }
        }
        // There is something to compare.
        assert!(wanted.values().flatten().any(|x| x.abs() > 1e-4), "{method}");
    }
}

#[test]
fn a_training_is_that_of_the_fused_kernels_up_to_rounding() {
    for (method, again, place) in cases() {
        let tiny = Tiny::new(&json!({
            "method": method, "gradient_checkpointing": again, "steps": 3, "epochs": 1,
            "batch_size": 3, "gradient_accumulation": 2, "learning_rate": 0.001,
            "optimizer": "adafactor", "clip_norm": 1,
        }));
        let train = |placement: &Placement| {
            let folders = Folders::new();
            let report = tiny.train(&folders, &examples(18, 0), placement).expect("trained");
            (report.losses, tensors(&folders.path("out/model.safetensors")))
        };
        let ((losses, wanted), (other_losses, found)) = (train(&Placement::host()), train(&place));
        let near = losses.iter().zip(&other_losses).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(near && losses.len() == other_losses.len(), "{losses:?} and {other_losses:?}");
        for (name, wanted) in wanted {
            let apart = largest(&(wanted - &found[&name]).expect("one shape"));
            assert!(apart < 1e-5, "{method}, {name}: {apart}");
        }
    }
}

fn largest(tensor: &Tensor) -> f32 {
    let largest = tensor.abs().and_then(|tensor| tensor.flatten_all()?.max(0));
    largest.and_then(|largest| largest.to_scalar()).expect("a number")
}

#[test]
fn a_small_set_is_learned_by_heart_in_bf16() {
    let tiny = Tiny::new(&json!({
        "epochs": 60, "batch_size": 4, "gradient_accumulation": 1, "learning_rate": 0.01,
        "schedule": "constant",
    }));
    for place in places_in_bf16() {
        let folders = Folders::new();
        let report = tiny.train(&folders, &examples(8, 0), &place);
        let losses = report.expect("trained").losses;
        assert!(losses[59] < 0.1 * losses[0], "{losses:?}");
        // What is saved was not rounded.
        for tensor in tensors(&folders.path("out/model.safetensors")).values() {
            assert_eq!(tensor.dtype(), DType::F32);
        }
        assert!(is_finer_than_bf16(&folders.path("out/model.safetensors")));
    }
}

fn is_finer_than_bf16(path: &Path) -> bool {
    let is_finer = |tensor: &Tensor| {
        let rounded = tensor.to_dtype(DType::BF16).and_then(|tensor| tensor.to_dtype(DType::F32));
        largest(&(tensor - rounded.expect("rounded")).expect("one shape")) > 0.0
    };
    tensors(path).values().any(is_finer)
}

#[test]
fn a_training_in_bf16_that_was_stopped_ends_with_the_same_bytes() {
    let ways = [("full", "adamw"), ("full", "adafactor"), ("lora", "adam")];
    let ways = ways.into_iter().flat_map(|way| places_in_bf16().map(move |place| (way, place)));
    for ((method, optimizer), bf16) in ways {
        let tiny = Tiny::new(&json!({
            "method": method, "optimizer": optimizer, "steps": 5, "shuffle": false,
            "batch_size": 2, "gradient_accumulation": 1, "learning_rate": 0.003, "dropout": 0.1,
        }));
        let (whole, stopped) = (Folders::new(), Folders::new());
        let examples = examples(10, 0);
        let report = tiny.train(&whole, &examples, &bf16).expect("trained");
        // The fourth step cannot be taken at first.
        let mut faulty = examples.clone();
        faulty[6].target = None;
        let error = tiny.train(&stopped, &faulty, &bf16).expect_err("no target");
        assert_eq!((error.kind(), error.context("step")), (ErrorKind::Data, Some("4")));
        assert!(stopped.path("scratch/checkpoint-3").exists(), "no checkpoint was left");
        let found = tiny.train(&stopped, &examples, &bf16).expect("trained");
        assert_eq!(found, report);
        assert!(stopped.result() == whole.result(), "{method}, {optimizer}: another model");
    }
}
