//! Training: a loop over optimizer steps ([`run`]), and what is watched, kept and left behind on the
//! way.

mod arrays;
mod best;
mod checkpoint;
mod files;
mod learner;
mod log;
#[cfg(test)]
mod memorise;
mod micro_batch;
mod objective;
pub(crate) mod optimizer;
#[cfg(test)]
mod oracles;
mod order;
mod pace;
pub(crate) mod parameters;
#[cfg(test)]
mod placements;
mod run;
mod schedule;
mod state;
#[cfg(test)]
mod stops;
pub(crate) mod sums;
mod tensorboard;
#[cfg(test)]
mod tests;
mod validation;

use deft_core::{Context, Error, ErrorKind, Examples, Result, TrainReport, Training};

use crate::config::{Keep, TrainerConfig};
use crate::device::Placement;
use crate::model::Model;
use crate::threads::Threads;

use self::learner::Learner;
use self::run::Run;

/// Trains the model where `placement` says, and writes its folder.
pub(crate) fn train(
    ctx: &Context<'_>,
    config: &TrainerConfig,
    model: &Model,
    training: &Training<'_>,
    placement: &Placement,
) -> Result<TrainReport> {
    check(config, training)?;
    let threads = Threads::new(ctx.threads(), placement)?;
    let trained = Learner::new(ctx, config, model, &threads, placement)
        .and_then(|learner| Run::new(ctx, config, model, training, learner)?.finish());
    // By now the learner has gone, with all that a training takes.
    placement.give_back();
    trained
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
