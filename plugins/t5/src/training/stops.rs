//! Trainings that are stopped, fail, or meet a disk that refuses a file.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use deft_core::prelude::*;
use deft_core::{NoServices, Services};
use serde_json::{Value, json};

use super::run::go_on_without;
use super::tests::{Folders, examples, trainer};
use super::validation;
use crate::testing::context;
use crate::trainer::T5Trainer;

/// A user who watches a training, and may ask to stop.
struct User<'a> {
    looks: AtomicUsize,
    /// Looks after which they ask to stop.
    patience: usize,
    validations: AtomicUsize,
    /// Validations that they let pass: they ask to stop in the next one.
    lets_pass: usize,
    /// What they do when they see a step.
    meddles: &'a (dyn Fn() + Sync),
    steps: Mutex<Vec<u64>>,
    warnings: Mutex<Vec<String>>,
}

impl User<'_> {
    /// One who waits and does nothing.
    fn patient() -> Self {
        Self {
            looks: AtomicUsize::default(),
            patience: usize::MAX,
            validations: AtomicUsize::default(),
            lets_pass: usize::MAX,
            meddles: &|| (),
            steps: Mutex::default(),
            warnings: Mutex::default(),
        }
    }

    fn context(&self, threads: usize) -> Context<'_> {
        Context::new(self, context(1).seed(), threads)
    }

    fn steps(&self) -> Vec<u64> {
        self.steps.lock().expect("no panic").clone()
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.lock().expect("no panic").clone()
    }
}

