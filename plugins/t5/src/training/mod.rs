//! Training: the loop over optimizer steps, and what is watched, kept and left behind on the way.

mod checkpoint;
mod learner;
mod log;
#[cfg(test)]
mod memorise;
mod micro_batch;
mod objective;
mod optimizer;
mod order;
mod pace;
pub(crate) mod parameters;
mod schedule;
mod state;
mod tensorboard;
#[cfg(test)]
mod tests;
mod validation;

use std::path::Path;

use deft_core::{
    Context, Error, ErrorKind, Examples, Result, ResultExt, TrainReport, Training, ValidationReport,
};

use crate::adapter::{AdapterSpec, SavedAdapter};
use crate::config::{Keep, TrainerConfig};
use crate::model::{Model, write_tensors};
use crate::parallel::Workers;
use crate::weights::Safetensors;

use self::checkpoint::Checkpoints;
use self::learner::{Learner, Stepped};
use self::log::TrainingLog;
use self::order::Order;
use self::pace::Pace;
use self::schedule::Schedule;
use self::state::State;

#[cfg(test)]
pub(crate) use self::optimizer::Optimizer;

/// The weights of the best epoch so far, in the scratch folder.
const BEST: &str = "best.safetensors";

/// Trains the model and writes its folder.
pub(crate) fn train(
    ctx: &Context<'_>,
    config: &TrainerConfig,
    model: &Model,
    training: &Training<'_>,
) -> Result<TrainReport> {
    check(config, training)?;
    let workers = Workers::new(ctx.threads())?;
    let learner = Learner::new(ctx, config, model, &workers)?;
    let mut run = Run::new(ctx, config, model, training, learner)?;
    run.train()?;
    run.write(training.folders.out)?;
    Ok(run.state.report())
}

/// What can be refused before the model is read.
fn check(config: &TrainerConfig, training: &Training<'_>) -> Result<()> {
    if training.examples.is_empty() {
        return Err(Error::new(ErrorKind::Data, "there is no example to train on"));
    }
    if config.keep == Keep::Best && training.validation.is_none_or(Examples::is_empty) {
        return Err(Error::option_at("keep", "the best epoch cannot be told without examples")
            .with_hint("give the task a `validation_source`"));
    }
    Ok(())
}

/// One training on its way.
struct Run<'a> {
    ctx: &'a Context<'a>,
    config: &'a TrainerConfig,
    model: &'a Model,
    training: &'a Training<'a>,
    learner: Learner<'a>,
    state: State,
    order: Order,
    schedule: Schedule,
    checkpoints: Checkpoints<'a>,
    log: TrainingLog,
    pace: Pace,
}

impl<'a> Run<'a> {
    /// A training at its beginning, or where it was stopped.
    fn new(
        ctx: &'a Context<'a>,
        config: &'a TrainerConfig,
        model: &'a Model,
        training: &'a Training<'a>,
        mut learner: Learner<'a>,
    ) -> Result<Self> {
        let folders = training.folders;
        let checkpoints = Checkpoints::new(config, folders.scratch);
        let state = checkpoints.restore(&mut learner)?.unwrap_or_default();
        let order = Order::new(config, training.examples.len(), ctx.seed());
        let step = state.counts.step;
        if step > 0 {
            ctx.info(&format!("goes on after step {step} of {}", order.total_steps()));
        }
        Ok(Self {
            schedule: Schedule::new(config, order.total_steps()),
            log: TrainingLog::open(folders.logs, step)?,
            pace: Pace::new(state.counts.tokens),
            ctx,
            config,
            model,
            training,
            learner,
            state,
            order,
            checkpoints,
        })
    }

    fn train(&mut self) -> Result<()> {
        let (total, done) = (self.order.total_steps(), self.state.counts.step);
        let order = self.order.clone();
        for group in order.groups().skip(done) {
            let step = self.state.counts.step + 1;
            let rate = self.schedule.rate(step);
            let is_told = self.config.log_every > 0 && step.is_multiple_of(self.config.log_every);
            let examples = self.training.examples;
            let stepped = self
                .learner
                .step(&mut self.state.counts, &group, examples, rate, is_told)
                .map_err(|error| self.stopped(error).with_context("step", step))?;
            self.state.epoch.push(stepped.loss);
            self.ctx.progress(step, total, "steps");
            if is_told {
                self.tell(stepped, rate)?;
            }
            if group.ends_epoch || step == total {
                self.end_epoch()?;
            }
            if step < total && self.checkpoints.is_due(step) {
                self.checkpoints.save(&self.state, &self.learner)?;
            }
        }
        Ok(())
    }

