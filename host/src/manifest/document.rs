//! A manifest's text: YAML with the position of every value.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use deft_core::{Error, ErrorKind, Result, excerpt};
use serde_json::{Map, Value};

use super::outline::{Outline, Position};
use super::variables::expand;

/// The largest manifest that is read.
const MAX_BYTES: u64 = 4 << 20;

/// Most steps of a path that is set from the command line.
const MAX_STEPS: usize = 32;

/// A manifest's YAML as JSON, and where each value stands.
#[derive(Debug, Clone)]
pub struct Document {
    path: PathBuf,
    value: Value,
    outline: Outline,
    overridden: Vec<String>,
}

impl Document {
    /// Reads a file, checks that it is YAML without duplicate keys, applies `overrides`
    /// (`path=value`), and replaces variables.
    ///
    /// # Errors
    ///
    /// [`deft_core::ErrorKind::Options`] with line and column.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self> {
        let unreadable = |error: std::io::Error| {
            Error::option_at("", "cannot read the manifest")
                .with_context("path", path.display())
                .with_source(&error)
                .with_hint("give the manifest's path as seen from the working directory")
        };
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(unreadable)?;
        // What is no file, a pipe for instance, says nothing of its length.
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        Self::parse(path, &bytes, overrides)
    }

    fn parse(path: &Path, bytes: &[u8], overrides: &[String]) -> Result<Self> {
        let mut document = Self {
            path: path.to_owned(),
            value: Value::Null,
            outline: Outline::default(),
            overridden: Vec::new(),
        };
        let refused = |document: &Self, (at, error)| Err(document.at(at, error));
        if bytes.len() as u64 > MAX_BYTES {
            let error = Error::option_at("", "the manifest is larger than 4 MiB")
                .with_hint("name many files by a glob: `source: data/*.jsonl`");
            return refused(&document, (None, error));
        }
        (document.value, document.outline) = match text_of(bytes).and_then(yaml) {
            Ok(read) => read,
            Err(refusal) => return refused(&document, refusal),
        };
        if let Err(error) = check_is_map(&document.value) {
            return refused(&document, (Some((1, 1)), error));
        }
        for text in overrides {
            document.set(text)?;
        }
        let mut value = std::mem::take(&mut document.value);
        expand(&mut value, "").map_err(|error| document.locate(error))?;
        document.value = value;
        Ok(document)
    }

    /// The manifest as JSON.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The folder that relative paths start from.
    pub fn dir(&self) -> &Path {
        match self.path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        }
    }

    /// Adds file, line and column to an error about an option.
    #[must_use]
    pub fn locate(&self, error: Error) -> Error {
        let Some(option) = error.option().map(str::to_owned) else { return error };
        if error.context("at").is_some() {
            return error;
        }
        if ancestors(&option).any(|path| self.overridden.iter().any(|set| set == path)) {
            return error.with_context("at", format!("--set {}", excerpt(&option)));
        }
        let position = ancestors(&option).find_map(|path| self.outline.position(path));
        self.at(position, error)
    }

    /// The same for an error about what an option names, of whatever kind: a download, for instance.
    #[must_use]
    pub fn locate_at(&self, error: Error, option: &str) -> Error {
        let error = self.locate(error.within_option(option));
        if error.context("at").is_some() || error.kind() == ErrorKind::Cancelled {
            return error;
        }
        let place = self.locate(Error::option_at(option, ""));
        error.with_context("at", place.context("at").unwrap_or_default())
    }

    fn at(&self, position: Option<Position>, error: Error) -> Error {
        let path = self.path.display();
        match position {
            Some((line, column)) => error.with_context("at", format!("{path}:{line}:{column}")),
            None => error.with_context("at", path),
        }
    }

    /// Sets one value: `retriever.index.ef_search=512`. Missing maps are made on the way.
    fn set(&mut self, text: &str) -> Result<()> {
        let wrong = |message: String| {
            Error::option_at("", message).with_context("at", format!("--set {}", excerpt(text)))
        };
        let (path, value) =
            text.split_once('=').filter(|(path, _)| !path.is_empty()).ok_or_else(|| {
                wrong("expected PATH=VALUE".to_owned())
                    .with_hint("for instance `--set selection.neighbors=50`")
            })?;
        if value.is_empty() {
            return Err(wrong("the value is empty: `''` is an empty text, `null` none".to_owned()));
        }
        let (value, _) = yaml(value)
            .map_err(|(_, error)| error.with_context("at", format!("--set {}", excerpt(text))))?;
        let steps = path.replace('[', ".[");
        if steps.split('.').count() > MAX_STEPS {
            return Err(wrong(format!("the path has more than {MAX_STEPS} steps")));
        }
        let shown = excerpt(path);
        let mut place = &mut self.value;
        for step in steps.split('.') {
            let index = step.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            place = if let Some(index) = index {
                index.parse::<usize>().ok().and_then(|index| place.get_mut(index)).ok_or_else(
                    || wrong(format!("`{shown}`: there is no item {}", excerpt(step))),
                )?
            } else {
                as_map(place)
                    .ok_or_else(|| {
                        wrong(format!("`{shown}`: `{}` is no key there", excerpt(step)))
                    })?
                    .entry(step)
                    .or_insert(Value::Null)
            };
        }
        *place = value;
        self.overridden.push(path.to_owned());
        Ok(())
    }
}

/// The map that a value is or stands for: a bare component name is short for one with `use`.
fn as_map(value: &mut Value) -> Option<&mut Map<String, Value>> {
    if let Value::String(name) = value {
        let name = std::mem::take(name);
        *value = Value::Object(Map::from_iter([("use".to_owned(), name.into())]));
    }
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut()
}

/// The path itself, then everything above it: `a.b[1].c`, `a.b[1]`, `a.b`, `a`.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    let up = |path: &&'_ str| path.rfind(['.', '[']);
    std::iter::successors(Some(path), move |path| up(path).map(|end| &path[..end]))
}

/// Why a text is refused, and where if that is known.
type Refusal = (Option<Position>, Error);

/// A file's text, without the mark that some editors put in front.
fn text_of(bytes: &[u8]) -> Result<&str, Refusal> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]).into_owned();
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let line = before.matches('\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        let error = Error::option_at("", "the manifest is not in UTF-8")
            .with_hint("save the file with the encoding UTF-8");
        (Some((line, column)), error)
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// A text of YAML as JSON, and where everything stands in it.
fn yaml(text: &str) -> Result<(Value, Outline), Refusal> {
    let outline = Outline::of(text).map_err(|(at, error)| (Some(at), error))?;
    let value = serde_yaml::from_str(text).map_err(|error| {
        let at = error.location().map(|at| (at.line(), at.column()));
        let message = error.to_string();
        // The position goes to the context.
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(what, _)| what);
        let error = if message.contains("number out of range") {
            Error::option_at("", "a number is too large")
                .with_hint("the largest is 18446744073709551615; quote it if it is a text")
        } else {
            Error::option_at("", format!("this cannot be read as YAML: {}", excerpt(message)))
        };
        (at, error)
    })?;
    Ok((value, outline))
}

fn check_is_map(value: &Value) -> Result<()> {
    const HINT: &str = "it begins with `version: 1` and `name: NAME`; see docs/manifest.md";
    let message = match value {
        Value::Object(_) => return Ok(()),
        Value::Null => "the manifest is empty",
        _ => "a manifest is a map of keys and values",
    };
    Err(Error::option_at("", message).with_hint(HINT))
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
