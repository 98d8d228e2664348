//! The fields of one record, with errors that say what a task wants.

use std::path::PathBuf;
use std::sync::Arc;

use deft_core::excerpt;
use deft_core::prelude::*;
use serde_json::{Map, Value};

/// The file that records come from.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    /// What a record's number counts: `line` or `row`.
    pub(crate) place: &'static str,
    /// Columns that are not read, by name and type.
    pub(crate) unread: Vec<(String, String)>,
}

/// One record of a source.
///
/// A field that is null counts as absent, whatever the form of the file.
#[derive(Debug, Clone)]
pub struct Record {
    source: Arc<Source>,
    row: u64,
    fields: Map<String, Value>,
}

impl Record {
    pub(crate) fn new(source: Arc<Source>, row: u64, fields: Map<String, Value>) -> Self {
        Self { source, row, fields }
    }

    /// The record's number in its file, from 1: the line where it starts for JSON lines and tables,
    /// the row for the other forms.
    pub fn row(&self) -> u64 {
        self.row
    }

    /// All fields, in the order of the file.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// A field's value, unless it is absent or null.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.fields.get(field).filter(|value| !value.is_null())
    }

    /// A field's text.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Data`] when it is absent or no string.
    pub fn text(&self, field: &str) -> Result<&str> {
        const ALLOWED: &str = "a string";
        let value = self.required(field, ALLOWED)?;
        value.as_str().ok_or_else(|| self.wrong(field, ALLOWED))
    }

    /// A field's integer. A string of digits will do, since tables hold nothing but strings.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Data`] when it is absent or no integer of 64 bits.
    pub fn number(&self, field: &str) -> Result<i64> {
        const ALLOWED: &str = "an integer";
        let value = self.required(field, ALLOWED)?;
        integer(value).ok_or_else(|| self.wrong(field, ALLOWED))
    }

    /// A field's list of strings.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Data`] when it is absent or no such list.
    pub fn texts(&self, field: &str) -> Result<Vec<&str>> {
        const ALLOWED: &str = "a list of strings";
        let value = self.required(field, ALLOWED)?;
        let texts: Option<Vec<&str>> =
            value.as_array().and_then(|items| items.iter().map(Value::as_str).collect());
        texts.ok_or_else(|| self.wrong(field, ALLOWED))
    }

    /// Which of the allowed texts a field has.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Data`] when it is absent or none of them.
    pub fn one_of(&self, field: &str, allowed: &[&str]) -> Result<usize> {
        let text = self.text(field)?;
        allowed
            .iter()
            .position(|&candidate| candidate == text)
            .ok_or_else(|| self.wrong(field, &allowed.join(", ")))
    }

    /// The position of the right answer among `count` options, which is the field's number, as such
    /// or as a string; `None` for an unlabelled record, whose field is absent, null, empty or -1.
    ///
    /// `1.0` is 1, since a column with gaps becomes one of floats in many programs, and `true` is 1.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Data`] when it is anything else.
    pub fn label(&self, field: &str, count: usize) -> Result<Option<usize>> {
        self.label_from(0, field, count)
    }

    /// Like [`Record::label`], where the first option has the number `first`.
    ///
    /// # Errors
    ///
    /// Those of [`Record::label`].
    pub fn label_from(&self, first: usize, field: &str, count: usize) -> Result<Option<usize>> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let number = label_number(value);
        if number == Some(-1) || value.as_str().is_some_and(str::is_empty) {
            return Ok(None);
        }
        let position = number.and_then(|number| usize::try_from(number).ok()?.checked_sub(first));
        if let Some(position) = position.filter(|&position| position < count) {
            return Ok(Some(position));
        }
        Err(self.wrong(field, &format!("{}, -1 or null without label", range(first, count))))
    }

    /// These fields as they are, except where they are absent or null.
    pub fn keep(&self, names: &[&str]) -> Map<String, Value> {
        let kept = |&name: &&str| Some((name.to_owned(), self.get(name)?.clone()));
        names.iter().filter_map(kept).collect()
    }

    /// An error: the field has a value, or none, where only this is allowed.
    pub fn wrong(&self, field: &str, allowed: &str) -> Error {
        let found = match self.get(field) {
            None => return self.missing(field, allowed),
            Some(Value::String(text)) => format!("\"{}\"", excerpt(text)),
            Some(other) => excerpt(&other.to_string()),
        };
        self.error("a field has a value that is not allowed")
            .with_context("field", field)
            .with_context("found", found)
            .with_context("allowed", allowed)
    }

    /// An error about this record, with its place.
    pub fn error(&self, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Data, message)
            .with_context("file", self.source.path.display())
            .with_context(self.source.place, self.row)
    }

    fn required(&self, field: &str, allowed: &str) -> Result<&Value> {
        self.get(field).ok_or_else(|| self.missing(field, allowed))
    }

    fn missing(&self, field: &str, allowed: &str) -> Error {
        let unread = self.source.unread.iter().find(|(name, _)| name == field);
        if let Some((_, kind)) = unread {
            return self
                .error("a field is of a type that is not read")
                .with_context("field", field)
                .with_context("found", excerpt(kind))
                .with_context("allowed", allowed)
                .with_hint("convert the column");
        }
        let is_null = self.fields.contains_key(field);
        let names: Vec<_> = self.fields.keys().map(String::as_str).collect();
        self.error(if is_null { "a field is null" } else { "a field is missing" })
            .with_context("field", field)
            .with_context("found", format!("the fields {}", excerpt(&names.join(" "))))
            .with_context("allowed", allowed)
            .with_hint("is this a file of another task? see the plugin's README for the fields")
    }
}

