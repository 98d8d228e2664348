//! Checks of the training.

use deft_core::{ErrorKind, Example, TrainReport};
use serde_json::Value;

use super::TrainerChecks;
use super::trained::{Trained, create};
use crate::report::{Unmet, Verdict, ensure, skip_unless};
use crate::services::{SEED, TestServices, must_stop};

pub(super) fn loss_falls(it: &TrainerChecks) -> Verdict {
    let TrainReport { losses, steps, .. } =
        Trained::new(create(it)?.as_ref(), &it.examples)?.report;
    ensure!(steps > 0, "no step was made");
    ensure!(losses.len() > 1, "there are {} losses: train for some epochs", losses.len());
    ensure!(losses.iter().all(|loss| loss.is_finite()), "losses {losses:?}");
    ensure!(losses[losses.len() - 1] < losses[0], "losses {losses:?}");
    Ok(())
}

/// A parameter that gets no gradient is the same whatever the targets are.
pub(super) fn every_parameter(it: &TrainerChecks) -> Verdict {
    let trainer = create(it)?;
    let targets = it.examples.iter().map(|example| example.target.clone());
    let half = it.examples.len() / 2;
    let other_targets = targets.clone().skip(half + 1).chain(targets.take(half + 1));
    let pairs = it.examples.iter().zip(other_targets);
    let others: Vec<Example> =
        pairs.map(|(example, target)| Example { target, ..example.clone() }).collect();
    ensure!(others != it.examples, "the examples have all the same target: give it others");
    let one = Trained::new(trainer.as_ref(), &it.examples)?.tensors()?;
    let other = Trained::new(trainer.as_ref(), &others)?.tensors()?;
    let same = |name: &&String| one.get(*name) == other.get(*name);
    let untouched: Vec<_> = one.keys().filter(same).filter(|n| !it.frozen.contains(n)).collect();
    ensure!(untouched.is_empty(), "other targets lead to the same {untouched:?}");
    Ok(())
}

fn deterministic(it: &TrainerChecks) -> Verdict {
    skip_unless!(it.component.is_deterministic(), "it says that it is not deterministic");
    Ok(())
}

pub(super) fn repeatable(it: &TrainerChecks) -> Verdict {
    deterministic(it)?;
    let trainer = create(it)?;
    let first = Trained::new(trainer.as_ref(), &it.examples)?.weights()?;
    let again = Trained::new(trainer.as_ref(), &it.examples)?.weights()?;
    ensure!(again == first, "the same instance made other weights the second time");
    let other = Trained::new(create(it)?.as_ref(), &it.examples)?.weights()?;
    ensure!(other == first, "another instance made other weights");
    Ok(())
}

pub(super) fn threads(it: &TrainerChecks) -> Verdict {
    deterministic(it)?;
    let (trainer, services) = (create(it)?, TestServices::new());
    let of = |threads| {
        let ctx = services.context(SEED, threads);
        Trained::with(trainer.as_ref(), &ctx, &it.examples)?.weights()
    };
    let one = of(1)?;
    for threads in [2, 3] {
        ensure!(of(threads)? == one, "other weights with {threads} threads than with one");
    }
    Ok(())
}

pub(super) fn seed(it: &TrainerChecks) -> Verdict {
    let (trainer, services) = (create(it)?, TestServices::new());
    let of = |seed| {
        let ctx = services.context(seed, 1);
        Trained::with(trainer.as_ref(), &ctx, &it.examples)?.weights()
    };
    ensure!(of(SEED)? != of(SEED + 1)?, "two seeds gave the same weights");
    Ok(())
}

