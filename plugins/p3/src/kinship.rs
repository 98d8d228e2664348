//! Files of another task: those of which no row has an input.

use deft_core::excerpt;
use deft_core::prelude::*;
use deft_lines::JsonLines;
use serde_json::{Map, Value};

use crate::json::INPUT;
use crate::rules::{NO_INPUT, NO_TARGET};

/// Whether a file of lines holds what this reader reads, as far as its rows tell.
#[derive(Debug, Default)]
pub(crate) enum Kinship {
    /// No row has told yet.
    #[default]
    Unknown,
    /// A row has an input.
    Own,
    /// No row has one: the error if it stays so, about the first row.
    Foreign(Error),
}

impl Kinship {
    /// Takes note of what the present line became.
    ///
    /// One row without input is left out, as in the published code; a whole file of them is another
    /// task's, and its user wants to know.
    pub(crate) fn note(
        &mut self,
        made: &Result<Example, &'static str>,
        lines: &JsonLines,
    ) -> Result<()> {
        match made.as_ref().err().copied() {
            None | Some(NO_TARGET) => *self = Self::Own,
            Some(NO_INPUT) if matches!(self, Self::Unknown) => {
                *self = Self::Foreign(foreign(lines)?);
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Judges the file once all of its rows are read.
    pub(crate) fn check(self) -> Result<()> {
        match self {
            Self::Foreign(error) => Err(error),
            Self::Unknown | Self::Own => Ok(()),
        }
    }
}

fn foreign(lines: &JsonLines) -> Result<Error> {
    let fields: Map<String, Value> = lines.parse()?;
    let names: Vec<&str> = fields.keys().map(String::as_str).collect();
    let found = format!("the fields {}", excerpt(&names.join(", ")));
    Ok(lines
        .wrong(format!("no row of the file has `{}` or `{}`", INPUT[0], INPUT[1]))
        .with_context("found", found)
        .with_hint("is this a file of another task? see the plugin's README for the fields"))
}