impl Services for User<'_> {
    fn log(&self, level: ::log::Level, _target: &str, message: &str) {
        if level == ::log::Level::Warn {
            self.warnings.lock().expect("no panic").push(message.to_owned());
        }
    }

    fn progress(&self, done: u64, _total: u64, unit: &str) {
        if unit == "steps" {
            (self.meddles)();
            self.steps.lock().expect("no panic").push(done);
        } else if unit == validation::UNIT && done == 0 {
            self.validations.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn is_cancelled(&self) -> bool {
        self.looks.fetch_add(1, Ordering::Relaxed) >= self.patience
            || self.validations.load(Ordering::Relaxed) > self.lets_pass
    }

    fn resolve(&self, name: &str) -> Result<std::path::PathBuf> {
        NoServices.resolve(name)
    }

    fn call(&self, name: &str, json: &str) -> Result<String> {
        NoServices.call(name, json)
    }
}

/// Trains without a stop, and with many, and compares model and report.
fn check_stops(options: &Value, has_validation: bool) {
    let mut all = json!({
        "epochs": 3, "batch_size": 2, "gradient_accumulation": 2, "learning_rate": 0.003,
        "dropout": 0.1, "checkpoint_every": 2,
    });
    for (key, value) in options.as_object().expect("an object") {
        all[key] = value.clone();
    }
    let (trainer, examples, others) = (trainer(&all), examples(10, 0), self::examples(6, 1));
    let validation = has_validation.then_some(&others);
    let whole = Folders::new();
    let report = whole.train(&trainer, &context(1), &examples, validation).expect("trained");
    let stopped = Folders::new();
    let first = looks_before_the_first_step(&trainer);
    for tries in 1.. {
        assert!(tries < 60, "it does not come to an end");
        let user = User { patience: first + 5 + tries % 24, ..User::patient() };
        match stopped.train(&trainer, &user.context(1 + tries % 2), &examples, validation) {
            Ok(found) => {
                assert!(tries > 2, "it was not stopped");
                assert_eq!(found, report);
                break;
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}"),
        }
        // As after a kill: without the checkpoint that is made at a stop.
        if tries % 3 == 0 {
            remove_last_checkpoint(&stopped.path("scratch"));
        }
    }
    assert!(stopped.result() == whole.result(), "another model after stops: {options}");
}

fn looks_before_the_first_step(trainer: &T5Trainer) -> usize {
    let user = User::patient();
    trainer.open(&user.context(1), None).expect("weights");
    user.looks.into_inner()
}

/// The steps of the checkpoints that are there.
fn checkpoints(scratch: &Path) -> Vec<usize> {
    let steps = std::fs::read_dir(scratch).expect("a folder").filter_map(|entry| {
        let name = entry.expect("an entry").file_name().into_string().ok()?;
        name.strip_prefix("checkpoint-")?.parse::<usize>().ok()
    });
    let mut steps: Vec<usize> = steps.collect();
    steps.sort_unstable();
    steps
}

fn remove_last_checkpoint(scratch: &Path) {
    if let [.., _, last] = checkpoints(scratch)[..] {
        std::fs::remove_dir_all(scratch.join(format!("checkpoint-{last}"))).expect("removed");
    }
}

#[test]
fn a_training_that_was_stopped_ends_with_the_same_bytes() {
    for options in [
        json!({"optimizer": "adamw", "keep_checkpoints": 2}),
        json!({"optimizer": "adafactor", "clip_norm": 0.5, "schedule": "linear", "warmup_steps": 2}),
        json!({"method": "ia3", "shuffle": false}),
        json!({"method": "lora", "lora_dropout": 0.2, "steps": 7}),
        json!({"objective": "prefix_lm", "gradient_checkpointing": true, "max_tokens": 4}),
    ] {
        check_stops(&options, false);
    }
    check_stops(&json!({"keep": "best", "keep_checkpoints": 3}), true);
    check_stops(&json!({"keep": "best", "steps": 8, "validate_every": 3}), true);
}

#[test]
fn a_stop_while_validating_costs_no_step() {
    let trainer = trainer(&json!({
        "epochs": 3, "gradient_accumulation": 4, "keep": "best", "learning_rate": 0.01,
    }));
    let (examples, others) = (examples(8, 0), self::examples(6, 1));
    let (whole, stopped) = (Folders::new(), Folders::new());
    let report = whole.train(&trainer, &context(1), &examples, Some(&others)).expect("trained");
    for tries in 0..3 {
        // What was stopped is done first; the next one is stopped again.
        let user = User { lets_pass: usize::from(tries > 0), ..User::patient() };
        let error = stopped.train(&trainer, &user.context(2), &examples, Some(&others));
        assert_eq!(error.expect_err("stopped").kind(), ErrorKind::Cancelled);
        assert_eq!(user.steps(), [2 * tries + 1, 2 * tries + 2]);
    }
    let user = User::patient();
    let found = stopped.train(&trainer, &user.context(1), &examples, Some(&others));
    assert_eq!((found.expect("trained"), user.steps()), (report, Vec::new()));
    assert!(stopped.result() == whole.result(), "another model after stops");
    let text = std::fs::read_to_string(stopped.path("logs/training.jsonl")).expect("a log");
    assert_eq!(text.matches("validation_loss").count(), 3, "{text}");
}

#[test]
fn a_checkpoint_that_the_disk_refuses_costs_a_warning() {
    let (folders, examples) = (Folders::new(), examples(6, 0));
    // A name that no folder can take.
    let obstacle = folders.path("scratch/checkpoint-2");
    let meddles = || drop(std::os::unix::fs::symlink("nowhere", &obstacle));
    let user = User { meddles: &meddles, ..User::patient() };
    let trainer = trainer(&json!({
        "steps": 4, "checkpoint_every": 1, "keep_checkpoints": 9, "gradient_accumulation": 2,
    }));
    folders.train(&trainer, &user.context(1), &examples, None).expect("trained");
    let warnings = user.warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("without the checkpoint of step 2"));
    assert_eq!(checkpoints(&folders.path("scratch")), [1, 2, 3, 4]);
    assert!(!folders.path("scratch/writing").exists());
}

#[test]
fn only_what_the_disk_refuses_is_gone_on_without() {
    let user = User::patient();
    let go_on = |kind| go_on_without(&user.context(1), "a line", Err(Error::new(kind, "full")));
    go_on(ErrorKind::Io).expect("gone on");
    assert_eq!(user.warnings(), ["the training goes on without a line: full"]);
    assert_eq!(go_on(ErrorKind::Model).expect_err("no number").kind(), ErrorKind::Model);
}

