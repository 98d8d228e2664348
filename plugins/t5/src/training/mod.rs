//! The training loop: micro-batches in parallel, their gradients summed in an order of their own.

mod micro_batch;
mod optimizer;
mod order;
pub(crate) mod parameters;
mod schedule;

use std::cmp::Reverse;

use deft_core::{Context, Error, ErrorKind, Examples, Result, TrainReport};
use serde_json::json;

use crate::config::TrainerConfig;
use crate::model::{Model, WHOLE};
use crate::network::{Pass, T5, Tensors};
use crate::parallel::Workers;

use micro_batch::MicroBatch;
use optimizer::Adam;
use order::Order;
use parameters::{Parameters, Sums};
use schedule::Schedule;

/// Trains the model and returns its new weights.
pub(crate) fn train(
    ctx: &Context<'_>,
    config: &TrainerConfig,
    model: &Model,
    examples: &dyn Examples,
) -> Result<(Tensors, TrainReport)> {
    if examples.is_empty() {
        return Err(Error::new(ErrorKind::Data, "there is no example to train on"));
    }
    let workers = Workers::new(ctx.threads())?;
    let mut training = Training::new(ctx, config, model, &workers)?;
    let order = Order::new(config, examples.len(), ctx.seed());
    let schedule = Schedule::new(config, order.total_steps());
    let mut report = TrainReport::default();
    let mut epoch_losses = Vec::new();
    for (step, group) in order.groups().enumerate().map(|(n, group)| (n + 1, group)) {
        let rate = schedule.rate(step);
        let loss = training.step(step, &group.positions, examples, rate)?;
        epoch_losses.push(loss);
        ctx.progress(step, order.total_steps(), "steps");
        if config.log_every > 0 && step % config.log_every == 0 {
            ctx.info(&format!("step {step}: loss {loss:.4}, learning rate {rate:.3e}"));
        }
        if group.ends_epoch || step == order.total_steps() {
            report.losses.push(epoch_losses.iter().sum::<f64>() / epoch_losses.len() as f64);
            epoch_losses.clear();
        }
    }
    report.steps = order.total_steps() as u64;
    report.tokens = training.tokens;
    report.extra.insert("inputs_cut".to_owned(), json!(training.inputs_cut));
    report.extra.insert("targets_cut".to_owned(), json!(training.targets_cut));
    Ok((training.parameters.into_tensors(), report))
}

struct Training<'a> {
    ctx: &'a Context<'a>,
    config: &'a TrainerConfig,
    model: &'a Model,
    workers: &'a Workers,
    network: T5,
    parameters: Parameters,
    sums: Sums,
    adam: Adam,
    dropout: f32,
    /// Micro-batches so far: each has dropout masks of its own.
    micro_batches: u64,
    tokens: u64,
    inputs_cut: u64,
    targets_cut: u64,
}

impl<'a> Training<'a> {
    fn new(
        ctx: &'a Context<'a>,
        config: &'a TrainerConfig,
        model: &'a Model,
        workers: &'a Workers,
    ) -> Result<Self> {
        let parameters = Parameters::new(model.tensors(ctx, &WHOLE)?)?;
        Ok(Self {
            ctx,
            config,
            model,
            workers,
            network: model.network(&parameters.tensors())?,
            sums: parameters.sums(),
            parameters,
            adam: Adam::new(config),
            dropout: config.dropout.unwrap_or(model.config().dropout),
            micro_batches: 0,
            tokens: 0,
            inputs_cut: 0,
            targets_cut: 0,
        })
    }

    /// One optimizer step on the examples at these positions; returns their loss.
    fn step(
        &mut self,
        step: usize,
        positions: &[usize],
        examples: &dyn Examples,
        rate: f64,
    ) -> Result<f64> {
        let micro =
            self.micro_batches(positions, examples).map_err(|e| e.with_context("step", step))?;
        let mut sums = std::mem::take(&mut self.sums);
        let mut loss = 0.0;
        let outcome = self.workers.run(
            micro.len(),
            |task| {
                self.ctx.check()?;
                let (number, batch) = &micro[task];
                let pass = Pass::training(self.dropout, self.ctx.seed(), *number);
                batch
                    .gradients(&self.network, pass, micro.len())
                    .and_then(|(loss, all)| Ok((loss, self.parameters.contribution(all)?)))
                    .map_err(|e| e.with_context("step", step))
            },
            |_, (share, contribution)| {
                loss += share / micro.len() as f64;
                sums.add(&self.parameters, contribution)
            },
        );
        self.sums = sums;
        outcome?;
        self.sums.add_head(&self.parameters, self.workers)?;
        for (_, batch) in &micro {
            self.tokens += batch.tokens() as u64;
            self.inputs_cut += batch.inputs_cut;
            self.targets_cut += batch.targets_cut;
        }
        self.micro_batches += micro.len() as u64;
        if step == 1 {
            self.parameters.check_finite(&self.sums)?;
        }
        let update = self.adam.step(rate);
        self.parameters.update(&mut self.sums, &update, self.workers)?;
        Ok(loss)
    }

    /// The micro-batches of a step with their numbers, the largest first.
    ///
    /// Results are taken in the order of the tasks: threads that work on tasks of about the same
    /// size seldom wait for each other. The order depends on the examples alone.
    fn micro_batches(
        &self,
        positions: &[usize],
        examples: &dyn Examples,
    ) -> Result<Vec<(u64, MicroBatch)>> {
        let group = examples.get(positions)?;
        let size = self.config.batch_size;
        let some: Vec<_> = group.chunks(size).zip(positions.chunks(size)).collect();
        let mut batches = Vec::with_capacity(some.len());
        let tokenise = |task: usize| {
            let (examples, positions) = some[task];
            MicroBatch::new(self.model.tokens(), self.config, examples, positions)
        };
        self.workers.run(some.len(), tokenise, |task, batch| {
            batches.push((self.micro_batches + task as u64, batch));
            Ok(())
        })?;
        batches.sort_by_key(|(_, batch)| Reverse(batch.cost(self.network.config())));
        Ok(batches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{context, model_dir};
    use candle_core::{DType, Device, Var};
    use deft_core::Example;

    #[test]
    fn a_parameter_without_gradient_is_named() {
        let dir = model_dir(&json!({}));
        let model = Model::open_dir(&context(1), dir.path(), None, Some(1)).expect("a model");
        let options = json!({"model": dir.path()});
        let config: TrainerConfig = deft_core::options::parse(&options).expect("options");
        let (ctx, workers) = (context(1), Workers::new(1).expect("threads"));
        let mut training = Training::new(&ctx, &config, &model, &workers).expect("a training");
        let idle = Var::zeros(1, DType::F32, &Device::Cpu).expect("a variable");
        training.parameters.push("idle.weight", idle);
        training.sums = training.parameters.sums();
        let example = Example { target: Some("w3".to_owned()), ..Example::default() };
        let error = training.step(1, &[0], &vec![example], 1e-3).expect_err("no gradient");
        assert!(error.message().contains("`idle.weight`"), "{error}");
    }
}
