//! The fields of one record, with errors that say what a task wants.

use deft_core::excerpt;
use deft_core::prelude::*;
use serde_json::{Map, Value};

use deft_lines::JsonLines;

/// One record of a source.
pub(crate) struct Record<'a> {
    lines: &'a JsonLines,
    fields: Map<String, Value>,
}

impl<'a> Record<'a> {
    /// The record on the present line.
    pub(crate) fn read(lines: &'a JsonLines) -> Result<Self> {
        Ok(Self { lines, fields: lines.parse()? })
    }

    /// A field's text.
    pub(crate) fn text(&self, field: &str) -> Result<&str> {
        const ALLOWED: &str = "a string";
        match self.fields.get(field) {
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(self.wrong(field, other, ALLOWED)),
            None => Err(self.missing(field, ALLOWED)),
        }
    }

    /// Which of the allowed texts a field has.
    pub(crate) fn one_of(&self, field: &str, allowed: &[&str]) -> Result<usize> {
        let text = self.text(field)?;
        allowed
            .iter()
            .position(|&candidate| candidate == text)
            .ok_or_else(|| self.wrong(field, &Value::from(text), &allowed.join(", ")))
    }

    /// The position of the right answer among `count` options; `None` for an unlabelled record,
    /// whose label is -1, null or not there.
    pub(crate) fn label(&self, field: &str, count: u8) -> Result<Option<usize>> {
        let Some(value) = self.fields.get(field) else { return Ok(None) };
        if value.is_null() || value.as_i64() == Some(-1) {
            return Ok(None);
        }
        if let Some(label) = (0..count).find(|&label| value.as_u64() == Some(label.into())) {
            return Ok(Some(label.into()));
        }
        let labels: Vec<_> = (0..count).map(|label| label.to_string()).collect();
        let allowed = format!("{}, -1 or null without label", labels.join(", "));
        Err(self.wrong(field, value, &allowed))
    }

    /// These fields as they are, except where they are absent or null.
    pub(crate) fn keep(&self, names: &[&str]) -> Map<String, Value> {
        let value = |&name: &&str| {
            let value = self.fields.get(name).filter(|value| !value.is_null())?;
            Some((name.to_owned(), value.clone()))
        };
        names.iter().filter_map(value).collect()
    }

    fn wrong(&self, field: &str, found: &Value, allowed: &str) -> Error {
        let found = match found {
            Value::String(text) => format!("\"{}\"", excerpt(text)),
            other => excerpt(&other.to_string()),
        };
        self.lines
            .wrong("a field has a value that is not allowed")
            .with_context("field", field)
            .with_context("found", found)
            .with_context("allowed", allowed)
    }

    fn missing(&self, field: &str, allowed: &str) -> Error {
        let names: Vec<_> = self.fields.keys().map(String::as_str).collect();
        self.lines
            .wrong("a field is missing")
            .with_context("field", field)
            .with_context("found", format!("the fields {}", excerpt(&names.join(" "))))
            .with_context("allowed", allowed)
            .with_hint("is this a file of another task? see the plugin's README for the fields")
    }
}
