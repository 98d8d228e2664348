//! A model in training: optimizer steps, and what they change.

use std::cmp::Reverse;

use deft_core::{Context, Error, ErrorKind, Examples, Result};

use crate::adapter::AdapterSpec;
use crate::config::{Objective, TrainerConfig};
use crate::device::Placement;
use crate::model::{Model, WHOLE, defect};
use crate::network::kernels::Limits;
use crate::network::projection::Adapting;
use crate::network::{Pass, T5, Tensors};
use crate::predict::Budget;
use crate::threads::Threads;

use super::micro_batch::{Maker, MicroBatch};
use super::objective;
use super::optimizer::Optimizer;
use super::order::Group;
use super::parameters::Parameters;
use super::state::Counts;
use super::sums::Sums;

/// The parameters, their optimizer, and how they are trained; [`Counts`] tell how far.
pub(crate) struct Learner<'a> {
    ctx: &'a Context<'a>,
    config: &'a TrainerConfig,
    model: &'a Model,
    threads: &'a Threads,
    placement: &'a Placement,
    /// Its parameters are variables, for gradients.
    network: T5,
    /// The same values without a graph, for computing alone: they follow each step.
    plain: T5,
    pub(super) parameters: Parameters,
    pub(super) sums: Sums,
    optimizer: Optimizer,
    sentinels: Vec<u32>,
    dropout: f32,
    /// Whether an update has failed half-way.
    is_torn: bool,
}

/// What one step came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stepped {
    pub(crate) loss: f64,
    /// The gradient's length before it was limited, where it was asked for, needed, or the first.
    pub(crate) gradient_norm: Option<f64>,
}

/// Added to a gradient's length before it is divided by, as in `PyTorch`.
const NORM_EPSILON: f64 = 1e-6;

impl<'a> Learner<'a> {
    pub(crate) fn new(
        ctx: &'a Context<'a>,
        config: &'a TrainerConfig,
        model: &'a Model,
        threads: &'a Threads,
        placement: &'a Placement,
    ) -> Result<Self> {
        let adapter = AdapterSpec::of(config);
        let weights = model.tensors(ctx, &WHOLE)?;
        let (parameters, adapting) = match &adapter {
            None => (Parameters::new(weights, Tensors::new(), placement)?, Adapting::default()),
            Some(spec) => {
                let new = spec.new_tensors(model.config(), ctx.seed())?;
                (Parameters::new(new, weights, placement)?, spec.adapting())
            }
        };
        let network =
            |tensors| T5::adapted(model.config(), &tensors, adapting).map_err(|e| defect(&e));
        let optimizer = Optimizer::new(config);
        Ok(Self {
            ctx,
            config,
            model,
            threads,
            placement,
            network: network(parameters.tensors())?,
            plain: network(parameters.detached())?,
            sums: parameters.sums(&optimizer)?,
            parameters,
            optimizer,
            sentinels: sentinels(config, model)?,
            dropout: config.dropout.unwrap_or(model.config().dropout),
            is_torn: false,
        })
    }

    /// The network as it is at present, for computing alone.
    pub(crate) fn plain(&self) -> &T5 {
        &self.plain
    }

    /// What predictions may take beside the training.
    pub(crate) fn budget(&self) -> Budget {
        Budget::of(self.placement, self.model.config(), self.config.max_tokens)
    }

    /// The threads that it works with.
    pub(crate) fn threads(&self) -> &Threads {
        self.threads
    }

    /// What is not trained, in f32 in main memory.
    pub(crate) fn frozen(&self) -> Result<Tensors> {
        if self.placement.is_host() {
            return Ok(self.parameters.frozen().clone());
        }
        // The network's own may be rounded.
        self.model.tensors(self.ctx, &WHOLE)
    }

    /// Whether an update has failed half-way: the parameters are those of no step then.
    pub(crate) fn is_torn(&self) -> bool {
        self.is_torn
    }

