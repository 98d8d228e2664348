//! Checks of the predictions.

use deft_core::{ErrorKind, Prediction, PredictionKind};

use super::TrainerChecks;
use super::trained::{Trained, create, open, predict};
use crate::data::Random;
use crate::report::{Unmet, Verdict, ensure};
use crate::services;

pub(super) fn reopened(it: &TrainerChecks) -> Verdict {
    let trainer = create(it)?;
    let model = Trained::new(trainer.as_ref(), &it.examples)?;
    let kind = PredictionKind::OptionScores;
    let here = open(trainer.as_ref(), Some(&model.dir()))?;
    let wanted = predict(here.as_ref(), &it.examples, kind)?;
    drop((here, trainer));
    let elsewhere = open(create(it)?.as_ref(), Some(&model.moved()?))?;
    let found = predict(elsewhere.as_ref(), &it.examples, kind)?;
    ensure!(found == wanted, "another instance predicts otherwise from the same model, moved");
    Ok(())
}

pub(super) fn untrained(it: &TrainerChecks) -> Verdict {
    let trainer = create(it)?;
    predict(open(trainer.as_ref(), None)?.as_ref(), &it.examples, PredictionKind::OptionScores)?;
    Ok(())
}

pub(super) fn no_model(it: &TrainerChecks) -> Verdict {
    let dir = tempfile::tempdir()?;
    let opened = open(create(it)?.as_ref(), Some(dir.path()));
    let Err(error) = opened else {
        return Err(Unmet::Broken("an empty folder was opened as a model".to_owned()));
    };
    ensure!(error.kind() == ErrorKind::Model, "another kind of error: {error}");
    Ok(())
}

/// Predictions of a trained model.
fn predictions(it: &TrainerChecks, kind: PredictionKind) -> deft_core::Result<Vec<Prediction>> {
    let trainer = create(it)?;
    let model = Trained::new(trainer.as_ref(), &it.examples)?;
    predict(open(trainer.as_ref(), Some(&model.dir()))?.as_ref(), &it.examples, kind)
}

pub(super) fn scores(it: &TrainerChecks) -> Verdict {
    for (number, prediction) in
        predictions(it, PredictionKind::OptionScores)?.into_iter().enumerate()
    {
        let Prediction::OptionScores { log_probs, tokens } = prediction else {
            return Err(Unmet::Broken("text came where scores were wanted".to_owned()));
        };
        let is_probability = |log_prob: &f64| log_prob.is_finite() && *log_prob <= 0.0;
        let are_probabilities = log_probs.iter().all(is_probability);
        ensure!(are_probabilities, "example {number} has the scores {log_probs:?}");
        ensure!(!tokens.contains(&0), "example {number} has the token counts {tokens:?}");
    }
    Ok(())
}

pub(super) fn order(it: &TrainerChecks) -> Verdict {
    let trainer = create(it)?;
    let model = Trained::new(trainer.as_ref(), &it.examples)?;
    let predictor = open(trainer.as_ref(), Some(&model.dir()))?;
    let kind = PredictionKind::OptionScores;
    let straight = predict(predictor.as_ref(), &it.examples, kind)?;
    let order = Random::new(41).order(it.examples.len());
    let shuffled: Vec<_> = order.iter().map(|&place| it.examples[place].clone()).collect();
    let found = predict(predictor.as_ref(), &shuffled, kind)?;
    for (found, &place) in found.iter().zip(&order) {
        let wanted = &straight[place];
        ensure!(near(found, wanted), "in another order {found:?}, before {wanted:?}");
    }
    Ok(())
}

/// The same, up to rounding.
fn near(a: &Prediction, b: &Prediction) -> bool {
    match (a, b) {
        (
            Prediction::OptionScores { log_probs, tokens },
            Prediction::OptionScores { log_probs: others, tokens: other_tokens },
        ) => {
            let mut pairs = log_probs.iter().zip(others);
            tokens == other_tokens && pairs.all(|(a, b)| (a - b).abs() <= 1e-3 * (1.0 + a.abs()))
        }
        _ => a == b,
    }
}

pub(super) fn no_options(it: &TrainerChecks) -> Verdict {
    let mut examples = it.examples.clone();
    examples[1].options.clear();
    examples[1].gold = None;
    let trainer = create(it)?;
    let predictor = open(trainer.as_ref(), None)?;
    let refused = predict(predictor.as_ref(), &examples, PredictionKind::OptionScores);
    let kind = refused.as_ref().err().map(deft_core::Error::kind);
    ensure!(kind == Some(ErrorKind::Data), "an example without options gave {refused:?}");
    Ok(())
}

pub(super) fn text(it: &TrainerChecks) -> Verdict {
    match predictions(it, PredictionKind::Text) {
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(()),
        Err(error) => Err(error.into()),
        Ok(found) => {
            let other = found.iter().find(|one| !matches!(one, Prediction::Text(_)));
            ensure!(other.is_none(), "{other:?} came where text was wanted");
            Ok(())
        }
    }
}

pub(super) fn concurrent(it: &TrainerChecks) -> Verdict {
    let trainer = create(it)?;
    let model = Trained::new(trainer.as_ref(), &it.examples)?;
    let predictor = open(trainer.as_ref(), Some(&model.dir()))?;
    let call = |_| predict(predictor.as_ref(), &it.examples, PredictionKind::OptionScores);
    let wanted = call(0)?;
    for found in services::at_once(4, call) {
        ensure!(found? == wanted, "predictions beside others are others than alone");
    }
    Ok(())
}