    /// A training that the user stops leaves a checkpoint, if that is a matter of a moment.
    ///
    /// A step that failed has changed neither parameters nor counts; its sums go with the learner.
    fn stopped(&mut self, error: Error) -> Error {
        let is_cancelled = error.kind() == ErrorKind::Cancelled;
        let has_steps = self.state.counts.step > 0;
        if is_cancelled
            && has_steps
            && self.checkpoints.is_fast(&self.learner)
            && let Err(error) = self.checkpoints.save(&self.state, &self.learner)
        {
            self.ctx.warn(&format!("no checkpoint could be left: {error}"));
        }
        error
    }

    /// A line of the log, and numbers of the step for the logs that programs read.
    fn tell(&mut self, stepped: Stepped, rate: f64) -> Result<()> {
        let (step, tokens) = (self.state.counts.step, self.state.counts.tokens);
        let (loss, gradient_norm) = (stepped.loss, stepped.gradient_norm.unwrap_or(f64::NAN));
        let per_second = self.pace.tokens_per_second(tokens);
        let memory = pace::memory_megabytes();
        let memory_text = memory.map_or(String::new(), |mb| format!(", {mb:.0} MB"));
        self.ctx.info(&format!(
            "step {step}: loss {loss:.4}, learning rate {rate:.3e}, gradient {gradient_norm:.3e}, \
             {per_second:.0} tokens/s{memory_text}"
        ));
        let mut scalars = vec![
            ("loss", loss),
            ("learning_rate", rate),
            ("gradient_norm", gradient_norm),
            ("tokens", tokens as f64),
            ("tokens_per_second", per_second),
        ];
        scalars.extend(memory.map(|mb| ("memory_mb", mb)));
        self.log.write(step, &scalars)
    }

    /// Closes an epoch: its mean loss, and a look at the validation examples.
    fn end_epoch(&mut self) -> Result<()> {
        self.state.end_epoch();
        let Some(examples) = self.training.validation.filter(|examples| !examples.is_empty())
        else {
            return Ok(());
        };
        let step = self.state.counts.step;
        let (ctx, config, model) = (self.ctx, self.config, self.model);
        let report = validation::validate(ctx, config, model, &self.learner, examples, step)?;
        let ValidationReport { loss, accuracy, .. } = report;
        let accuracy_text = accuracy.map_or(String::new(), |a| format!(", accuracy {a:.4}"));
        ctx.info(&format!("step {step}: validation loss {loss:.4}{accuracy_text}"));
        let mut scalars = vec![("validation_loss", loss)];
        scalars.extend(accuracy.map(|accuracy| ("validation_accuracy", accuracy)));
        self.log.write(step, &scalars)?;
        self.state.validation.push(report);
        if config.keep == Keep::Best
            && self.state.best.is_none_or(|best| loss < best.loss || best.loss.is_nan())
        {
            self.state.best = Some(report);
            let beside = self.training.folders.scratch.join("best.part");
            let path = self.training.folders.scratch.join(BEST);
            write_tensors(&self.learner.parameters.values(), &beside)?;
            std::fs::rename(&beside, &path).or_io("cannot keep the best epoch", &path)?;
        }
        Ok(())
    }

    /// Writes what was trained: a model's folder, or an adapter's; or both in one, where the adapter
    /// is on weights that no folder has.
    fn write(&self, out: &Path) -> Result<()> {
        if self.config.keep == Keep::Best {
            let file = Safetensors::open(&self.training.folders.scratch.join(BEST))?;
            self.learner.parameters.set(|name| file.get_f32(name))?;
        }
        let tensors = self.learner.parameters.values();
        match (AdapterSpec::of(self.config), self.model.base_name()) {
            (None, _) => self.model.write(&tensors, self.config.max_tokens, out),
            (Some(spec), Some(base)) => {
                SavedAdapter { spec, tensors, base }.write(out)?;
                self.model.write_tokenizer(out)
            }
            (Some(spec), None) => {
                let mut weights = self.learner.parameters.frozen().clone();
                spec.merge(&tensors, &mut weights)?;
                self.model.write(&weights, self.config.max_tokens, out)
            }
        }
    }
}
