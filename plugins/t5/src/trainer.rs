//! The trainer: fine-tuning, and models opened for prediction.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use deft_core::prelude::*;

use crate::adapter::AdapterSpec;
use crate::config::TrainerConfig;
use crate::device::{self, Placement};
use crate::model::{Model, WHOLE, Weights};
use crate::predict::T5Predictor;
use crate::{tokens, training};

/// Fine-tuning of a T5 on (input → target) with cross entropy: all weights, or an adapter.
///
/// The micro-batches of a step run in parallel; their gradients are summed in an order that depends
/// on the examples alone, the largest first, and dropout masks are drawn by their number: the model
/// is the same bytes at any thread count, and however often the training was stopped. A GPU draws
/// masks of its own: what it trains is no model of a CPU's, and another kind of GPU rounds otherwise.
/// Targets are trimmed; an empty one trains `</s>` alone.
#[derive(Debug)]
pub struct T5Trainer {
    config: TrainerConfig,
    model: Arc<Model>,
    info: TrainerInfo,
}

impl Component for T5Trainer {
    type Config = TrainerConfig;
    const NAME: &'static str = "t5";
    const SUMMARY: &'static str =
        "fine-tuning of a T5 (full, IA3, LoRA), option scores and generated text";

    fn capabilities() -> serde_json::Value {
        device::capabilities()
    }

    fn check(config: &TrainerConfig) -> Result<()> {
        config.check()
    }

    fn new(ctx: &Context<'_>, config: TrainerConfig, _children: Children) -> Result<Self> {
        config.check()?;
        let model = Model::open(ctx, &config.model())?;
        let mut notes: Vec<String> = model.random_name().map(random_note).into_iter().collect();
        // The weights are read again when they are trained: until then they would only take memory.
        let mut parameters = 0;
        let fingerprint = model
            .fingerprint(ctx, &WHOLE, |_, tensor| parameters += tensor.elem_count() as u64)?
            .short();
        if let Some(spec) = AdapterSpec::of(&config) {
            notes.extend(spec.note(model.config())?);
            parameters = spec.count(model.config())?;
        }
        let info = TrainerInfo { fingerprint, parameters, notes };
        Ok(Self { config, model: Arc::new(model), info })
    }
}

impl Trainer for T5Trainer {
    fn info(&self) -> TrainerInfo {
        self.info.clone()
    }

    fn train(&self, ctx: &Context<'_>, training: &Training<'_>) -> Result<TrainReport> {
        let placement = self.placement(ctx)?;
        let (network, trained) = (self.model.config(), self.info.parameters);
        device::check_training(&placement, &self.config, network, trained)?;
        training::train(ctx, &self.config, &self.model, training, &placement)
    }

    fn open(&self, ctx: &Context<'_>, model: Option<&Path>) -> Result<Box<dyn Predictor>> {
        let model = match model {
            None => Arc::clone(&self.model),
            Some(dir) => {
                let tokenizer = self.tokenizer_for(ctx, dir)?;
                Arc::new(Model::open_dir(ctx, dir, tokenizer, Weights::Folder)?)
            }
        };
        let placement = self.placement(ctx)?;
        let needed = device::weight_bytes(model.config(), &WHOLE, placement.precision);
        device::check_room(&placement, "the model", needed)?;
        Ok(Box::new(T5Predictor::open(ctx, model, &self.config, &placement)?))
    }
}

impl T5Trainer {
    /// Where it trains and predicts. What only needs the trainer's identity needs no device.
    fn placement(&self, ctx: &Context<'_>) -> Result<Placement> {
        device::open_one(ctx, self.config.device, self.config.precision)
    }

    /// The tokenizer that was named, for a folder that has none of its own: models from elsewhere.
    fn tokenizer_for(&self, ctx: &Context<'_>, dir: &Path) -> Result<Option<PathBuf>> {
        if tokens::default_path(dir).exists() {
            return Ok(None);
        }
        self.config.model().tokenizer.map(|name| tokens::resolve(ctx, name)).transpose()
    }
}

