//! Where everything stands in a manifest's text, and what of YAML a manifest may not use.
//!
//! What is refused here would otherwise be read as something else than was meant (merge keys, tags,
//! `.nan`), or could fill the memory (deep nesting, aliases of aliases).

use std::collections::HashMap;

use deft_core::{Error, excerpt};
use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

/// Line and column, both from 1.
pub(super) type Position = (usize, usize);

/// Deepest nesting of lists and maps.
const MAX_DEPTH: usize = 64;

/// Longest key, in bytes: keys become names, paths and messages.
const MAX_KEY: usize = 200;

/// How large everything may be, in bytes, with a copy in place of every alias.
const MAX_EXPANDED: usize = 64 << 20;

/// What a value counts beside its text.
const VALUE: usize = 16;

/// The position of every key and list item.
#[derive(Debug, Clone, Default)]
pub(super) struct Outline(HashMap<PathHash, Position>);

impl Outline {
    /// Reads a text; or says where and why it cannot be (a part of) a manifest.
    pub(super) fn of(text: &str) -> Result<Self, (Position, Error)> {
        let mut walk = Walk::default();
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|error| {
                let mut at = (error.marker().line(), error.marker().col() + 1);
                if error.info().contains("tab") {
                    // The scanner names the text before the tab, or what follows it.
                    at = tab_from(text, at.0).unwrap_or(at);
                }
                (at, no_yaml(error.info()))
            })?;
            let at = position(span);
            walk.step(event, at).map_err(|error| (at, error))?;
        }
        Ok(Self(walk.found))
    }

    /// Where the option of a path like `pool[1].reader` stands.
    pub(super) fn position(&self, path: &str) -> Option<Position> {
        self.0.get(&PathHash::ROOT.with(path)).copied()
    }
}

fn position(span: Span) -> Position {
    (span.start.line(), span.start.col() + 1)
}

/// The first tab that indents a line, from this line on. Lines without content may have some.
fn tab_from(text: &str, line: usize) -> Option<Position> {
    let lines = (1..).zip(text.lines()).skip(line.saturating_sub(1));
    lines.filter(|(_, text)| !text.trim().is_empty() && !text.trim().starts_with('#')).find_map(
        |(line, text)| {
            let content = text.trim_start_matches([' ', '\t']);
            let tab = text[..text.len() - content.len()].find('\t')?;
            Some((line, tab + 1))
        },
    )
}

/// FNV-1a of a path. The paths themselves could be far longer than the text: every one of a million
/// items below a long key would repeat it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct PathHash(u64);

impl PathHash {
    const ROOT: Self = Self(0xcbf2_9ce4_8422_2325);

    fn with(self, text: &str) -> Self {
        let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self(text.bytes().fold(self.0, fold))
    }

    fn key(self, key: &str) -> Self {
        if self == Self::ROOT { self.with(key) } else { self.with(".").with(key) }
    }

    fn item(self, number: usize) -> Self {
        self.with(&format!("[{number}]"))
    }
}

/// A list or map that the walk is in.
struct Frame {
    path: PathHash,
    inside: Inside,
    /// The anchor's number; 0 without one.
    anchor: usize,
    /// Its bytes so far, see [`MAX_EXPANDED`].
    size: usize,
}

/// What comes next.
enum Inside {
    List { next: usize },
    Map { keys: HashMap<String, Position>, key: Option<PathHash> },
}

#[derive(Default)]
struct Walk {
    found: HashMap<PathHash, Position>,
    frames: Vec<Frame>,
    documents: usize,
    /// The size of what each finished anchor stands for.
    anchors: HashMap<usize, usize>,
}

