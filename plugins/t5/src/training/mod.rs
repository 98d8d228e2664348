//! Training: a loop over optimizer steps ([`run`]), and what is watched, kept and left behind on the
//! way.

mod best;
mod checkpoint;
mod files;
mod learner;
mod log;
#[cfg(test)]
mod memorise;
mod micro_batch;
mod objective;
mod optimizer;
#[cfg(test)]
mod oracles;
mod order;
mod pace;
pub(crate) mod parameters;
mod run;
mod schedule;
mod state;
#[cfg(test)]
mod stops;
mod tensorboard;
#[cfg(test)]
mod tests;
mod validation;

use deft_core::{Context, Error, ErrorKind, Examples, Result, TrainReport, Training};

use crate::config::{Keep, TrainerConfig};
use crate::model::Model;
use deft_neural::Workers;

use self::learner::Learner;
use self::run::Run;

#[cfg(test)]
pub(crate) use self::optimizer::Optimizer;

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
    Run::new(ctx, config, model, training, learner)?.finish()
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
