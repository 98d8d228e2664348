//! Predictions of whole calls: what is refused, told and stopped.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{Device, Tensor};
use deft_core::{NoServices, Services};
use serde_json::{Value, json};

use super::*;
use crate::device::Placement;
use crate::model::Weights;
use crate::network::{Batch, Tensors};
use crate::testing::{context, model_dir};

const KINDS: [PredictionKind; 2] = [PredictionKind::OptionScores, PredictionKind::Text];

/// A host that keeps warnings, and whose user asks to stop at a look.
struct Host {
    warnings: Mutex<Vec<String>>,
    looks: AtomicUsize,
    stops_at: usize,
}

impl Host {
    fn new(stops_at: usize) -> Self {
        Self { warnings: Mutex::default(), looks: AtomicUsize::new(0), stops_at }
    }
}

impl Services for Host {
    fn log(&self, level: log::Level, _target: &str, message: &str) {
        assert_eq!(level, log::Level::Warn);
        self.warnings.lock().expect("no panic").push(message.to_owned());
    }

    fn progress(&self, _done: u64, _total: u64, _unit: &str) {}

    fn is_cancelled(&self) -> bool {
        self.looks.fetch_add(1, Ordering::Relaxed) >= self.stops_at
    }

    fn resolve(&self, name: &str) -> Result<std::path::PathBuf> {
        NoServices.resolve(name)
    }

    fn call(&self, name: &str, json: &str) -> Result<String> {
        NoServices.call(name, json)
    }
}

/// A tiny model of random weights, changed.
fn predictor(options: &Value, change: impl Fn(&mut Tensors)) -> T5Predictor {
    let dir = model_dir(&json!({"tie_word_embeddings": false}));
    let model = Model::open_dir(&context(1), dir.path(), None, Weights::Random(3));
    let model = model.expect("a model");
    let mut tensors = model.tensors(&context(1), &WHOLE).expect("weights");
    change(&mut tensors);
    let network = model.network(&tensors).expect("a network");
    let mut config = json!({"model": dir.path()});
    for (key, value) in options.as_object().expect("an object") {
        config[key] = value.clone();
    }
    let config = deft_core::options::parse(&config).expect("options");
    let placement = Placement::host();
    let budget = Budget::of(&placement, model.config(), 512);
    T5Predictor { model: Arc::new(model), network, budget, placement: placement.into(), config }
}

fn example(input: &str) -> Example {
    let options = vec!["w5".to_owned(), "w6 w7 w8".to_owned()];
    Example { input: input.to_owned(), options, ..Example::default() }
}

#[test]
fn an_example_whose_logits_are_no_numbers_is_named() {
    // The word `w9` has an embedding that is none.
    let break_w9 = |tensors: &mut Tensors| {
        let name = "shared.weight";
        let mut rows: Vec<Vec<f32>> = tensors[name].to_vec2().expect("rows");
        rows[9].fill(f32::NAN);
        tensors.insert(name.to_owned(), Tensor::new(rows, &Device::Cpu).expect("a tensor"));
    };
    let examples = ["w3 w4", "w4", "w5 w9", "w6"].map(example);
    for options in [json!({}), json!({"beams": 3})] {
        let predictor = predictor(&options, break_w9);
        for kind in KINDS {
            let error = predictor.predict(&context(2), &examples, kind).expect_err("NaN");
            assert_eq!((error.kind(), error.context("example")), (ErrorKind::Model, Some("2")));
            assert!(error.hint().is_some(), "{error}");
            predictor.predict(&context(2), &examples[..2], kind).expect("numbers");
        }
    }
}

#[test]
fn texts_that_are_cut_are_counted_and_told_once() {
    let predictor = predictor(&json!({"max_tokens": 3, "max_answer_tokens": 2}), |_| ());
    let examples = ["w3 w4 w5", "w3 w4", "w3", "w3 w4 w5 w6"].map(example);
    let warnings = |kind, examples: &[Example]| {
        let host = Host::new(usize::MAX);
        predictor.predict(&Context::new(&host, 1, 2), examples, kind).expect("predictions");
        host.warnings.into_inner().expect("no panic")
    };
    let start = "predictions are made from texts that were cut: 2 of 4 inputs to `max_tokens` (3)";
    let options = ", 4 of 8 options to `max_answer_tokens` (2)";
    let [scores, text] = KINDS.map(|kind| warnings(kind, &examples));
    assert_eq!(scores, [format!("{start}{options}")]);
    assert_eq!(text, [start]);
    assert_eq!(warnings(PredictionKind::Text, &examples[1..3]), [""; 0]);
}

#[test]
fn a_prediction_stops_before_the_next_block_of_the_network() {
    for (kind, options) in
        KINDS.into_iter().zip([json!({}), json!({"max_new_tokens": 4, "beams": 2})])
    {
        let predictor = predictor(&options, |_| ());
        let predict =
            |host: &Host| predictor.predict(&Context::new(host, 1, 1), &[example("w3 w4")], kind);
        let whole = Host::new(usize::MAX);
        predict(&whole).expect("predictions");
        let looks = whole.looks.into_inner();
        // Two blocks of the encoder and two of the decoder, these with what they remember.
        assert!(looks >= 2 + 2 + 2, "{looks}");
        for stops_at in 0..looks {
            let host = Host::new(stops_at);
            let error = predict(&host).expect_err("stopped");
            assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
            // The look that is told of, and the one that asks why there was an error.
            assert!(host.looks.into_inner() <= stops_at + 2, "{stops_at}");
        }
    }
}

#[test]
fn an_encoding_stops_before_its_next_block() {
    let (predictor, host) = (predictor(&json!({}), |_| ()), Host::new(1));
    let batch = Batch::new([&[3, 4, 1][..]], 0).expect("a batch");
    let pass = Pass::interruptible(&Context::new(&host, 1, 1));
    let error = predictor.network.encode(&batch, &pass).expect_err("stopped");
    assert_eq!(pass.error(&error).kind(), ErrorKind::Cancelled);
    // One look before each of two blocks, and one that asks why there was an error.
    assert_eq!(host.looks.load(Ordering::Relaxed), 3);
}