impl Walk {
    fn step(&mut self, event: Event<'_>, at: Position) -> Result<(), Error> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(refused("a manifest is one YAML document, not several")
                        .with_hint("remove the line `---`, or make it two files"));
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                refuse_tag(tag.as_deref())?;
                if self.expects_key() {
                    return self.key(&text, anchor, at);
                }
                if style == ScalarStyle::Plain || tag.is_some() {
                    refuse_infinite(&text)?;
                }
                self.enter(at)?;
                self.add(VALUE + text.len(), anchor)
            }
            Event::Alias(anchor) => {
                self.enter(at)?;
                let size = self.anchors.get(&anchor).copied();
                let size = size.ok_or_else(|| {
                    refused("the alias stands inside of what it stands for")
                        .with_hint("write the block out")
                })?;
                self.add(size, 0)
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_tag(tag.as_deref())?;
                self.open(Inside::List { next: 0 }, anchor, at)
            }
            Event::MappingStart(anchor, tag) => {
                refuse_tag(tag.as_deref())?;
                self.open(Inside::Map { keys: HashMap::new(), key: None }, anchor, at)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.frames.pop() {
                Some(frame) => self.add(frame.size, frame.anchor),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn expects_key(&self) -> bool {
        let last = self.frames.last();
        last.is_some_and(|frame| matches!(frame.inside, Inside::Map { key: None, .. }))
    }

    /// A key of the map that the walk is in.
    fn key(&mut self, name: &str, anchor: usize, at: Position) -> Result<(), Error> {
        check_key(name)?;
        let Some(Frame { path, inside: Inside::Map { keys, key }, .. }) = self.frames.last_mut()
        else {
            return Ok(());
        };
        let path = path.key(name);
        *key = Some(path);
        if let Some((line, column)) = keys.insert(name.to_owned(), at) {
            return Err(refused(format!("the key `{name}` is there twice"))
                .with_context("first", format!("line {line}, column {column}"))
                .with_hint("remove or rename one of them"));
        }
        self.found.insert(path, at);
        self.add(VALUE + name.len(), anchor)
    }

    /// A value begins: its path. List items are noted; map values have their key's position.
    fn enter(&mut self, at: Position) -> Result<PathHash, Error> {
        let Some(frame) = self.frames.last_mut() else { return Ok(PathHash::ROOT) };
        match &mut frame.inside {
            Inside::List { next } => {
                let path = frame.path.item(*next);
                *next += 1;
                self.found.insert(path, at);
                Ok(path)
            }
            Inside::Map { key, .. } => key.take().ok_or_else(|| {
                refused("a key must be a text").with_hint("write `key: value`, a text before `: `")
            }),
        }
    }

    fn open(&mut self, inside: Inside, anchor: usize, at: Position) -> Result<(), Error> {
        let path = self.enter(at)?;
        if self.frames.len() == MAX_DEPTH {
            return Err(too_deep());
        }
        self.frames.push(Frame { path, inside, anchor, size: VALUE });
        Ok(())
    }

    /// Counts something finished into what it is in.
    fn add(&mut self, size: usize, anchor: usize) -> Result<(), Error> {
        if anchor > 0 {
            self.anchors.insert(anchor, size);
        }
        let Some(frame) = self.frames.last_mut() else { return Ok(()) };
        frame.size = frame.size.saturating_add(size);
        if frame.size <= MAX_EXPANDED {
            return Ok(());
        }
        let limit = MAX_EXPANDED >> 20;
        Err(refused(format!("with every alias replaced, the text is larger than {limit} MiB"))
            .with_hint("use fewer aliases (`*name`) of smaller blocks"))
    }
}

fn refused(message: impl Into<String>) -> Error {
    Error::option_at("", message)
}

fn too_deep() -> Error {
    refused(format!("lists and maps are more than {MAX_DEPTH} levels deep"))
        .with_hint("check the indentation, and that every bracket is closed")
}

/// The scanner's words, and what most often helps.
fn no_yaml(info: &str) -> Error {
    // Its own limit, which it meets before ours where it must look ahead.
    if info.contains("recursion limit") {
        return too_deep();
    }
    let hint = if info.contains("tab") {
        "indent with spaces, not tabs"
    } else if info.contains("anchor") || info.contains("alias") {
        "`*name` repeats a block marked `&name` further up; quote a text that starts with `*` or `&`"
    } else {
        "check the indentation, and quote texts with `: ` or ` #` in them or a sign in front"
    };
    refused(format!("this is no YAML: {}", excerpt(info))).with_hint(hint)
}

fn check_key(name: &str) -> Result<(), Error> {
    if name == "<<" {
        return Err(refused("merge keys (`<<`) are not supported")
            .with_hint("write the block out, or repeat a whole block: `&name` and `*name`"));
    }
    if name.len() > MAX_KEY {
        return Err(refused(format!("a key is longer than {MAX_KEY} bytes"))
            .with_context("key", excerpt(name)));
    }
    if name.contains(char::is_control) {
        return Err(refused("a key has a line break or control character")
            .with_context("key", name.escape_debug()));
    }
    Ok(())
}

fn refuse_tag(tag: Option<&Tag>) -> Result<(), Error> {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema() => {
            let tag = excerpt(&format!("{}{}", tag.handle, tag.suffix));
            Err(refused(format!("tags (`{tag}`) are not supported"))
                .with_hint("remove it, or quote a text that starts with `!`"))
        }
        _ => Ok(()),
    }
}

/// JSON has no such numbers: they would become null, which means that nothing was written.
fn refuse_infinite(text: &str) -> Result<(), Error> {
    let name = text.trim_start_matches(['+', '-']);
    if [".nan", ".inf"].iter().any(|infinite| name.eq_ignore_ascii_case(infinite)) {
        return Err(refused(format!("`{text}` is no number that an option can have"))
            .with_hint("write a finite number, or quote it if it is a text"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tabs_that_indent_are_found_from_a_line_on_and_others_are_not() {
        let text = "\ta: 1\r\n \t\r\n\t# b\r\nc:\t1\r\n  \td: 1\r\n";
        assert_eq!(tab_from(text, 1), Some((1, 1)));
        assert_eq!(tab_from(text, 2), Some((5, 3)));
        assert_eq!(tab_from(text, 6), None);
    }
}
