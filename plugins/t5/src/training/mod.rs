//! The training loop: micro-batches in parallel, their gradients summed in order.

mod optimizer;
mod order;
pub(crate) mod parameters;
mod schedule;

use deft_core::{Context, Error, ErrorKind, Example, Examples, Result, TrainReport};
use serde_json::json;

use crate::config::TrainerConfig;
use crate::model::{Model, WHOLE, defect};
use crate::network::{Batch, Gradients, Pass, T5, Tensors};
use crate::parallel::Workers;

use optimizer::Adam;
use order::Order;
use parameters::{Contribution, Parameters, Sums};
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

/// What one micro-batch adds to a step.
struct Share {
    loss: f64,
    gradients: Contribution,
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
        let group = examples.get(positions)?;
        let micro: Vec<_> = group
            .chunks(self.config.batch_size)
            .zip(positions.chunks(self.config.batch_size))
            .collect();
        let mut sums = std::mem::take(&mut self.sums);
        let (first, mut loss) = (self.micro_batches, 0.0);
        let (mut tokens, mut inputs_cut, mut targets_cut) = (0, 0, 0);
        let outcome = self.workers.run(
            micro.len(),
            |task| {
                self.ctx.check()?;
                let (examples, positions) = micro[task];
                self.share(examples, positions, first + task as u64, micro.len())
                    .map_err(|e| e.with_context("step", step))
            },
            |_, share| {
                sums.add(&self.parameters, share.gradients)?;
                loss += share.loss / micro.len() as f64;
                tokens += share.tokens;
                inputs_cut += share.inputs_cut;
                targets_cut += share.targets_cut;
                Ok(())
            },
        );
        self.sums = sums;
        outcome?;
        self.sums.add_head(&self.parameters, self.workers)?;
        self.micro_batches += micro.len() as u64;
        self.tokens += tokens;
        self.inputs_cut += inputs_cut;
        self.targets_cut += targets_cut;
        if step == 1 {
            self.parameters.check_finite(&self.sums)?;
        }
        let update = self.adam.step(rate);
        self.parameters.update(&mut self.sums, &update, self.workers)?;
        Ok(loss)
    }

    /// Loss and gradients of one micro-batch, divided by the number of them in the step.
    fn share(
        &self,
        examples: &[Example],
        positions: &[usize],
        number: u64,
        divisor: usize,
    ) -> Result<Share> {
        let (mut tokens, mut inputs_cut, mut targets_cut) = (0, 0, 0);
        let (mut inputs, mut targets) = (Vec::new(), Vec::new());
        for (example, &position) in examples.iter().zip(positions) {
            let target = example.target.as_deref().ok_or_else(|| {
                Error::new(ErrorKind::Data, "an example without target cannot be trained on")
                    .with_context("position", position)
            })?;
            let tokenizer = self.model.tokens();
            let input = tokenizer.encode(&example.input, Some(self.config.max_tokens))?;
            let target = tokenizer.encode(target.trim(), Some(self.config.max_answer_tokens))?;
            tokens += (input.ids.len() + target.ids.len()) as u64;
            inputs_cut += u64::from(input.is_cut);
            targets_cut += u64::from(target.is_cut);
            inputs.push(input.ids);
            targets.push(target.ids);
        }
        let pass = Pass::training(self.dropout, self.ctx.seed(), number);
        let (loss, gradients) =
            gradients(&self.network, &inputs, &targets, pass, divisor).map_err(|e| defect(&e))?;
        if !loss.is_finite() {
            return Err(Error::new(
                ErrorKind::Model,
                format!("the loss is no number any more: {loss}"),
            )
            .with_context("positions", format!("{positions:?}"))
            .with_hint("a lower `learning_rate` often helps"));
        }
        let gradients = self.parameters.contribution(gradients)?;
        Ok(Share { loss, gradients, tokens, inputs_cut, targets_cut })
    }
}

fn gradients(
    network: &T5,
    inputs: &[Vec<u32>],
    targets: &[Vec<u32>],
    pass: Pass,
    divisor: usize,
) -> candle_core::Result<(f64, Gradients)> {
    let inputs = Batch::new(inputs.iter().map(Vec::as_slice), network.config().pad)?;
    let targets: Vec<&[u32]> = targets.iter().map(Vec::as_slice).collect();
    network.gradients(&inputs, &targets, pass, divisor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{context, model_dir};
    use candle_core::{DType, Device, Var};

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
