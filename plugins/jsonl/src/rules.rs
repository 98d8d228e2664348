//! The rules that make an example of a record.

use deft_core::excerpt;
use deft_core::prelude::*;
use deft_records::Record;
use minijinja::Value;
use minijinja::value::ValueKind;

use crate::config::{Choices, JsonlConfig, option_name};
use crate::templates::{Row, Templates};

/// Options with their templates.
#[derive(Debug)]
pub(crate) struct Rules {
    config: JsonlConfig,
    templates: Templates,
}

impl Rules {
    pub(crate) fn new(config: JsonlConfig) -> Result<Self> {
        config.check()?;
        Ok(Self { templates: Templates::compile(&config)?, config })
    }

    pub(crate) fn config(&self) -> &JsonlConfig {
        &self.config
    }

    /// The example of a record.
    pub(crate) fn example(&self, record: &Record) -> Result<Example> {
        let row = self.templates.row(record);
        let rendered =
            |option: &str, is_there: bool| is_there.then(|| row.text(option)).transpose();
        let options = self.options(&row)?;
        let target = rendered("target", self.config.target.is_some())?;
        let gold = match (&self.config.gold, &target) {
            (Some(expression), _) => position(&row, expression, options.len())?,
            (None, Some(target)) if self.config.options.is_some() => {
                Some(place_of(&row, target, &options)?)
            }
            _ => None,
        };
        let keep: Vec<&str> = self.config.keep.iter().map(String::as_str).collect();
        Ok(Example {
            input: row.text("input")?,
            target: target.or_else(|| options.get(gold?).cloned()),
            options,
            gold,
            provenance: Provenance {
                dataset: rendered("dataset", self.config.dataset.is_some())?.unwrap_or_default(),
                template: rendered("template", self.config.template.is_some())?.unwrap_or_default(),
            },
            extra: record.keep(&keep),
        })
    }

    /// The answers to choose from: none where the answer is generated, otherwise different ones.
    fn options(&self, row: &Row<'_>) -> Result<Vec<String>> {
        let options: Vec<String> = match &self.config.options {
            None => return Ok(Vec::new()),
            Some(Choices::Templates(list)) => {
                (0..list.len()).map(|place| row.text(&option_name(place))).collect::<Result<_>>()?
            }
            Some(Choices::Expression(expression)) => listed(row, expression)?,
        };
        let repeated =
            options.iter().enumerate().find(|(place, option)| options[..*place].contains(option));
        if let Some((_, option)) = repeated {
            return Err(row
                .error("options", "two options of the record are the same")
                .with_context("found", format!("\"{}\"", excerpt(option)))
                .with_hint("nobody could choose between them: leave one out, or the record"));
        }
        if options.is_empty() {
            return Err(row
                .error("options", "the record has no options")
                .with_hint("leave the record out, or `options` where the answer is generated"));
        }
        if let Some(place) = options.iter().position(|option| option.trim().is_empty()) {
            return Err(row
                .error("options", "an option of the record is empty")
                .with_context("position", place)
                .with_hint("nobody could choose it: leave it out, or the record"));
        }
        Ok(options)
    }
}

/// The texts of a list that an expression gives.
fn listed(row: &Row<'_>, expression: &str) -> Result<Vec<String>> {
    let value = row.value("options", expression)?;
    if !matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) {
        return Err(wrong(row, "options", &value, "a list"));
    }
    let items = value.try_iter().map_err(|_| wrong(row, "options", &value, "a list"))?;
    let text = |item: Value| match item.kind() {
        ValueKind::String | ValueKind::Number | ValueKind::Bool => Ok(item.to_string()),
        _ => Err(wrong(row, "options", &item, "a list of texts or numbers")),
    };
    items.map(text).collect()
}

/// The position of the right option that an expression gives; `None` for an unlabelled record.
fn position(row: &Row<'_>, expression: &str, count: usize) -> Result<Option<usize>> {
    let value = row.value("gold", expression)?;
    // Tables hold nothing but strings.
    let number = value.as_str().map_or_else(|| value.as_i64(), |text| text.trim().parse().ok());
    if value.is_undefined() || value.is_none() || value.as_str() == Some("") || number == Some(-1) {
        return Ok(None);
    }
    let place = number.and_then(|number| usize::try_from(number).ok()).filter(|&n| n < count);
    let allowed = || format!("0 to {}, -1 or null without label", count - 1);
    place.map(Some).ok_or_else(|| wrong(row, "gold", &value, &allowed()))
}

/// The position of the option that is the target.
fn place_of(row: &Row<'_>, target: &str, options: &[String]) -> Result<usize> {
    options.iter().position(|option| option == target).ok_or_else(|| {
        row.error("target", "the target is not among the options")
            .with_context("found", format!("\"{}\"", excerpt(target)))
            .with_context("allowed", excerpt(&options.join(", ")))
    })
}

fn wrong(row: &Row<'_>, option: &str, found: &Value, allowed: &str) -> Error {
    let found = match found.kind() {
        ValueKind::Undefined => "a field that is absent or null".to_owned(),
        ValueKind::String => format!("\"{}\"", excerpt(&found.to_string())),
        _ => excerpt(&found.to_string()),
    };
    row.error(option, "the expression gives what is not allowed")
        .with_context("found", found)
        .with_context("allowed", allowed)
}
