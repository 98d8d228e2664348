//! A `tokenizer.json`, read and checked.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use deft_core::{Error, ErrorKind, Result};
use tokenizers::Tokenizer;

/// The tokenizer in a file's bytes, without limits and padding of its own, for a network with a
/// table of `vocabulary` words; `path` is where the bytes come from.
///
/// # Errors
///
/// [`ErrorKind::Model`] when it is no tokenizer, or has ids beyond the table.
pub fn tokenizer(bytes: &[u8], path: &Path, vocabulary: usize) -> Result<Tokenizer> {
    let wrong = |message: String| {
        Error::new(ErrorKind::Model, message).with_context("file", path.display())
    };
    let mut tokenizer = attempt(|| Tokenizer::from_bytes(bytes))
        .ok_or_else(|| wrong("this is no tokenizer.json: a part of it is malformed".to_owned()))?
        .map_err(|e| wrong("this is no tokenizer.json".to_owned()).with_source(e.as_ref()))?;
    // Files may carry limits of their own; ours are options.
    tokenizer.with_padding(None);
    tokenizer
        .with_truncation(None)
        .map_err(|e| wrong("its truncation cannot be unset".to_owned()).with_source(e.as_ref()))?;
    let largest = tokenizer.get_vocab(true).into_values().max().unwrap_or(0);
    if largest as usize >= vocabulary {
        return Err(wrong(format!(
            "the tokenizer has token ids up to {largest}, the model a vocabulary of {vocabulary}"
        ))
        .with_hint("use the tokenizer that the model was trained with"));
    }
    Ok(tokenizer)
}

/// What the tokenizers crate makes of something; `None` where it panics over it instead of refusing
/// it.
pub fn attempt<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}
