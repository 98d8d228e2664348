//! Trainer `faulty`: words vote for hashed answers; one step an example, one thread.

use std::path::Path;
use std::sync::Arc;

use deft_core::prelude::*;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use crate::config::{Calls, Config, EVER};
use crate::words::{place, words};

/// Places for words and for answers.
const WORDS: usize = 64;
const ANSWERS: usize = 8;
const EPOCHS: usize = 3;
const RATE: f32 = 0.2;
const WEIGHTS: &str = "model.safetensors";

#[derive(Debug)]
pub(crate) struct FaultyTrainer {
    config: Config,
    calls: Arc<Calls>,
}

impl Component for FaultyTrainer {
    type Config = Config;
    const NAME: &'static str = "faulty";
    const SUMMARY: &'static str = "words that vote for answers, with a fault";

    fn check(config: &Config) -> Result<()> {
        config.check()
    }

    fn new(_ctx: &Context<'_>, config: Config, _children: Children) -> Result<Self> {
        Ok(Self { config, calls: Arc::default() })
    }
}

impl Trainer for FaultyTrainer {
    fn call(&self, _ctx: &Context<'_>, name: &str, _json: &str) -> Result<String> {
        self.config.answer(name)
    }

    fn info(&self) -> TrainerInfo {
        let salt = if self.config.has("fingerprint") { EVER.count() } else { 0 };
        let parameters = ((WORDS + 1) * ANSWERS) as u64;
        TrainerInfo { fingerprint: format!("{salt}"), parameters, notes: Vec::new() }
    }

    fn train(&self, ctx: &Context<'_>, training: &Training<'_>) -> Result<TrainReport> {
        let (examples, folders) = (training.examples, training.folders);
        let has = |fault| self.config.has(fault);
        let mut model = Model::new();
        let mut report = TrainReport::default();
        // The faults of what must not matter: a first weight that differs.
        let calls = self.calls.count();
        model.words[0] += match self.config.fault.as_str() {
            "repeatable" | "interrupted" => calls as f32,
            "threads" => ctx.threads() as f32,
            "resumed" => resumed(folders.scratch)?,
            "watched" => training.validation.map_or(0.0, |examples| examples.len() as f32),
            _ => 0.0,
        };
        let seed = if has("seed") { 0 } else { ctx.seed() };
        for epoch in 0..EPOCHS {
            let mut loss = 0.0;
            for step in 0..examples.len() {
                self.config.look(ctx)?;
                // An odd number of places on, so that each example comes once an epoch.
                let at = (step + usize::try_from(seed % 1000).unwrap_or(0)) % examples.len();
                let example = examples.get(&[at])?.remove(0);
                let Some(target) = example.target else {
                    if has("no_target") {
                        continue;
                    }
                    return Err(Error::new(ErrorKind::Data, "the example has no target")
                        .with_context("position", at));
                };
                let rate = if has("loss_falls") { 0.0 } else { RATE };
                loss += f64::from(model.step(&example.input, &target, rate));
                if has("every_parameter") {
                    model.bias.fill(0.0);
                }
                report.steps += 1;
            }
            ctx.progress(epoch + 1, EPOCHS, "epochs");
            report.losses.push(loss / examples.len() as f64);
        }
        model.write(folders.out, !has("folder"))?;
        Ok(report)
    }

    fn open(&self, _ctx: &Context<'_>, dir: Option<&Path>) -> Result<Box<dyn Predictor>> {
        let has = |fault| self.config.has(fault);
        let model = match dir {
            None if has("untrained") => {
                return Err(Error::new(ErrorKind::Model, "there is nothing before training"));
            }
            None => Model::new(),
            Some(dir) if has("no_model") && !dir.join(WEIGHTS).exists() => Model::new(),
            // A fault: an instance that has not trained knows nothing.
            Some(_) if has("reopened") && self.calls.count() == 0 => Model::new(),
            Some(dir) => Model::read(dir)?,
        };
        Ok(Box::new(Voter { config: self.config.clone(), calls: Arc::default(), model }))
    }
}

/// A fault: what an earlier try left makes a difference.
fn resumed(scratch: &Path) -> Result<f32> {
    let left = scratch.join("left");
    let difference = if left.exists() { 1.0 } else { 0.0 };
    std::fs::write(&left, "").or_io("cannot write", &left)?;
    Ok(difference)
}

#[derive(Debug)]
struct Model {
    words: Vec<f32>,
    bias: Vec<f32>,
}

