//! The models that transformers has computed with.

use std::collections::BTreeMap;
use std::path::PathBuf;

use deft_core::NoServices;
use deft_core::prelude::*;
use safetensors::SafeTensors;
use serde_json::{Value, json};

use super::ids_of;
use super::way::Way;
use crate::config::TrainerConfig;
use crate::model::{Model, WHOLE, Weights};
use crate::network::T5;
use crate::testing;
use crate::trainer::T5Trainer;

/// One model with what transformers computes with it.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) dir: PathBuf,
    pub(super) goldens: Value,
    pub(super) tensors: BTreeMap<String, Vec<f32>>,
    pub(super) examples: Vec<Example>,
    pub(super) inputs: Vec<Vec<u32>>,
    pub(super) targets: Vec<Vec<u32>>,
}

pub(super) fn cases() -> Vec<Case> {
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

    pub(super) fn model(&self) -> Model {
        Model::open_dir(&testing::context(1), &self.dir, None, Weights::Folder).expect("a model")
    }

    /// The network of the model, as it computes in some way.
    pub(super) fn network(&self, way: &Way) -> T5 {
        let model = self.model();
        let tensors = model.tensors(&testing::context(1), &WHOLE).expect("weights");
        let there = way.placement.put_all(&tensors).expect("weights");
        model.network(&there).expect("a network").remembering()
    }

    pub(super) fn config(&self, options: &Value) -> TrainerConfig {
        let mut config = json!({
            "model": self.dir, "device": testing::device(), "dropout": 0, "schedule": "constant", "shuffle": false,
        });
        for (key, value) in options.as_object().expect("an object") {
            config[key] = value.clone();
        }
        deft_core::options::parse(&config).expect("valid options")
    }

    pub(super) fn trainer(&self, threads: usize, options: &Value) -> T5Trainer {
        let ctx = Context::new(&NoServices, 1, threads);
        T5Trainer::new(&ctx, self.config(options), Children::none()).expect("a trainer")
    }

    pub(super) fn number(&self, key: &str) -> f64 {
        self.goldens[key].as_f64().expect("a number")
    }
}
