//! Which options of the trainer go together, and how large they may be.

use deft_core::{Error, Result};

use super::checks::{
    at_least_one, below_one, device, not_negative, one_to, only_with, positive, token_limit,
};
use super::{DeviceChoice, Keep, Method, Optimizer, ScheduleKind, TrainerConfig};

/// The projections of a T5 network.
const MODULES: [&str; 8] = ["q", "k", "v", "o", "wi", "wi_0", "wi_1", "wo"];

/// Largest `lora_rank`: the width of T5's smaller models, and more than any adapter needs.
const MAX_LORA_RANK: usize = 1024;
/// Largest number of `beams`: each costs as much time and memory as a whole generation.
const MAX_BEAMS: usize = 64;

impl TrainerConfig {
    pub(crate) fn check(&self) -> Result<()> {
        self.check_device()?;
        device(self.device)?;
        self.model().check()?;
        self.check_sizes()?;
        self.check_validation()?;
        self.check_method()?;
        self.check_optimizer()?;
        self.check_schedule()
    }

    /// Steps follow one another: a second GPU would wait for the first.
    fn check_device(&self) -> Result<()> {
        if self.device != DeviceChoice::EveryCuda {
            return Ok(());
        }
        Err(Error::option_at("device", "a model is trained on one GPU (`device`: cuda:all)")
            .with_hint("take one by its number: `cuda:0`"))
    }

    fn check_sizes(&self) -> Result<()> {
        at_least_one("epochs", self.epochs)?;
        at_least_one("steps", self.steps.unwrap_or(1))?;
        at_least_one("batch_size", self.batch_size)?;
        at_least_one("gradient_accumulation", self.gradient_accumulation)?;
        token_limit("max_tokens", self.max_tokens)?;
        token_limit("max_answer_tokens", self.max_answer_tokens)?;
        at_least_one("keep_checkpoints", self.keep_checkpoints)?;
        at_least_one("max_new_tokens", self.max_new_tokens)?;
        one_to("beams", self.beams, MAX_BEAMS)?;
        below_one("dropout", self.dropout.map_or(0.0, f64::from))?;
        if self.beams == 1 && self.length_penalty.is_some() {
            let message = "`length_penalty` has no effect with `beams: 1`, which compares no texts";
            return Err(Error::option_at("length_penalty", message)
                .with_hint("leave it out, or set `beams` to 2 or more"));
        }
        Ok(())
    }

    fn check_validation(&self) -> Result<()> {
        at_least_one("validate_every", self.validate_every.unwrap_or(1))?;
        if self.keep == Keep::Best && self.steps.is_some() && self.validate_every.is_none() {
            let message =
                "`keep: best` with `steps` has one validation, at the end, to choose from";
            return Err(Error::option_at("keep", message)
                .with_hint("leave it out, or add `validate_every`: steps between validations"));
        }
        Ok(())
    }

    fn check_method(&self) -> Result<()> {
        let (is_lora, is_adapter) = (self.method == Method::Lora, self.method != Method::Full);
        only_with("modules", self.modules.is_some(), "method: ia3` or `method: lora", is_adapter)?;
        only_with("lora_rank", self.lora_rank.is_some(), "method: lora", is_lora)?;
        only_with("lora_alpha", self.lora_alpha.is_some(), "method: lora", is_lora)?;
        only_with("lora_dropout", self.lora_dropout.is_some(), "method: lora", is_lora)?;
        one_to("lora_rank", self.lora_rank.unwrap_or(1), MAX_LORA_RANK)?;
        positive("lora_alpha", self.lora_alpha.unwrap_or(1.0))?;
        self.check_lora_dropout()?;
        for (i, module) in self.modules.iter().flatten().enumerate() {
            if !MODULES.contains(&module.as_str()) {
                let at = format!("modules[{i}]");
                return Err(Error::option_at(at, format!("unknown projection `{module}`"))
                    .with_hint(format!("allowed: {}", MODULES.join(", "))));
            }
        }
        match &self.modules {
            Some(modules) if modules.is_empty() => {
                Err(Error::option_at("modules", "an adapter needs at least one projection"))
            }
            _ => Ok(()),
        }
    }

