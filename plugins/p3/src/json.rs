//! The fields of a JSON line.

use std::borrow::Cow;
use std::fmt;

use deft_core::prelude::*;
use serde::Deserializer;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::rules::{Fields, NOT_A_STRING};
use deft_lines::JsonLines;

/// The names of the fields that a row may have; everything else is extra.
pub(crate) const INPUT: [&str; 2] = ["input", "inputs_pretokenized"];
pub(crate) const TARGET: [&str; 2] = ["target", "targets_pretokenized"];
pub(crate) const CHOICES: &str = "answer_choices";
pub(crate) const DATASET: &str = "dataset";
pub(crate) const TEMPLATE: &str = "template";

/// Whether a field has a meaning of its own.
pub(crate) fn is_known(name: &str) -> bool {
    INPUT.contains(&name) || TARGET.contains(&name) || [CHOICES, DATASET, TEMPLATE].contains(&name)
}

/// The fields of the present line, or why the row is none.
///
/// A target of another type makes the row no example, which is the original's rule; any other
/// known field of a wrong type is an error, because nobody means it.
pub(crate) fn fields(
    lines: &JsonLines,
    keep_extra: bool,
) -> Result<std::result::Result<Fields<'_>, &'static str>> {
    let row: Row<'_> = lines.parse()?;
    let target = match row.target.or(row.targets_pretokenized) {
        Field::Missing => None,
        Field::Text(text) => Some(text),
        Field::List(_) | Field::Other(_) => return Ok(Err(NOT_A_STRING)),
    };
    Ok(Ok(Fields {
        input: row.input.or(row.inputs_pretokenized).text(lines, INPUT[0])?,
        target,
        choices: row.answer_choices.texts(lines, CHOICES)?,
        dataset: row.dataset.text(lines, DATASET)?,
        template: row.template.text(lines, TEMPLATE)?,
        extra: if keep_extra { extra(lines)? } else { Map::new() },
    }))
}

/// The unknown fields that are scalars, by a second parse: rows are fast without it.
fn extra(lines: &JsonLines) -> Result<Map<String, Value>> {
    let mut all: Map<String, Value> = lines.parse()?;
    all.retain(|name, value| {
        !is_known(name) && (value.is_string() || value.is_number() || value.is_boolean())
    });
    Ok(all)
}

#[derive(Deserialize)]
struct Row<'a> {
    #[serde(borrow, default)]
    input: Field<'a>,
    #[serde(borrow, default)]
    inputs_pretokenized: Field<'a>,
    #[serde(borrow, default)]
    target: Field<'a>,
    #[serde(borrow, default)]
    targets_pretokenized: Field<'a>,
    #[serde(borrow, default)]
    answer_choices: Field<'a>,
    #[serde(borrow, default)]
    dataset: Field<'a>,
    #[serde(borrow, default)]
    template: Field<'a>,
}

/// A value of any type; text is borrowed from the line where it has no escapes.
#[derive(Debug, Default)]
enum Field<'a> {
    /// Absent or null.
    #[default]
    Missing,
    Text(Cow<'a, str>),
    List(Vec<Field<'a>>),
    /// Anything else, in words.
    Other(&'static str),
}

impl<'a> Field<'a> {
    fn or(self, other: Self) -> Self {
        if matches!(self, Self::Missing) { other } else { self }
    }

    fn text(self, lines: &JsonLines, name: &str) -> Result<Option<Cow<'a, str>>> {
        match self {
            Self::Missing => Ok(None),
            Self::Text(text) => Ok(Some(text)),
            other => Err(wrong(lines, name, "must be a string", &other)),
        }
    }

    fn texts(self, lines: &JsonLines, name: &str) -> Result<Vec<Cow<'a, str>>> {
        const RULE: &str = "must be a list of strings";
        let values = match self {
            Self::Missing => return Ok(Vec::new()),
            Self::List(values) => values,
            other => return Err(wrong(lines, name, RULE, &other)),
        };
        let text = |value| match value {
            Self::Text(text) => Ok(text),
            other => Err(wrong(lines, name, RULE, &Self::List(vec![other]))),
        };
        values.into_iter().map(text).collect()
    }

    fn describe(&self) -> String {
        match self {
            Self::Missing => "null".to_owned(),
            Self::Text(_) => "a string".to_owned(),
            Self::List(values) => match values.first() {
                Some(first) => format!("a list with {}", first.describe()),
                None => "a list".to_owned(),
            },
            Self::Other(words) => (*words).to_owned(),
        }
    }
}

fn wrong(lines: &JsonLines, name: &str, rule: &str, found: &Field<'_>) -> Error {
    lines.wrong(format!("`{name}` {rule}")).with_context("found", found.describe())
}

impl<'de: 'a, 'a> Deserialize<'de> for Field<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor)
    }
}

struct FieldVisitor;

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = Field<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Field::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Field::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Field::Missing)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Field::Other("a boolean"))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Field::Other("a number"))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Field::Other("a number"))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Field::Other("a number"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element()? {
            values.push(value);
        }
        Ok(Field::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Field::Other("an object"))
    }
}
