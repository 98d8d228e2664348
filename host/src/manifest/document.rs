//! A manifest's text: YAML with the position of every value.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use deft_core::{Error, Result};
use saphyr_parser::{Event, Parser, Span};
use serde_json::{Map, Value};

use super::variables::expand;

/// Line and column, both from 1.
type Position = (usize, usize);

/// The largest manifest that is read.
const MAX_BYTES: u64 = 4 << 20;

/// A manifest's YAML as JSON, and where each value stands.
#[derive(Debug, Clone)]
pub struct Document {
    path: PathBuf,
    value: Value,
    positions: HashMap<String, Position>,
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
        };
        let length = std::fs::metadata(path).map_err(unreadable)?.len();
        if length > MAX_BYTES {
            return Err(Error::option_at("", "the manifest is larger than 4 MiB")
                .with_context("path", path.display()));
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Self::parse(path, &text, overrides)
    }

    fn parse(path: &Path, text: &str, overrides: &[String]) -> Result<Self> {
        let mut document = Self {
            path: path.to_owned(),
            value: Value::Null,
            positions: HashMap::new(),
            overridden: Vec::new(),
        };
        document.positions = positions(text).map_err(|(position, message)| {
            document.at(Some(position), Error::option_at("", message))
        })?;
        document.value = serde_yaml::from_str(text).map_err(|error| {
            let position = error.location().map(|at| (at.line(), at.column()));
            document.at(position, Error::option_at("", error.to_string()))
        })?;
        if !document.value.is_object() {
            let error = Error::option_at("", "a manifest is a map of keys and values");
            return Err(document.at(Some((1, 1)), error));
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
        if self.overridden.iter().any(|set| option.starts_with(set)) {
            return error.with_context("at", format!("--set {option}"));
        }
        let position = ancestors(&option).find_map(|path| self.positions.get(path).copied());
        self.at(position, error)
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
            Error::option_at("", message).with_context("at", format!("--set {text}"))
        };
        let (path, value) = text
            .split_once('=')
            .filter(|(path, value)| !path.is_empty() && !value.is_empty())
            .ok_or_else(|| wrong("expected PATH=VALUE".to_owned()))?;
        let value: Value = serde_yaml::from_str(value).map_err(|error| wrong(error.to_string()))?;
        let mut place = &mut self.value;
        for step in path.replace('[', ".[").split('.') {
            let index = step.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            place = if let Some(index) = index {
                index
                    .parse::<usize>()
                    .ok()
                    .and_then(|index| place.get_mut(index))
                    .ok_or_else(|| wrong(format!("`{path}`: there is no item {step}")))?
            } else {
                as_map(place)
                    .ok_or_else(|| wrong(format!("`{path}`: `{step}` is no key there")))?
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

/// Where the walk is: inside a list, or inside a map and about to meet a key or a value.
enum Frame {
    List { path: String, next: usize },
    Map { path: String, keys: Vec<String>, key: Option<String> },
}

/// The position of every key or list item, by path; or where and why the text is no YAML.
fn positions(text: &str) -> Result<HashMap<String, Position>, (Position, String)> {
    let mut found = HashMap::new();
    let mut frames: Vec<Frame> = Vec::new();
    let mut documents = 0;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let at = (error.marker().line(), error.marker().col() + 1);
            (at, format!("this is no YAML: {}", explain(error.info())))
        })?;
        let at = position(span);
        match event {
            Event::DocumentStart(_) => {
                documents += 1;
                if documents > 1 {
                    return Err((at, "a manifest is one YAML document, not several".to_owned()));
                }
            }
            Event::Scalar(ref value, ..) => {
                if let Some(Frame::Map { path, keys, key }) = frames.last_mut()
                    && key.is_none()
                {
                    let name = value.to_string();
                    if keys.contains(&name) {
                        return Err((at, format!("the key `{name}` is there twice")));
                    }
                    found.insert(join(path, &name), at);
                    keys.push(name.clone());
                    *key = Some(name);
                    continue;
                }
                enter(&mut frames, &mut found, at);
            }
            Event::Alias(_) => drop(enter(&mut frames, &mut found, at)),
            Event::SequenceStart(..) => {
                let path = enter(&mut frames, &mut found, at);
                frames.push(Frame::List { path, next: 0 });
            }
            Event::MappingStart(..) => {
                let path = enter(&mut frames, &mut found, at);
                frames.push(Frame::Map { path, keys: Vec::new(), key: None });
            }
            Event::SequenceEnd | Event::MappingEnd => drop(frames.pop()),
            _ => {}
        }
    }
    Ok(found)
}

