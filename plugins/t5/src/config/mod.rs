//! Options of the encoder and the trainer.

mod checks;
mod choices;
mod device;
mod encoder;
mod rules;
mod trainer;

use deft_core::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use choices::{Keep, Method, Objective, Optimizer, Precision, ScheduleKind};
pub use device::DeviceChoice;
pub use encoder::{EncoderConfig, Pooling};
pub use trainer::TrainerConfig;

/// Where the weights come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// They are read from the model's folder.
    #[default]
    Pretrained,
    /// They are new: Hugging Face's T5 initialisation.
    Random,
}

/// The options that say which model it is.
#[derive(Debug, Clone)]
pub(crate) struct ModelOptions<'a> {
    pub(crate) model: &'a str,
    pub(crate) weights: Option<&'a str>,
    pub(crate) tokenizer: Option<&'a str>,
    pub(crate) init: Init,
    pub(crate) init_seed: Option<u64>,
}

impl ModelOptions<'_> {
    fn check(&self) -> Result<()> {
        let is_random = self.init == Init::Random;
        checks::only_with("init_seed", self.init_seed.is_some(), "init: random", is_random)?;
        if is_random && self.weights.is_some() {
            return Err(Error::option_at("weights", "random weights are not read from a file")
                .with_hint("leave out `weights` or `init: random`"));
        }
        Ok(())
    }
}