/// What a reader of results should know about the models.
fn random_note(model: &str) -> String {
    format!(
        "training starts from random weights (model `{model}`): accuracies show that the machinery \
         works, not how good a pretrained T5 would be; accuracy means nothing yet"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{context, model_dir, random, try_train};
    use serde_json::{Value, json};
    use tempfile::TempDir;

    fn trainer(options: &Value) -> T5Trainer {
        random(model_dir(&json!({})).path(), options)
    }

    /// The word after the input's last one.
    fn examples(count: usize) -> Vec<Example> {
        let example = |n: usize| Example {
            input: format!("w{} w{}", 3 + n * 5 % 30, 4 + n % 30),
            target: Some(format!("\n w{} ", 5 + n % 30)),
            options: vec![format!("w{}", 20 - n % 15), format!("w{}", 5 + n % 30)],
            ..Example::default()
        };
        (0..count).map(example).collect()
    }

    fn train(
        trainer: &T5Trainer,
        threads: usize,
        examples: &Vec<Example>,
    ) -> (TrainReport, TempDir) {
        let out = tempfile::tempdir().expect("a folder");
        let report = try_train(trainer, &context(threads), examples, None, out.path());
        (report.expect("trained"), out)
    }

    #[test]
    fn training_is_the_same_bytes_at_any_thread_count() {
        let trainer = trainer(&json!({
            "steps": 3, "batch_size": 2, "gradient_accumulation": 3, "dropout": 0.2,
        }));
        let bytes = |threads| {
            let (_, out) = train(&trainer, threads, &examples(10));
            std::fs::read(out.path().join("model.safetensors")).expect("weights")
        };
        let one = bytes(1);
        assert!(one == bytes(2) && one == bytes(3), "the weights differ");
    }

    #[test]
    fn a_small_set_is_learned_by_heart_and_the_model_can_be_opened_again() {
        let trainer = trainer(&json!({
            "epochs": 60, "batch_size": 4, "gradient_accumulation": 2, "learning_rate": 0.01,
            "dropout": 0, "schedule": "constant",
        }));
        let examples = examples(12);
        let (report, out) = train(&trainer, 2, &examples);
        assert_eq!((report.steps, report.losses.len()), (120, 60));
        assert!(report.losses[59] < 0.05 * report.losses[0], "{:?}", report.losses);
        let predictor = trainer.open(&context(2), Some(out.path())).expect("a predictor");
        let texts = predictor.predict(&context(2), &examples, PredictionKind::Text).expect("texts");
        for (example, text) in examples.iter().zip(texts) {
            let target = example.target.as_deref().map(str::trim).unwrap_or_default();
            assert_eq!(text, Prediction::Text(target.to_owned()), "{}", example.input);
        }
    }

    #[test]
    fn a_model_without_a_tokenizer_is_opened_with_the_one_that_is_named() {
        let dir = model_dir(&json!({}));
        let file = dir.path().join("tokenizer.json").display().to_string();
        let (_, out) = train(&trainer(&json!({"epochs": 1})), 1, &examples(4));
        std::fs::remove_file(out.path().join("tokenizer.json")).expect("removed");
        let refused = trainer(&json!({})).open(&context(1), Some(out.path()));
        assert!(refused.err().expect("no tokenizer").to_string().contains("tokenizer"));
        let named: T5Trainer = random(dir.path(), &json!({"tokenizer": file}));
        named.open(&context(1), Some(out.path())).expect("a predictor");
    }

    #[test]
    fn options_of_any_number_are_scored_in_the_order_given() {
        let trainer = trainer(&json!({}));
        let predictor = trainer.open(&context(2), None).expect("a predictor");
        let mut examples = examples(9);
        for (n, example) in examples.iter_mut().enumerate() {
            example.options.extend((0..n % 3).map(|_| "w7 w8 w9".to_owned()));
        }
        let scores = |examples: &[Example]| {
            let kind = PredictionKind::OptionScores;
            predictor.predict(&context(2), examples, kind).expect("scores")
        };
        for (example, together) in examples.iter().zip(scores(&examples)) {
            let alone = &scores(std::slice::from_ref(example))[0];
            let Prediction::OptionScores { log_probs, tokens } = together else { panic!("scores") };
            let Prediction::OptionScores { log_probs: wanted, .. } = alone else {
                panic!("scores")
            };
            assert_eq!((log_probs.len(), &tokens[..2]), (example.options.len(), &[2, 2][..]));
            let near = log_probs.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-4);
            assert!(near, "{log_probs:?} and {wanted:?}");
        }
    }

    #[test]
    fn random_weights_are_noted_under_the_name_that_the_user_wrote() {
        let dir = model_dir(&json!({}));
        let name = dir.path().display().to_string();
        let trainer: T5Trainer = random(dir.path(), &json!({"model": name}));
        let notes = trainer.info().notes;
        assert_eq!(notes.len(), 1);
        assert!(notes[0].contains(&format!("(model `{name}`)")), "{notes:?}");
        assert!(notes[0].contains("accuracy means nothing"), "{notes:?}");
    }

    #[test]
    fn what_cannot_be_trained_or_scored_is_named() {
        let trainer = trainer(&json!({"shuffle": false}));
        let out = tempfile::tempdir().expect("a folder");
        let error = try_train(&trainer, &context(1), &Vec::new(), None, out.path());
        assert_eq!(error.expect_err("nothing to train on").kind(), ErrorKind::Data);
        let mut examples = examples(5);
        examples[3].target = None;
        examples[4].options.clear();
        let error =
            try_train(&trainer, &context(2), &examples, None, out.path()).expect_err("no target");
        assert_eq!((error.kind(), error.context("position")), (ErrorKind::Data, Some("3")));
        let predictor = trainer.open(&context(1), None).expect("a predictor");
        let kind = PredictionKind::OptionScores;
        let error = predictor.predict(&context(1), &examples, kind).expect_err("no options");
        assert_eq!((error.kind(), error.context("example")), (ErrorKind::Data, Some("4")));
    }

    #[test]
    fn a_loss_that_is_no_number_names_step_and_examples() {
        let trainer = trainer(&json!({
            "shuffle": false, "learning_rate": 1e30, "gradient_accumulation": 2,
            "optimizer": "adamw", "weight_decay": 1, "schedule": "constant",
        }));
        let out = tempfile::tempdir().expect("a folder");
        let error =
            try_train(&trainer, &context(2), &examples(8), None, out.path()).expect_err("infinite");
        assert_eq!(error.kind(), ErrorKind::Model, "{error}");
        let step: usize = error.context("step").and_then(|s| s.parse().ok()).expect("a step");
        // Micro-batches of one example, two of them a step: the step's first is at fault.
        assert_eq!(error.context("positions"), Some(&*format!("[{}]", 2 * (step - 1))));
    }
}