fn position(span: Span) -> Position {
    (span.start.line(), span.start.col() + 1)
}

/// A value begins: its path; list items are noted, map values have their key's position.
fn enter(frames: &mut [Frame], found: &mut HashMap<String, Position>, at: Position) -> String {
    match frames.last_mut() {
        None => String::new(),
        Some(Frame::List { path, next }) => {
            let item = format!("{path}[{next}]");
            *next += 1;
            found.insert(item.clone(), at);
            item
        }
        Some(Frame::Map { path, key, .. }) => join(path, &key.take().unwrap_or_default()),
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The scanner's words for a tab are not what a user would look for.
fn explain(info: &str) -> String {
    if info.contains("tab") {
        format!("{info} (indent with spaces, not tabs)")
    } else {
        info.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Result<Document> {
        Document::parse(Path::new("m.yaml"), text, &[])
    }

    fn place_of(text: &str, option: &str) -> String {
        let located = document(text).unwrap().locate(Error::option_at(option, "wrong"));
        located.context("at").unwrap().to_owned()
    }

    #[test]
    fn options_are_located_by_line_and_column_through_lists_and_flow_maps() {
        let text = "name: x\npool:\n  - { reader: p3, source: a }\n  - reader:\n      use: p3\n      variant: paper\n";
        assert_eq!(place_of(text, "pool[0].source"), "m.yaml:3:19");
        assert_eq!(place_of(text, "pool[1].reader.variant"), "m.yaml:6:7");
        assert_eq!(place_of(text, "pool[1].reader.unknown.deep"), "m.yaml:4:5");
    }

    #[test]
    fn duplicate_keys_tabs_and_several_documents_are_refused_with_their_place() {
        for (text, at, says) in [
            ("a: 1\nb: 2\na: 3\n", "m.yaml:3:1", "`a` is there twice"),
            ("a:\n  b: 1\n  b: 2\n", "m.yaml:3:3", "`b` is there twice"),
            ("a: 1\n---\nb: 2\n", "m.yaml:2:1", "one YAML document"),
            ("a:\n\tb: 1\n", "m.yaml:2:2", "spaces, not tabs"),
            ("- 1\n- 2\n", "m.yaml:1:1", "a map of keys and values"),
        ] {
            let error = document(text).expect_err(text);
            assert_eq!(error.context("at"), Some(at), "{error}");
            assert!(error.message().contains(says), "{error}");
        }
    }

    #[test]
    fn overrides_reach_into_bare_names_and_lists() {
        let text = "retriever: bm25\npool:\n  - { reader: p3 }\n";
        let sets = ["retriever.k1=1.2".to_owned(), "pool[0].limit=5".to_owned()];
        let document = Document::parse(Path::new("m.yaml"), text, &sets).unwrap();
        assert_eq!(document.value()["retriever"]["use"], "bm25");
        assert_eq!(document.value()["retriever"]["k1"], 1.2);
        assert_eq!(document.value()["pool"][0]["limit"], 5);
        let error = document.locate(Error::option_at("retriever.k1", "too large"));
        assert_eq!(error.context("at"), Some("--set retriever.k1"));
        let missing = Document::parse(Path::new("m.yaml"), text, &["pool[3].limit=5".to_owned()]);
        assert!(missing.is_err());
    }
}