    /// The network is of f32, where the nearest numbers to 1 are 1.
    #[expect(clippy::cast_possible_truncation, reason = "what it becomes is looked at")]
    fn check_lora_dropout(&self) -> Result<()> {
        let share = self.lora_dropout.unwrap_or(0.0);
        below_one("lora_dropout", share)?;
        if (share as f32) < 1.0 {
            return Ok(());
        }
        let message = format!("`lora_dropout` is 1 in f32 (found: {share}): nothing would be left");
        Err(Error::option_at("lora_dropout", message).with_hint("allowed: 0 ..< 1; 0.1 is usual"))
    }

    fn check_optimizer(&self) -> Result<()> {
        let (decays, is_adafactor) =
            (self.optimizer != Optimizer::Adam, self.optimizer == Optimizer::Adafactor);
        let others = "optimizer: adamw` or `optimizer: adafactor";
        only_with("weight_decay", self.weight_decay.is_some(), others, decays)?;
        let needs = "optimizer: adafactor";
        only_with("scale_parameter", self.scale_parameter.is_some(), needs, is_adafactor)?;
        positive("learning_rate", self.learning_rate)?;
        positive("clip_value", self.clip_value.unwrap_or(1.0))?;
        positive("clip_norm", self.clip_norm.unwrap_or(1.0))?;
        not_negative("weight_decay", self.weight_decay.unwrap_or(0.0))
    }

    fn check_schedule(&self) -> Result<()> {
        let is = |kind| self.schedule == kind;
        let is_slanted = is(ScheduleKind::SlantedTriangular);
        only_with("cut", self.cut.is_some(), "schedule: slanted_triangular", is_slanted)?;
        let others = "schedule: linear`, `polynomial` or `constant";
        only_with("warmup_steps", self.warmup_steps > 0, others, !is_slanted)?;
        let falls = is(ScheduleKind::Linear) || is(ScheduleKind::Polynomial);
        let needs = "schedule: linear` or `schedule: polynomial";
        only_with("end_learning_rate", self.end_learning_rate.is_some(), needs, falls)?;
        let is_polynomial = is(ScheduleKind::Polynomial);
        only_with("power", self.power.is_some(), "schedule: polynomial", is_polynomial)?;
        below_one("cut", self.cut.unwrap_or(0.1))?;
        positive("power", self.power.unwrap_or(1.0))?;
        not_negative("end_learning_rate", self.end_learning_rate.unwrap_or(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn check(options: &Value) -> Result<()> {
        let mut all = json!({"model": "m"});
        for (key, value) in options.as_object().expect("an object") {
            all[key] = value.clone();
        }
        deft_core::options::parse::<TrainerConfig>(&all).and_then(|config| config.check())
    }

    #[test]
    fn numbers_out_of_range_and_options_without_effect_are_refused() {
        for (options, option, message) in [
            (json!({"method": "lora", "lora_rank": 1025}), "lora_rank", "1 ..= 1024 (found: 1025)"),
            (json!({"method": "lora", "lora_rank": 0}), "lora_rank", "1 ..= 1024 (found: 0)"),
            (json!({"device": "cuda:all"}), "device", "on one GPU"),
            (json!({"beams": 65}), "beams", "1 ..= 64 (found: 65)"),
            (json!({"method": "lora", "lora_dropout": 1}), "lora_dropout", "0 ..< 1"),
            (
                json!({"method": "lora", "lora_dropout": 0.999_999_999}),
                "lora_dropout",
                "is 1 in f32",
            ),
            (json!({"beams": 1, "length_penalty": 2}), "length_penalty", "with `beams: 1`"),
            (json!({"length_penalty": 1}), "length_penalty", "with `beams: 1`"),
            (json!({"validate_every": 0}), "validate_every", "at least 1"),
            (json!({"steps": 9, "keep": "best"}), "keep", "one validation, at the end"),
        ] {
            let error = check(&options).expect_err("refused");
            assert_eq!(error.option(), Some(option), "{options}");
            assert!(error.message().contains(message), "{options}: {error}");
        }
        for options in [
            json!({"method": "lora", "lora_rank": 1024, "lora_dropout": 0.9}),
            json!({"beams": 64, "length_penalty": 0.5}),
            json!({"steps": 9, "keep": "best", "validate_every": 3}),
            json!({"epochs": 2, "keep": "best"}),
        ] {
            check(&options).expect("allowed");
        }
    }
}
