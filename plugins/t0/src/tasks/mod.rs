//! The tasks: where their data come from, and the prompt that each makes of a record.
//!
//! The prompts are those of the published code, with their odd spaces, unless the variant is `fixed`
//! and a comment says what was wrong. Models were trained and compared on these very strings.

mod completion;
mod inference;
mod words;

use deft_core::Result;
use deft_records::Record;

use crate::config::Variant;

pub(crate) use completion::{Copa, HellaSwag, StoryCloze};
pub(crate) use inference::{Anli1, Anli2, Anli3, Cb, Rte};
pub(crate) use words::{Wic, WinoGrande, Wsc};

/// A held-out task of T0.
pub(crate) trait Task: Send + Sync + 'static {
    /// Name of the reader: `t0/` and the name of the task.
    const NAME: &'static str;
    /// One line about it.
    const SUMMARY: &'static str;
    /// The Hugging Face data set.
    const DATASET: &'static str;
    /// Fields that identify a record; they are kept in an example's `extra`.
    const KEPT: &'static [&'static str];

    /// The prompt for a record.
    fn prompt(record: &Record, variant: Variant) -> Result<Prompt>;

    /// Why nobody could answer a record, if it is so: `fixed` leaves such a record out.
    fn flaw(_record: &Record) -> Result<Option<&'static str>> {
        Ok(None)
    }

    /// Name of the task, without the plugin's.
    fn task() -> &'static str {
        Self::NAME.rsplit_once('/').map_or(Self::NAME, |(_, task)| task)
    }
}

/// What a task makes of a record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Prompt {
    /// The text given to the model.
    pub(crate) input: String,
    /// The answers to choose from.
    pub(crate) options: Vec<String>,
    /// Position of the right one, if it is known.
    pub(crate) gold: Option<usize>,
}

impl Prompt {
    fn new(input: String, options: &[&str], gold: Option<usize>) -> Self {
        let options = options.iter().map(|&option| option.to_owned()).collect();
        Self { input, options, gold }
    }
}