pub(super) fn interrupted(it: &TrainerChecks) -> Verdict {
    deterministic(it)?;
    let (trainer, services) = (create(it)?, TestServices::new());
    let ctx = services.context(SEED, 1);
    let whole = Trained::with(create(it)?.as_ref(), &ctx, &it.examples)?.weights()?;
    let half = TestServices::cancelled_after(services.looks().div_ceil(2));
    let stopped = Trained::with(trainer.as_ref(), &half.context(SEED, 1), &it.examples);
    ensure!(stopped.is_err(), "it did not stop when it was cancelled half way");
    let again = Trained::new(trainer.as_ref(), &it.examples)?.weights()?;
    ensure!(again == whole, "other weights after a training that was cancelled half way");
    Ok(())
}

pub(super) fn watched(it: &TrainerChecks) -> Verdict {
    deterministic(it)?;
    let (services, scratch) = (TestServices::new(), tempfile::tempdir()?);
    let ctx = services.context(SEED, 1);
    let alone = Trained::with(create(it)?.as_ref(), &ctx, &it.examples)?.weights()?;
    let others: Vec<Example> = it.examples.iter().rev().take(5).cloned().collect();
    let trainer = create(it)?;
    let watched =
        Trained::watched(trainer.as_ref(), &ctx, &it.examples, Some(&others), scratch.path())?;
    ensure!(watched.weights()? == alone, "validation examples lead to other weights");
    Ok(())
}

pub(super) fn resumed(it: &TrainerChecks) -> Verdict {
    deterministic(it)?;
    let (services, scratch) = (TestServices::new(), tempfile::tempdir()?);
    let ctx = services.context(SEED, 1);
    let whole = Trained::resumed(create(it)?.as_ref(), &ctx, &it.examples, scratch.path())?;
    let looks = services.looks();
    // Near the start, in the middle and near the end.
    for stop in [looks / 6, looks / 2, looks - looks / 6] {
        let scratch = tempfile::tempdir()?;
        let stopping = TestServices::cancelled_after(stop);
        let stopped = Trained::resumed(
            create(it)?.as_ref(),
            &stopping.context(SEED, 1),
            &it.examples,
            scratch.path(),
        );
        ensure!(stopped.is_err(), "it did not stop when it was cancelled");
        let ctx = services.context(SEED, 2);
        let found = Trained::resumed(create(it)?.as_ref(), &ctx, &it.examples, scratch.path())?;
        let is_same = found.weights()? == whole.weights()? && found.report == whole.report;
        ensure!(is_same, "stopped and continued, it ends with another model or report");
    }
    Ok(())
}

pub(super) fn cancelled(it: &TrainerChecks) -> Verdict {
    let trainer = create(it)?;
    [1, 2].iter().try_for_each(|&threads| {
        must_stop("`train`", threads, |ctx| Trained::with(trainer.as_ref(), ctx, &it.examples))
    })
}

pub(super) fn no_target(it: &TrainerChecks) -> Verdict {
    let mut examples = it.examples.clone();
    let last = examples.len() - 1;
    examples[last].target = None;
    let refused = Trained::new(create(it)?.as_ref(), &examples).map(|trained| trained.report);
    let kind = refused.as_ref().err().map(deft_core::Error::kind);
    ensure!(kind == Some(ErrorKind::Data), "an example without target gave {refused:?}");
    Ok(())
}

pub(super) fn fingerprint(it: &TrainerChecks) -> Verdict {
    let (one, other) = (create(it)?.info(), create(it)?.info());
    ensure!(one == other, "two instances with the same options say {one:?} and {other:?}");
    Ok(())
}

pub(super) fn folder(it: &TrainerChecks) -> Verdict {
    let trained = Trained::new(create(it)?.as_ref(), &it.examples)?;
    ensure!(!trained.tensors()?.is_empty(), "`model.safetensors` has no tensor");
    for name in ["config.json", "tokenizer.json"] {
        let text = std::fs::read_to_string(trained.dir().join(name))
            .map_err(|error| Unmet::Broken(format!("`{name}` cannot be read: {error}")))?;
        let is_object = serde_json::from_str::<Value>(&text).is_ok_and(|json| json.is_object());
        ensure!(is_object, "`{name}` is no JSON object");
    }
    Ok(())
}
