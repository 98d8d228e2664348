//! The best weights of a training so far, in the scratch folder.

use std::path::Path;

use deft_core::Result;

use crate::model::write_tensors;
use crate::weights::Safetensors;

use super::parameters::Parameters;

const BEST: &str = "best.safetensors";

/// Keeps the present values in place of those before.
pub(super) fn keep(parameters: &Parameters, scratch: &Path) -> Result<()> {
    write_tensors(&parameters.values(), &scratch.join(BEST))
}

/// Sets the parameters to the values that were kept.
pub(super) fn restore(parameters: &Parameters, scratch: &Path) -> Result<()> {
    let file = Safetensors::open(&scratch.join(BEST))?;
    parameters.set(|name| file.get_f32(name))
}