/// An integer, as such or as a string.
fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_i64(),
    }
}

/// A label's number: an integer, a float without fraction, or a truth value.
fn label_number(value: &Value) -> Option<i64> {
    if let Value::Bool(is_true) = value {
        return Some(i64::from(*is_true));
    }
    let float = || match value {
        Value::String(text) => text.parse::<f64>().ok(),
        other => other.as_f64(),
    };
    // Through text, which refuses what is too large where a cast would give another number.
    let whole = |float: &f64| float.fract() == 0.0;
    integer(value).or_else(|| format!("{:.0}", float().filter(whole)?).parse().ok())
}

/// The numbers from `first` on, `count` of them, in a few words.
fn range(first: usize, count: usize) -> String {
    const LISTED: usize = 5;
    let numbers = first..first + count;
    if count > LISTED {
        return format!("{first} to {}", numbers.end - 1);
    }
    numbers.map(|number| number.to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(fields: &Value) -> Record {
        let unread = vec![("date".to_owned(), "Date32".to_owned())];
        let source = Source { path: PathBuf::from("a.jsonl"), place: "line", unread };
        Record::new(Arc::new(source), 3, fields.as_object().unwrap().clone())
    }

    #[test]
    fn fields_are_had_by_type() {
        let record = record(&json!({"a": "x", "n": -5, "s": "7", "l": ["p", "q"], "e": []}));
        assert_eq!(record.row(), 3);
        assert_eq!(record.fields().len(), 5);
        assert_eq!(record.text("a").unwrap(), "x");
        assert_eq!(record.number("n").unwrap(), -5);
        assert_eq!(record.number("s").unwrap(), 7);
        assert_eq!(record.texts("l").unwrap(), ["p", "q"]);
        assert_eq!(record.texts("e").unwrap(), [""; 0]);
        assert_eq!(record.one_of("a", &["w", "x"]).unwrap(), 1);
    }

    #[test]
    fn null_counts_as_absent() {
        let record = record(&json!({"a": null, "b": 1}));
        assert_eq!(record.get("a"), None);
        assert_eq!(Value::from(record.keep(&["a", "b", "c"])), json!({"b": 1}));
        assert_eq!(
            record.text("a").unwrap_err().to_string(),
            "a field is null (file: a.jsonl, line: 3, field: a, found: the fields a b, \
             allowed: a string)"
        );
    }

    #[test]
    fn a_label_is_a_position_as_a_number_or_as_a_string() {
        let label = |value: Value| record(&json!({ "label": value })).label("label", 2);
        assert_eq!(label(json!(1)).unwrap(), Some(1));
        assert_eq!(label(json!("0")).unwrap(), Some(0));
        for none in [json!(null), json!(-1), json!("-1"), json!("")] {
            assert_eq!(label(none).unwrap(), None);
        }
        assert_eq!(record(&json!({})).label("label", 2).unwrap(), None);
        for (wrong, found) in [
            (json!(2), "2"),
            (json!("entailment"), "\"entailment\""),
            (json!(0.5), "0.5"),
            (json!("1.5"), "\"1.5\""),
            (json!("nan"), "\"nan\""),
            (json!(1e300), "1e+300"),
            (json!(-2), "-2"),
            (json!([1]), "[1]"),
        ] {
            assert_eq!(
                label(wrong).unwrap_err().to_string(),
                format!(
                    "a field has a value that is not allowed (file: a.jsonl, line: 3, \
                     field: label, found: {found}, allowed: 0, 1, -1 or null without label)"
                )
            );
        }
    }

    #[test]
    fn truth_values_and_floats_without_fraction_are_labels_and_no_other_integers() {
        let label = |value: Value| record(&json!({ "label": value })).label("label", 2).unwrap();
        for (value, wanted) in [
            (json!(true), Some(1)),
            (json!(false), Some(0)),
            (json!(1.0), Some(1)),
            (json!("1.0"), Some(1)),
            (json!(-0.0), Some(0)),
            (json!(-1.0), None),
        ] {
            assert_eq!(label(value.clone()), wanted, "{value}");
        }
        for value in [json!(true), json!(1.0), json!("1.0")] {
            assert!(record(&json!({ "n": value })).number("n").is_err(), "{value}");
        }
    }

    #[test]
    fn labels_may_start_at_another_number_than_0() {
        let label = |value: Value| record(&json!({ "answer": value })).label_from(1, "answer", 2);
        assert_eq!(label(json!(1)).unwrap(), Some(0));
        assert_eq!(label(json!("2")).unwrap(), Some(1));
        assert_eq!(label(json!("")).unwrap(), None);
        for wrong in [json!(0), json!(3)] {
            let error = label(wrong).unwrap_err();
            assert_eq!(error.context("allowed"), Some("1, 2, -1 or null without label"));
        }
    }

    #[test]
    fn many_labels_are_told_as_a_range() {
        let error = record(&json!({"label": 100})).label("label", 100).unwrap_err();
        assert_eq!(error.context("allowed"), Some("0 to 99, -1 or null without label"));
    }

    #[test]
    fn wrong_and_missing_fields_are_named_with_what_was_found_and_is_allowed() {
        let record = record(&json!({"a": 1, "list": ["x", 2]}));
        let text = |error: Error| error.to_string();
        assert_eq!(
            text(record.text("a").unwrap_err()),
            "a field has a value that is not allowed (file: a.jsonl, line: 3, field: a, found: 1, \
             allowed: a string)"
        );
        assert_eq!(
            text(record.texts("list").unwrap_err()),
            "a field has a value that is not allowed (file: a.jsonl, line: 3, field: list, \
             found: [\"x\",2], allowed: a list of strings)"
        );
        let missing = record.number("b").unwrap_err();
        assert!(missing.hint().is_some());
        assert_eq!(
            text(missing),
            "a field is missing (file: a.jsonl, line: 3, field: b, found: the fields a list, \
             allowed: an integer)"
        );
        assert_eq!(text(record.error("no")), "no (file: a.jsonl, line: 3)");
    }

    #[test]
    fn a_column_that_is_not_read_is_not_called_missing() {
        assert_eq!(
            record(&json!({"a": 1})).text("date").unwrap_err().to_string(),
            "a field is of a type that is not read (file: a.jsonl, line: 3, field: date, \
             found: Date32, allowed: a string)"
        );
    }
}
