//! Whole trainings of tiny models.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Device;
use deft_core::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::model::{Model, WHOLE, Weights, write_tensors};
use crate::network::Tensors;
use crate::testing::{context, model_dir, random, try_train};
use crate::trainer::T5Trainer;

pub(super) fn trainer(options: &Value) -> T5Trainer {
    random(model_dir(&json!({})).path(), options)
}

/// The word after the input's last one.
pub(super) fn examples(count: usize, shift: usize) -> Vec<Example> {
    let example = |n: usize| Example {
        input: format!("w{} w{} w{}", 3 + n * 5 % 30, 3 + n * 7 % 30, 4 + n % 30),
        target: Some(format!("w{}", 5 + (n + shift) % 30)),
        options: vec![format!("w{}", 5 + (n + shift) % 30), format!("w{}", 20 - n % 15)],
        gold: Some(0),
        ..Example::default()
    };
    (0..count).map(example).collect()
}

/// Folders of one training that is tried several times.
pub(super) struct Folders {
    root: TempDir,
}

impl Folders {
    pub(super) fn new() -> Self {
        let root = tempfile::tempdir().expect("a folder");
        for name in ["scratch", "logs"] {
            std::fs::create_dir(root.path().join(name)).expect("made");
        }
        Self { root }
    }

    pub(super) fn path(&self, name: &str) -> std::path::PathBuf {
        self.root.path().join(name)
    }

    /// One try, into an empty folder as the host gives it.
    pub(super) fn train(
        &self,
        trainer: &T5Trainer,
        ctx: &Context<'_>,
        examples: &Vec<Example>,
        validation: Option<&Vec<Example>>,
    ) -> Result<TrainReport> {
        self.run(examples, validation, |training| trainer.train(ctx, training))
    }

    /// The same for what trains as `train` does.
    pub(super) fn run(
        &self,
        examples: &Vec<Example>,
        validation: Option<&Vec<Example>>,
        train: impl FnOnce(&Training<'_>) -> Result<TrainReport>,
    ) -> Result<TrainReport> {
        let (out, scratch, logs) = (self.path("out"), self.path("scratch"), self.path("logs"));
        let _ = std::fs::remove_dir_all(&out);
        std::fs::create_dir(&out).expect("made");
        let folders = TrainingFolders { out: &out, scratch: &scratch, logs: &logs };
        let validation = validation.map(|examples| examples as &dyn Examples);
        train(&Training { examples, validation, folders })
    }

    /// The files of the result.
    pub(super) fn result(&self) -> BTreeMap<String, Vec<u8>> {
        let files = std::fs::read_dir(self.path("out")).expect("a folder");
        let file = |entry: std::io::Result<std::fs::DirEntry>| {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read(&path).expect("readable"))
        };
        files.map(file).collect()
    }
}

#[test]
fn the_best_epoch_is_kept_on_request_and_the_last_one_otherwise() {
    let options = json!({
        "batch_size": 4, "gradient_accumulation": 1, "learning_rate": 0.01, "dropout": 0,
        "schedule": "constant",
    });
    let with = |changes: Value| {
        let mut all = options.clone();
        for (key, value) in changes.as_object().expect("an object") {
            all[key] = value.clone();
        }
        let folders = Folders::new();
        let (examples, others) = (examples(12, 0), examples(12, 3));
        let report =
            folders.train(&trainer(&all), &context(2), &examples, Some(&others)).expect("trained");
        (folders.result(), report)
    };
    // What is learned by heart is wrong for the others: they get worse after some epochs.
    let (best, report) = with(json!({"epochs": 12, "keep": "best"}));
    let losses: Vec<f64> = report.validation.iter().map(|at| at.loss).collect();
    let lowest = (0..12).min_by(|&a: &usize, &b| losses[a].total_cmp(&losses[b])).expect("epochs");
    assert!(lowest < 11, "the last epoch is the best: {losses:?}");
    let (last, _) = with(json!({"epochs": lowest + 1}));
    assert!(best == last, "epoch {lowest} was not kept");
    assert_eq!(report.extra["kept_step"], json!(3 * (lowest + 1)));
    let error = try_train(
        &trainer(&json!({"keep": "best"})),
        &context(1),
        &examples(3, 0),
        None,
        Path::new("unused"),
    );
    assert_eq!(error.expect_err("no validation").option(), Some("keep"));
}