#[test]
fn a_failure_costs_no_step() {
    let (whole, folders) = (Folders::new(), Folders::new());
    let options = json!({"steps": 6, "shuffle": false, "gradient_accumulation": 1});
    let (trainer, examples) = (trainer(&options), examples(6, 0));
    whole.train(&trainer, &context(1), &examples, None).expect("trained");
    let mut faulty = examples.clone();
    faulty[3].target = None;
    let error = folders.train(&trainer, &context(1), &faulty, None).expect_err("no target");
    assert_eq!((error.kind(), error.context("step")), (ErrorKind::Data, Some("4")));
    // The result cannot be written where a folder is in its place.
    let obstacle = folders.path("out/model.safetensors");
    let meddles = || drop(std::fs::create_dir(&obstacle));
    let user = User { meddles: &meddles, ..User::patient() };
    let error = folders.train(&trainer, &user.context(1), &examples, None).expect_err("in the way");
    assert_eq!((error.kind(), user.steps()), (ErrorKind::Io, vec![4, 5, 6]));
    let user = User::patient();
    folders.train(&trainer, &user.context(1), &examples, None).expect("trained");
    assert_eq!(user.steps(), [0_u64; 0]);
    assert!(folders.result() == whole.result(), "another model after failures");
}

#[test]
fn a_training_that_goes_on_on_another_device_says_so() {
    let options = json!({"steps": 6, "shuffle": false, "gradient_accumulation": 1});
    let (trainer, examples) = (trainer(&options), examples(6, 0));
    let mut faulty = examples.clone();
    faulty[3].target = None;
    for (device, wanted) in [("cpu", 0), ("cuda", 1)] {
        let folders = Folders::new();
        folders.train(&trainer, &context(1), &faulty, None).expect_err("no target");
        let path = folders.path("scratch/checkpoint-3/state.json");
        let text = std::fs::read_to_string(&path).expect("a state");
        assert!(text.contains("\"cpu\""), "{text}");
        let text = text.replace("\"cpu\"", &format!("\"{device}\""));
        std::fs::write(&path, text).expect("written");
        let user = User::patient();
        folders.train(&trainer, &user.context(1), &examples, None).expect("trained");
        let (steps, warnings) = (user.steps(), user.warnings());
        assert_eq!((steps, warnings.len()), (vec![4, 5, 6], wanted), "{warnings:?}");
        let says_so = |line: &String| line.starts_with("steps 1 to 3 were computed on the GPU");
        assert!(warnings.iter().all(says_so), "{warnings:?}");
    }
}

#[test]
fn parameters_that_are_no_numbers_are_neither_written_nor_kept() {
    // In f32 the rate is infinite.
    let options = json!({"steps": 1, "learning_rate": 1e39, "schedule": "constant"});
    for (steps, checkpoint_every) in [(1, 500), (2, 1)] {
        let mut all = options.clone();
        (all["steps"], all["checkpoint_every"]) = (json!(steps), json!(checkpoint_every));
        let folders = Folders::new();
        let error = folders.train(&trainer(&all), &context(1), &examples(3, 0), None);
        let error = error.expect_err("no numbers");
        assert_eq!((error.kind(), error.context("step")), (ErrorKind::Model, Some("1")));
        assert!(error.message().ends_with("has values that are no numbers"), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("learning_rate")));
        assert!(folders.result().is_empty() && checkpoints(&folders.path("scratch")).is_empty());
    }
}

#[test]
fn a_warm_up_longer_than_the_training_is_warned_of() {
    let trainer = trainer(&json!({"steps": 2, "schedule": "linear", "warmup_steps": 9}));
    let user = User::patient();
    Folders::new().train(&trainer, &user.context(1), &examples(3, 0), None).expect("trained");
    let warnings = user.warnings();
    assert!(warnings.len() == 1 && warnings[0].starts_with("`warmup_steps` is 9"), "{warnings:?}");
}
