//! Steps of the optimizers against `PyTorch`'s.

use std::path::Path;

use deft_core::NoServices;
use deft_core::prelude::*;
use deft_neural::Values;
use serde_json::json;

use super::case::{Case, cases};
use super::numbers;
use super::way::Way;
use crate::model::{Model, WHOLE, Weights};
use crate::testing;

/// The learning rate of the steps in the goldens, but for Adafactor.
const RATE: f64 = 5e-3;
const ADAFACTOR_RATE: f64 = 3e-3;

#[test]
fn optimizer_steps_are_those_of_pytorch() {
    for case in cases() {
        for (name, options) in [
            ("adam", json!({"optimizer": "adam", "clip_value": null})),
            ("adamw", json!({"optimizer": "adamw", "weight_decay": 0.1, "clip_value": null})),
            ("adam_clip_value_0p01", json!({"optimizer": "adam", "clip_value": 0.01})),
            ("adafactor", json!({"optimizer": "adafactor", "clip_value": null})),
        ] {
            let mut options = options.clone();
            let rate = if name == "adafactor" { ADAFACTOR_RATE } else { RATE };
            options["learning_rate"] = json!(rate);
            options["batch_size"] = json!(case.examples.len());
            options["gradient_accumulation"] = json!(1);
            let wanted = numbers(&case.goldens[format!("{name}_losses")]);
            options["epochs"] = json!(wanted.len());
            let out = tempfile::tempdir().expect("a folder");
            let ctx = Context::new(&NoServices, 1, 2);
            let trainer = case.trainer(2, &options);
            let report = testing::try_train(&trainer, &ctx, &case.examples, None, out.path());
            Way::host().assert_near(name, report.expect("trained").losses, wanted);
            check_weights(&case, name, rate, out.path());
        }
    }
}

/// Parameters are off by at most 1e-3 of the learning rate, wherever the first step's gradient is no
/// rounding.
///
/// Adam takes a step of the same length for every gradient, however small. Where one is rounding
/// ([`has_rounding`]) that step has the length or even the sign of the rounding, in `PyTorch`, too,
/// and the steps after it see another network: of such a case few parameters may be further off.
/// Adafactor divides by the means of rows and columns: one element's rounding stays small.
fn check_weights(case: &Case, optimizer: &str, rate: f64, out: &Path) {
    let off = apart(case, optimizer, out);
    let count = |limit: f64| off.iter().filter(|&&off| off > limit * rate).count();
    let (some, few) = (count(1e-3), count(1e-2));
    let is_loose = optimizer != "adafactor" && has_rounding(case);
    let (most, fewest) = if is_loose { (off.len() / 10, off.len() / 100) } else { (0, 0) };
    assert!(
        some <= most && few <= fewest,
        "{}, {optimizer}: {some} of {} parameters off by 1e-3, {few} by 1e-2",
        case.dir.display(),
        off.len()
    );
}

/// How far each parameter is from the wanted one, but where the first step's gradient is rounding.
fn apart(case: &Case, optimizer: &str, out: &Path) -> Vec<f64> {
    let ctx = testing::context(1);
    let model = Model::open_dir(&ctx, out, None, Weights::Folder).expect("a model");
    let weights = model.tensors(&ctx, &WHOLE).expect("weights");
    let mut all = Vec::new();
    for (name, wanted) in &case.tensors {
        let Some(name) = name.strip_prefix(&format!("{optimizer}.")) else { continue };
        let gradients = &case.tensors[&format!("grad.{name}")];
        let bar = rounding(gradients);
        let found = Values::of(&weights[name]);
        let values = found.get().expect("values").iter().zip(wanted).zip(gradients);
        let off = |((found, wanted), _): ((&f32, &f32), &f32)| f64::from((found - wanted).abs());
        all.extend(values.filter(|(_, gradient)| gradient.abs() > bar).map(off));
    }
    assert!(!all.is_empty(), "{optimizer} has no wanted parameters");
    all
}

/// What f32's rounding makes of the gradients of a tensor: 1e-6 of the largest is usual.
fn rounding(gradients: &[f32]) -> f32 {
    1e-6 * gradients.iter().fold(0.0, |largest: f32, gradient| largest.max(gradient.abs()))
}

/// Whether a gradient of some tensor is rounding. Of what no example uses it is exactly zero, and
/// then there is none.
fn has_rounding(case: &Case) -> bool {
    let gradients = case.tensors.iter().filter(|(name, _)| name.starts_with("grad."));
    gradients.into_iter().any(|(_, gradients)| {
        let bar = rounding(gradients);
        gradients.iter().any(|gradient| *gradient != 0.0 && gradient.abs() <= bar)
    })
}