impl Model {
    fn new() -> Self {
        Self { words: vec![0.0; WORDS * ANSWERS], bias: vec![0.0; ANSWERS] }
    }

    /// The log-probability of every answer.
    fn log_probs(&self, input: &str) -> Vec<f32> {
        let mut votes = self.bias.clone();
        for word in words(input) {
            let row = &self.words[place(word, WORDS) * ANSWERS..][..ANSWERS];
            votes.iter_mut().zip(row).for_each(|(vote, weight)| *vote += weight);
        }
        let highest = votes.iter().copied().fold(f32::MIN, f32::max);
        let sum: f32 = votes.iter().map(|vote| (vote - highest).exp()).sum();
        votes.iter().map(|vote| vote - highest - sum.ln()).collect()
    }

    /// One step of gradient descent; returns the loss before it.
    fn step(&mut self, input: &str, target: &str, rate: f32) -> f32 {
        let (log_probs, right) = (self.log_probs(input), place(target, ANSWERS));
        for (answer, log_prob) in log_probs.iter().enumerate() {
            let wanted = if answer == right { 1.0 } else { 0.0 };
            let change = rate * (wanted - log_prob.exp());
            self.bias[answer] += change;
            for word in words(input) {
                self.words[place(word, WORDS) * ANSWERS + answer] += change;
            }
        }
        -log_probs[right]
    }

    fn write(&self, dir: &Path, with_tokenizer: bool) -> Result<()> {
        let bytes = |numbers: &[f32]| -> Vec<u8> {
            numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
        };
        let (words, bias) = (bytes(&self.words), bytes(&self.bias));
        let tensor = |shape, bytes| TensorView::new(Dtype::F32, shape, bytes);
        let tensors = tensor(vec![WORDS, ANSWERS], &words)
            .and_then(|words| Ok([("words", words), ("bias", tensor(vec![ANSWERS], &bias)?)]))
            .and_then(|tensors| safetensors::serialize(tensors, None))
            .or_error(ErrorKind::Unexpected, "the weights are no tensors")?;
        let mut files = vec![(WEIGHTS, tensors), ("config.json", b"{}".to_vec())];
        if with_tokenizer {
            files.push(("tokenizer.json", b"{}".to_vec()));
        }
        files.into_iter().try_for_each(|(name, content)| {
            std::fs::write(dir.join(name), content).or_io("cannot write the model", dir)
        })
    }

    fn read(dir: &Path) -> Result<Self> {
        let what = "the folder holds no such model";
        let bytes = std::fs::read(dir.join(WEIGHTS)).or_error(ErrorKind::Model, what)?;
        let tensors = SafeTensors::deserialize(&bytes).or_error(ErrorKind::Model, what)?;
        let numbers = |name: &str| -> Result<Vec<f32>> {
            let tensor = tensors.tensor(name).or_error(ErrorKind::Model, what)?;
            Ok(tensor.data().as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect())
        };
        Ok(Self { words: numbers("words")?, bias: numbers("bias")? })
    }
}

struct Voter {
    config: Config,
    calls: Arc<Calls>,
    model: Model,
}

impl Predictor for Voter {
    fn predict(
        &self,
        _ctx: &Context<'_>,
        examples: &[Example],
        kind: PredictionKind,
    ) -> Result<Vec<Prediction>> {
        let has = |fault| self.config.has(fault);
        if kind == PredictionKind::Text && !has("text") {
            return Err(Error::new(ErrorKind::Unsupported, "it scores options alone"));
        }
        let is_disturbed = has("concurrent") && self.calls.overlapped();
        let mut predictions = Vec::with_capacity(examples.len());
        for example in examples {
            if example.options.is_empty() && !has("no_options") {
                return Err(Error::new(ErrorKind::Data, "the example has no options"));
            }
            let all = self.model.log_probs(&example.input);
            let of = |option: &String| f64::from(all[place(option, ANSWERS)]);
            let mut log_probs: Vec<f64> = example.options.iter().map(of).collect();
            if is_disturbed || has("scores") {
                for log_prob in &mut log_probs {
                    *log_prob += 9.0;
                }
            }
            let tokens = vec![1; log_probs.len()];
            predictions.push(Prediction::OptionScores { log_probs, tokens });
        }
        if has("order") {
            predictions.sort_by_cached_key(|prediction| format!("{prediction:?}"));
        }
        Ok(predictions)
    }
}