#[test]
fn validation_tells_the_loss_and_the_accuracy_of_the_models_options() {
    let (folders, examples, others) = (Folders::new(), examples(8, 0), examples(20, 0));
    let trainer = trainer(&json!({"epochs": 2, "learning_rate": 0.01}));
    let report = folders.train(&trainer, &context(2), &examples, Some(&others)).expect("trained");
    let predictor = trainer.open(&context(1), Some(&folders.path("out"))).expect("a predictor");
    let kind = PredictionKind::OptionScores;
    let predictions = predictor.predict(&context(1), &others, kind).expect("scores");
    let (mut right, mut loss, mut count) = (0, 0.0, 0);
    for prediction in predictions {
        let Prediction::OptionScores { log_probs, tokens } = prediction else { panic!("scores") };
        right += usize::from(log_probs[0] >= log_probs[1]);
        loss -= log_probs[0];
        count += tokens[0];
    }
    let last = report.validation[1];
    assert_eq!((report.validation.len(), last.accuracy), (2, Some(right as f64 / 20.0)));
    assert!((last.loss - loss / f64::from(count)).abs() < 1e-4, "{last:?}");
    // Without options there is a loss alone.
    let mut others = others;
    others[3].options.clear();
    others[3].gold = None;
    let report = folders_of(&trainer, &examples, &others);
    assert_eq!(report.validation[0].accuracy, None);
}

fn folders_of(trainer: &T5Trainer, examples: &Vec<Example>, others: &Vec<Example>) -> TrainReport {
    Folders::new().train(trainer, &context(2), examples, Some(others)).expect("trained")
}

#[test]
fn logs_have_loss_rate_speed_and_validation() {
    let (folders, examples, others) = (Folders::new(), examples(8, 0), examples(4, 0));
    let trainer = trainer(&json!({"epochs": 2, "log_every": 1, "gradient_accumulation": 4}));
    folders.train(&trainer, &context(1), &examples, Some(&others)).expect("trained");
    let text = std::fs::read_to_string(folders.path("logs/training.jsonl")).expect("a log");
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let steps: Vec<u64> = lines.iter().filter_map(|line| line["step"].as_u64()).collect();
    assert_eq!(steps, [1, 2, 2, 3, 4, 4]);
    for key in ["mean_loss", "learning_rate", "gradient_norm", "tokens_per_second"] {
        assert!(lines[0][key].as_f64().is_some_and(|x| x > 0.0), "{key}: {}", lines[0]);
    }
    for key in ["validation_loss", "validation_accuracy"] {
        assert!(lines[5][key].is_number(), "{key}: {}", lines[5]);
    }
    let names = std::fs::read_dir(folders.path("logs")).expect("a folder");
    let is_events = |name: &str| name.starts_with("events.out.tfevents.");
    assert!(names.flatten().any(|entry| entry.file_name().to_str().is_some_and(is_events)));
}