    /// How examples become ids.
    pub(crate) fn maker(&self) -> Maker<'_> {
        let (tokens, sentinels) = (self.model.tokens(), &self.sentinels);
        Maker { tokens, config: self.config, sentinels, seed: self.ctx.seed() }
    }

    /// One optimizer step on a group of examples at a learning rate; tells the gradient's length if
    /// `measures`, which is a pass over memory.
    ///
    /// A step that fails has changed neither parameters nor counts, unless a device fails in the
    /// update itself ([`Self::is_torn`]).
    pub(crate) fn step(
        &mut self,
        counts: &mut Counts,
        group: &Group,
        examples: &dyn Examples,
        rate: f64,
        measures: bool,
    ) -> Result<Stepped> {
        let numbered = self.micro_batches(counts, group, examples)?;
        let loss = self.add_gradients(&numbered)?;
        // A network that cannot be trained shows itself in the first step.
        let measures = measures || self.config.clip_norm.is_some() || counts.step == 0;
        let norm = || self.parameters.gradient_norm(&self.sums, self.threads.computing());
        let gradient_norm = measures.then(norm).transpose()?;
        let limits = limits(self.config, gradient_norm);
        let update = self.optimizer.update(counts.step + 1, rate, limits);
        // The last look before the update, which is done as a whole.
        self.ctx.check()?;
        self.is_torn = true;
        self.parameters.update(&mut self.sums, &update, self.threads.computing())?;
        self.is_torn = false;
        counts.add(numbered.iter().map(|(_, batch)| batch));
        Ok(Stepped { loss, gradient_norm })
    }

    /// Refuses parameters that are no numbers any more.
    pub(crate) fn check_values(&self) -> Result<()> {
        self.parameters.check_values()
    }

    /// Sums up the gradients of micro-batches in the order given, the largest first, at any number of
    /// threads; returns the loss.
    fn add_gradients(&mut self, numbered: &[(u64, MicroBatch)]) -> Result<f64> {
        let mut sums = std::mem::take(&mut self.sums);
        let mut loss = 0.0;
        let plain = self.config.gradient_checkpointing.then_some(&self.plain);
        let outcome = self.threads.computing().run(
            numbered.len(),
            |task| {
                self.ctx.check()?;
                let (number, batch) = &numbered[task];
                let (loss, gradients) =
                    batch.gradients(&self.network, plain, self.pass(*number), numbered.len())?;
                Ok((loss, self.parameters.contribution(gradients)?))
            },
            |_, (share, contribution)| {
                loss += share / numbered.len() as f64;
                sums.add(&self.parameters, contribution)
            },
        );
        self.sums = sums;
        outcome?;
        self.ctx.check()?;
        self.sums.add_head(&self.parameters, self.threads.computing())?;
        Ok(loss)
    }

    fn pass(&self, micro_batch: u64) -> Pass<'_> {
        let pass = Pass::training(self.dropout, self.ctx.seed(), micro_batch);
        if self.parameters.trains_embeddings() { pass } else { pass.with_frozen_embeddings() }
    }

    /// The micro-batches of a step, the largest first, each with its number among all of the
    /// training, which its dropout masks are drawn by.
    ///
    /// Gradients are added in the order of the tasks: threads that work on tasks of about the same
    /// size seldom wait for each other. The order depends on the examples alone.
    fn micro_batches(
        &self,
        counts: &Counts,
        group: &Group,
        examples: &dyn Examples,
    ) -> Result<Vec<(u64, MicroBatch)>> {
        let all = examples.get(&group.positions)?;
        let size = self.config.batch_size;
        let some: Vec<_> = all.chunks(size).zip(group.positions.chunks(size)).collect();
        let (maker, mut numbered) = (self.maker(), Vec::with_capacity(some.len()));
        let tokenise = |task: usize| {
            self.ctx.check()?;
            maker.make(some[task].0, some[task].1, group.epoch)
        };
        self.threads.all().run(some.len(), tokenise, |task, batch| {
            numbered.push((counts.micro_batches + task as u64, batch));
            Ok(())
        })?;
        numbered.sort_by_key(|(_, batch)| Reverse(batch.cost(self.network.config())));
        Ok(numbered)
    }
}

/// How a gradient of this length is limited.
#[expect(clippy::cast_possible_truncation, reason = "gradients are f32")]
pub(super) fn limits(config: &TrainerConfig, norm: Option<f64>) -> Limits {
    let scale = match (config.clip_norm, norm) {
        (Some(limit), Some(norm)) => (limit / (norm + NORM_EPSILON)).min(1.0),
        _ => 1.0,
    };
    let clip = config.clip_value.map_or(f32::INFINITY, |clip| clip as f32);
    Limits { scale: scale as f32, clip }
}

/// The tokenizer's sentinels, where the objective needs them.
fn sentinels(config: &TrainerConfig, model: &Model) -> Result<Vec<u32>> {
    if config.objective != Objective::SpanCorruption {
        return Ok(Vec::new());
    }
    let found = objective::sentinels(|token| model.tokens().id(token));
    if found.is_empty() {
        return Err(Error::new(
            ErrorKind::Model,
            "the tokenizer has no sentinels, `<extra_id_0>` …",
        )
        .with_hint("spans can be hidden with a tokenizer of T5 alone; try `prefix_lm`"));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Weights;
    use crate::testing::{context, model_dir};
    use crate::training::optimizer::Moments;
    use candle_core::{DType, Device, Tensor, Var};
    use deft_core::Example;
    use serde_json::json;

    /// Tries a step of a tiny model in training after a change to it.
    fn try_step(change: impl FnOnce(&mut Learner<'_>)) -> (Result<Stepped>, bool) {
        let dir = model_dir(&json!({}));
        let weights = Weights::Random(1);
        let model = Model::open_dir(&context(1), dir.path(), None, weights).expect("a model");
        let options = json!({"model": dir.path()});
        let config: TrainerConfig = deft_core::options::parse(&options).expect("options");
        let (ctx, host) = (context(1), Placement::host());
        let threads = Threads::new(1, &host).expect("threads");
        let mut learner = Learner::new(&ctx, &config, &model, &threads, &host).expect("a learner");
        change(&mut learner);
        let example = Example { target: Some("w3".to_owned()), ..Example::default() };
        let group = Group { positions: vec![0], epoch: 0 };
        let stepped = learner.step(&mut Counts::default(), &group, &vec![example], 1e-3, false);
        (stepped, learner.is_torn())
    }

    #[test]
    fn a_parameter_without_gradient_is_named() {
        let (stepped, is_torn) = try_step(|learner| {
            let idle = Var::zeros(1, DType::F32, &Device::Cpu).expect("a variable");
            learner.parameters.push("idle.weight", idle);
            learner.sums = learner.parameters.sums(&learner.optimizer).expect("sums");
        });
        let error = stepped.expect_err("no gradient");
        assert!(error.message().contains("`idle.weight`"), "{error}");
        assert!(!is_torn);
    }

    #[test]
    fn an_update_that_fails_tears_the_parameters() {
        let (stepped, is_torn) = try_step(|learner| {
            let square = Tensor::zeros(1, DType::F32, &Device::Cpu).expect("a tensor");
            let last = learner.sums.slots.last_mut().expect("a parameter");
            // Another optimizer's.
            last.moments = Moments::Unfactored { square };
        });
        assert_eq!(stepped.expect_err("failed").kind(), ErrorKind::Unexpected);
        assert!(is_torn);
    }
}
