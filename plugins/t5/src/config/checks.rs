//! What the types of options do not say.

use deft_core::{Error, Result};

use super::DeviceChoice;
use crate::device::{HAS_CUDA, no_cuda};
use crate::tokens::MAX_TOKENS;

pub(super) fn at_least_one(name: &str, value: usize) -> Result<()> {
    match value {
        0 => Err(Error::option_at(name, format!("`{name}` must be at least 1 (found: 0)"))),
        _ => Ok(()),
    }
}

/// A limit of tokens, which must be one that can be encoded.
pub(super) fn token_limit(name: &str, value: usize) -> Result<()> {
    one_to(name, value, MAX_TOKENS)
}

pub(super) fn one_to(name: &str, value: usize, most: usize) -> Result<()> {
    if (1..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::option_at(name, format!("`{name}` must be in 1 ..= {most} (found: {value})")))
}

pub(super) fn positive(name: &str, value: f64) -> Result<()> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(Error::option_at(name, format!("`{name}` must be above 0 (found: {value})")))
}

pub(super) fn not_negative(name: &str, value: f64) -> Result<()> {
    if value >= 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(Error::option_at(name, format!("`{name}` must be at least 0 (found: {value})")))
}

/// A share that must not be the whole.
pub(super) fn below_one(name: &str, value: f64) -> Result<()> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    Err(Error::option_at(name, format!("`{name}` must be in 0 ..< 1 (found: {value})")))
}

/// Refuses an option that nothing reads where `needs` is not chosen.
pub(super) fn only_with(name: &str, is_set: bool, needs: &str, is_chosen: bool) -> Result<()> {
    if is_chosen || !is_set {
        return Ok(());
    }
    Err(Error::option_at(name, format!("`{name}` has no effect without `{needs}`"))
        .with_hint(format!("leave it out, or add `{needs}`")))
}

/// Refuses a GPU where this build has no CUDA; whether this machine has one is looked at later.
pub(super) fn device(choice: DeviceChoice) -> Result<()> {
    if choice.is_cuda() && !HAS_CUDA { Err(no_cuda(choice)) } else { Ok(()) }
}