#[test]
fn the_first_and_the_last_step_are_logged_with_the_mean_since_the_line_before() {
    let lines = |every: usize| -> Vec<Value> {
        let folders = Folders::new();
        let trainer = trainer(&json!({
            "steps": 5, "log_every": every, "gradient_accumulation": 2, "learning_rate": 0.01,
        }));
        folders.train(&trainer, &context(1), &examples(8, 0), None).expect("trained");
        let text = std::fs::read_to_string(folders.path("logs/training.jsonl")).expect("a log");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let losses: Vec<f64> =
        lines(1).iter().map(|line| line["mean_loss"].as_f64().expect("x")).collect();
    let told = lines(3);
    let steps: Vec<_> = told.iter().map(|line| line["step"].as_u64().expect("a step")).collect();
    assert_eq!((losses.len(), steps), (5, vec![1, 3, 5]));
    for (line, steps) in told.iter().zip([&losses[..1], &losses[1..3], &losses[3..]]) {
        let mean = steps.iter().sum::<f64>() / steps.len() as f64;
        assert!((line["mean_loss"].as_f64().expect("a loss") - mean).abs() < 1e-9, "{line}");
    }
    assert!(lines(0).is_empty());
}

#[test]
fn with_steps_the_model_is_validated_at_the_end_or_as_often_as_is_asked() {
    let check = |options: Value, wanted: &[u64]| {
        let mut all = json!({"gradient_accumulation": 2});
        for (key, value) in options.as_object().expect("an object") {
            all[key] = value.clone();
        }
        let report = folders_of(&trainer(&all), &examples(4, 0), &examples(2, 0));
        let steps: Vec<u64> = report.validation.iter().map(|report| report.step).collect();
        assert_eq!(steps, wanted, "{options}");
    };
    check(json!({"steps": 9}), &[9]);
    check(json!({"steps": 9, "validate_every": 4}), &[4, 8, 9]);
    check(json!({"epochs": 2}), &[2, 4]);
}

#[test]
fn a_very_long_example_is_cut_and_counted() {
    let mut examples = examples(3, 0);
    examples[1].input = "w7 ".repeat(100_000);
    examples[2].target = Some("w8 ".repeat(50));
    let report = |objective: &str| {
        let trainer = trainer(&json!({
            "epochs": 2, "max_tokens": 16, "max_answer_tokens": 8, "objective": objective,
        }));
        let out = tempfile::tempdir().expect("a folder");
        try_train(&trainer, &context(2), &examples, None, out.path()).expect("trained")
    };
    let labelled = report("seq2seq");
    assert_eq!(labelled.tokens, 2 * (4 + 2 + 16 + 2 + 4 + 8));
    assert_eq!(labelled.extra["inputs_cut"], json!(2));
    assert_eq!(labelled.extra["targets_cut"], json!(2));
    // Here the text is the input with its target.
    assert_eq!(report("prefix_lm").extra["inputs_cut"], json!(4));
}

pub(super) fn tensors(path: &Path) -> Tensors {
    candle_core::safetensors::load(path, &Device::Cpu).expect("tensors").into_iter().collect()
}

/// A folder with a model's weights in it.
fn pretrained() -> TempDir {
    let dir = model_dir(&json!({}));
    let model =
        Model::open_dir(&context(1), dir.path(), None, Weights::Random(3)).expect("a model");
    let weights = model.tensors(&context(1), &WHOLE).expect("weights");
    write_tensors(&weights, &dir.path().join("model.safetensors")).expect("written");
    dir
}

#[test]
fn adapters_lower_the_loss_and_are_saved_alone_and_opened_again() {
    let (examples, base) = (examples(12, 0), pretrained());
    for method in ["ia3", "lora"] {
        let trainer: T5Trainer = random(
            base.path(),
            &json!({
                "init": "pretrained", "init_seed": null, "method": method, "epochs": 40, "batch_size": 4, "gradient_accumulation": 3,
                "learning_rate": 0.05, "dropout": 0, "schedule": "constant",
            }),
        );
        let folders = Folders::new();
        let report = folders.train(&trainer, &context(2), &examples, None).expect("trained");
        assert!(report.losses[39] < 0.8 * report.losses[0], "{method}: {:?}", report.losses);
        let files: Vec<String> = folders.result().into_keys().collect();
        assert_eq!(files, ["adapter_config.json", "adapter_model.safetensors", "tokenizer.json"]);
        let saved = tensors(&folders.path("out/adapter_model.safetensors"));
        let count: usize = saved.values().map(candle_core::Tensor::elem_count).sum();
        assert_eq!(trainer.info().parameters, count as u64);
        // The opened model has the loss of the last epoch's end, below its mean.
        let predictor = trainer.open(&context(1), Some(&folders.path("out"))).expect("opened");
        let kind = PredictionKind::OptionScores;
        let scores = predictor.predict(&context(1), &examples, kind).expect("scores");
        let loss = |prediction: &Prediction| match prediction {
            Prediction::OptionScores { log_probs, tokens } => -log_probs[0] / f64::from(tokens[0]),
            Prediction::Text(_) => f64::NAN,
        };
        let mean = scores.iter().map(loss).sum::<f64>() / scores.len() as f64;
        assert!(mean < 1.02 * report.losses[39], "{method}: {mean}, {:?}", report.losses[39]);
    }
}

#[test]
fn an_adapter_on_weights_that_no_folder_has_is_written_merged() {
    let (base, examples) = (pretrained(), examples(6, 0));
    let options = json!({"method": "ia3", "steps": 2, "learning_rate": 0.1});
    let of_pretrained = |model: &Path| {
        let mut all = options.clone();
        (all["init"], all["init_seed"], all["model"]) =
            (json!("pretrained"), json!(null), json!(model));
        random::<T5Trainer>(base.path(), &all)
    };
    let folders = [Folders::new(), Folders::new(), Folders::new()];
    let train = |folders: &Folders, trainer: &T5Trainer| {
        folders.train(trainer, &context(1), &examples, None).expect("trained");
        folders.result().into_keys().next().expect("a file")
    };
    // The same weights from a folder and from a seed give the same model, alone or merged.
    assert_eq!(train(&folders[0], &of_pretrained(base.path())), "adapter_config.json");
    assert_eq!(train(&folders[1], &trainer(&options)), "config.json");
    let scores = |folders: &Folders| {
        let predictor = of_pretrained(base.path())
            .open(&context(1), Some(&folders.path("out")))
            .expect("a predictor");
        let kind = PredictionKind::OptionScores;
        format!("{:?}", predictor.predict(&context(1), &examples, kind).expect("scores"))
    };
    assert_eq!(scores(&folders[0]), scores(&folders[1]));
    // An adapter on an adapter does not lose the first one.
    assert_eq!(train(&folders[2], &of_pretrained(&folders[0].path("out"))), "config.json");
    assert_ne!(scores(&folders[2]), scores(&folders[0]));
}

#[test]
fn computing_activations_again_gives_the_same_model_up_to_rounding() {
    let train = |again: bool| {
        let trainer = trainer(&json!({
            "steps": 3, "batch_size": 3, "learning_rate": 0.001, "dropout": 0.3,
            "gradient_checkpointing": again, "optimizer": "adafactor",
        }));
        let folders = Folders::new();
        let report = folders.train(&trainer, &context(2), &examples(30, 0), None).expect("trained");
        (report.losses, tensors(&folders.path("out/model.safetensors")))
    };
    let ((losses, kept), (other_losses, again)) = (train(false), train(true));
    // The same masks were drawn.
    assert!(losses.iter().zip(&other_losses).all(|(a, b)| (a - b).abs() < 1e-5), "{losses:?}");
    for (name, tensor) in kept {
        let apart = (tensor - &again[&name]).and_then(|d| d.abs()?.flatten_all()?.max(0));
        let apart: f32 = apart.and_then(|d| d.to_scalar()).expect("a number");
        assert!(apart < 1e-5, "{name}: {apart}");
    }
}

#[test]
fn texts_without_targets_are_learned_by_their_own_objectives() {
    let mut texts = examples(12, 0);
    for example in &mut texts {
        example.target = None;
    }
    let options = json!({
        "objective": "prefix_lm", "epochs": 30, "batch_size": 4, "learning_rate": 0.01,
        "gradient_accumulation": 3, "dropout": 0,
    });
    let report = try_train(
        &trainer(&options),
        &context(2),
        &texts,
        None,
        tempfile::tempdir().expect("x").path(),
    );
    let losses = report.expect("trained").losses;
    assert!(losses[29] < 0.8 * losses[0], "{losses:?}");
    // The tiny tokenizer has no sentinels.
    let spans = trainer(&json!({"objective": "span_corruption"}));
    let error = try_train(&spans, &context(1), &texts, None, Path::new("unused"));
    assert!(error.expect_err("no sentinels").message().contains("<extra_id_0>"));
}
