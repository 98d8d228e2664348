//! One training, from its beginning or from where it was stopped, to the model's folder.

use std::path::Path;

use candle_core::{Device, Tensor};
use deft_core::{Context, ErrorKind, Result, TrainReport, Training, ValidationReport};

use crate::adapter::{AdapterSpec, SavedAdapter};
use crate::config::{Keep, TrainerConfig};
use crate::model::{Model, defect};
use crate::network::Tensors;

use super::best;
use super::checkpoint::Checkpoints;
use super::learner::{Learner, Stepped};
use super::log::{Place, TrainingLog, VALIDATION_LOSS};
use super::order::{Group, Order};
use super::pace::{self, Pace};
use super::schedule::Schedule;
use super::state::{Processor, State};
use super::validation::Validation;

/// One training on its way.
pub(super) struct Run<'a> {
    ctx: &'a Context<'a>,
    config: &'a TrainerConfig,
    model: &'a Model,
    training: &'a Training<'a>,
    learner: Learner<'a>,
    state: State,
    order: Order,
    schedule: Schedule,
    checkpoints: Checkpoints<'a>,
    validation: Option<Validation<'a>>,
    log: TrainingLog,
    pace: Pace,
}

impl<'a> Run<'a> {
    /// A training at its beginning, or where it was stopped.
    pub(super) fn new(
        ctx: &'a Context<'a>,
        config: &'a TrainerConfig,
        model: &'a Model,
        training: &'a Training<'a>,
        mut learner: Learner<'a>,
    ) -> Result<Self> {
        let folders = training.folders;
        let checkpoints = Checkpoints::new(config, folders.scratch);
        let mut state = checkpoints.restore(&mut learner)?.unwrap_or_default();
        let step = state.counts.step;
        let order = Order::new(config, training.examples.len(), ctx.seed());
        let schedule = Schedule::new(config, order.total_steps());
        let moved = state.go_on_with(Processor::of(learner.plain().device()));
        // Of a training that has only to be written nothing is computed.
        let moved = moved.filter(|_| step < order.total_steps());
        for warning in schedule.warning().into_iter().chain(moved) {
            ctx.warn(&warning);
        }
        if step > 0 {
            ctx.info(&format!("goes on after step {step} of {}", order.total_steps()));
        }
        Ok(Self {
            schedule,
            log: TrainingLog::open(folders.logs, Place { step, validated: state.validated() })?,
            validation: Validation::new(ctx, config, model, training.validation),
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

    /// Trains what is left and writes the model's folder.
    pub(super) fn finish(mut self) -> Result<TrainReport> {
        let trained = self.train();
        // What a failed step has begun goes with the learner. Numbers that are none must not be gone
        // on with; whatever else ends a training, or comes while the model is written, costs no step.
        // Nor must parameters whose update failed half-way.
        let is_sound = trained.as_ref().err().is_none_or(|error| error.kind() != ErrorKind::Model);
        if is_sound && !self.learner.is_torn() {
            self.leave_checkpoint();
        }
        trained?;
        self.write(self.training.folders.out)?;
        Ok(self.state.report())
    }

    fn train(&mut self) -> Result<()> {
        // It may have been stopped while it was validated.
        self.validate()?;
        let order = self.order.clone();
        for group in order.groups().skip(self.state.counts.step) {
            self.step(&group)?;
            let step = self.state.counts.step;
            // Before the validation, which may take longer than the steps between two checkpoints.
            if step < order.total_steps() && self.checkpoints.is_due(step) {
                self.checkpoint()?;
            }
            self.validate()?;
        }
        self.check_values()
    }

    fn step(&mut self, group: &Group) -> Result<()> {
        let (step, total) = (self.state.counts.step + 1, self.order.total_steps());
        let (rate, every) = (self.schedule.rate(step), self.config.log_every);
        let is_told = every > 0 && (step == 1 || step == total || step.is_multiple_of(every));
        let (counts, examples) = (&mut self.state.counts, self.training.examples);
        let stepped = self.learner.step(counts, group, examples, rate, is_told);
        let stepped = stepped.map_err(|error| error.with_context("step", step))?;
        self.state.add(stepped.loss);
        if self.order.ends_epoch(step) {
            self.state.end_epoch();
        }
        self.ctx.progress(step, total, "steps");
        if is_told { self.tell(stepped, rate) } else { Ok(()) }
    }

    /// Refuses to go on with parameters that are no numbers.
    fn check_values(&self) -> Result<()> {
        let checked = self.learner.check_values();
        checked.map_err(|error| error.with_context("step", self.state.counts.step))
    }

    fn checkpoint(&mut self) -> Result<()> {
        self.check_values()?;
        let saved = self.checkpoints.save(&self.state, &self.learner);
        go_on_without(
            self.ctx,
            &format!("the checkpoint of step {}", self.state.counts.step),
            saved,
        )
    }

    /// Makes a checkpoint at the end of a training, whatever ended it, if that is a matter of a
    /// moment.
    fn leave_checkpoint(&mut self) {
        if self.state.counts.step > 0
            && self.checkpoints.is_fast(&self.learner)
            && let Err(error) = self.checkpoint()
        {
            self.ctx.warn(&format!("no checkpoint could be left: {error}"));
        }
    }

    /// A line of the log, and numbers of the step for the logs that programs read.
    fn tell(&mut self, stepped: Stepped, rate: f64) -> Result<()> {
        let (step, tokens) = (self.state.counts.step, self.state.counts.tokens);
        let (loss, norm) = (self.state.untold.take(), stepped.gradient_norm.unwrap_or(f64::NAN));
        let per_second = self.pace.tokens_per_second(tokens);
        let memory = pace::memory_megabytes();
        let memory_text = memory.map_or(String::new(), |mb| format!(", {mb:.0} MB"));
        self.ctx.info(&format!(
            "step {step}: mean loss {loss:.4}, learning rate {rate:.3e}, gradient {norm:.3e}, \
             {per_second:.0} tokens/s{memory_text}"
        ));
        let mut scalars = vec![
            ("mean_loss", loss),
            ("learning_rate", rate),
            ("gradient_norm", norm),
            ("tokens", tokens as f64),
            ("tokens_per_second", per_second),
        ];
        scalars.extend(memory.map(|mb| ("memory_mb", mb)));
        self.write_log(&scalars)
    }

    fn write_log(&mut self, scalars: &[(&str, f64)]) -> Result<()> {
        let step = self.state.counts.step;
        let written = self.log.write(step, scalars);
        go_on_without(self.ctx, &format!("the log of step {step}"), written)
    }

    /// Validates the model where that is due and was not done: a look at examples changes nothing
    /// but the report, so that one that was stopped can be had again.
    fn validate(&mut self) -> Result<()> {
        let step = self.state.counts.step;
        if !self.order.is_validated(step) || self.state.validated() == step {
            return Ok(());
        }
        let Some(validation) = &mut self.validation else { return Ok(()) };
        let report = validation.report(&self.learner, step)?;
        let ValidationReport { loss, accuracy, .. } = report;
        if self.config.keep == Keep::Best
            && self.state.best.is_none_or(|best| loss < best.loss || best.loss.is_nan())
        {
            self.check_values()?;
            best::keep(&self.learner.parameters, self.training.folders.scratch)?;
            self.state.best = Some(report);
        }
        self.state.validation.push(report);
        let accuracy_text = accuracy.map_or(String::new(), |a| format!(", accuracy {a:.4}"));
        self.ctx.info(&format!("step {step}: validation loss {loss:.4}{accuracy_text}"));
        let mut scalars = vec![(VALIDATION_LOSS, loss)];
        scalars.extend(accuracy.map(|accuracy| ("validation_accuracy", accuracy)));
        self.write_log(&scalars)
    }

    /// Writes what was trained: a model's folder, or an adapter's; or both in one, where the adapter
    /// is on weights that no folder has.
    fn write(&self, out: &Path) -> Result<()> {
        if self.config.keep == Keep::Best {
            best::restore(&self.learner.parameters, self.training.folders.scratch)?;
        }
        let tensors = self.learner.parameters.values();
        match (AdapterSpec::of(self.config), self.model.base_name()) {
            (None, _) => self.model.write(&tensors, self.config.max_tokens, out),
            (Some(spec), Some(base)) => {
                SavedAdapter { spec, tensors, base }.write(out)?;
                self.model.write_tokenizer(out)
            }
            (Some(spec), None) => {
                let mut weights = self.learner.frozen()?;
                spec.merge(&on_host(&tensors)?, &mut weights)?;
                self.model.write(&weights, self.config.max_tokens, out)
            }
        }
    }
}

/// The tensors in main memory: an adapter's are small.
fn on_host(tensors: &Tensors) -> Result<Tensors> {
    let on_host = |(name, tensor): (&String, &Tensor)| -> Result<(String, Tensor)> {
        let tensor = tensor.to_device(&Device::Cpu).map_err(|e| defect(&e))?;
        Ok((name.clone(), tensor))
    };
    tensors.iter().map(on_host).collect()
}

/// Goes on where the disk refuses a file that no result depends on: a training is worth more.
pub(super) fn go_on_without(ctx: &Context<'_>, what: &str, written: Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::Io => {
            ctx.warn(&format!("the training goes on without {what}: {error}"));
            Ok(())
        }
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Placement;
    use crate::model::Weights;
    use crate::testing::{context, model_dir};
    use crate::threads::Threads;
    use crate::training::optimizer::Moments;
    use crate::training::tests::{Folders, examples};
    use candle_core::DType;
    use serde_json::json;

    #[test]
    fn a_torn_update_leaves_no_checkpoint() {
        let (dir, weights) = (model_dir(&json!({})), Weights::Random(1));
        let model = Model::open_dir(&context(1), dir.path(), None, weights).expect("a model");
        let options = json!({"model": dir.path(), "steps": 3, "optimizer": "adamw"});
        let config: TrainerConfig = deft_core::options::parse(&options).expect("options");
        let (ctx, host, folders) = (context(1), Placement::host(), Folders::new());
        let threads = Threads::new(1, &host).expect("threads");
        let trained = folders.run(&examples(6, 0), None, |training| {
            let learner = Learner::new(&ctx, &config, &model, &threads, &host)?;
            let mut run = Run::new(&ctx, &config, &model, training, learner)?;
            let first = run.order.groups().next().expect("a step");
            run.step(&first)?;
            let square = Tensor::zeros(1, DType::F32, &Device::Cpu).expect("a tensor");
            let last = run.learner.sums.slots.last_mut().expect("a parameter");
            // Another optimizer's: the second step changes all parameters but this one.
            last.moments = Moments::Unfactored { square };
            run.finish()
        });
        let error = trained.expect_err("torn");
        assert_eq!((error.kind(), error.context("step")), (ErrorKind::Unexpected, Some("2")));
        let left = std::fs::read_dir(folders.path("scratch")).expect("a folder").count();
        assert_eq!(left, 0);
    }
}
