//! One error for the whole system: it crosses the boundary as plain data.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, as far as a program can act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// An option or a manifest is wrong; [`Error::option`] says which.
    Options,
    /// A data file is wrong; the context names file and row.
    Data,
    /// A model folder is wrong or incomplete.
    Model,
    /// The operating system refused a file operation.
    Io,
    /// A plugin cannot be found, loaded or trusted.
    Plugin,
    /// The component cannot do what was asked.
    Unsupported,
    /// The user asked to stop.
    Cancelled,
    /// Code of a plugin panicked.
    Panicked,
    /// Anything else, among it broken invariants.
    #[serde(other)]
    Unexpected,
}

/// An error: a kind for programs, a message for people, context for debugging.
///
/// Messages are lower case without a final period and name the value and the rule:
/// ``"`k` must be at least 1 (k: 0)"``.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Error(Box<Inner>);

/// Boxed, so that a `Result` stays small.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Inner {
    kind: ErrorKind,
    message: String,
    #[serde(default)]
    context: Vec<(String, String)>,
    #[serde(default)]
    causes: Vec<String>,
    #[serde(default)]
    option: Option<String>,
    #[serde(default)]
    hint: Option<String>,
}

impl Error {
    /// An error of a kind with a message.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            context: Vec::new(),
            causes: Vec::new(),
            option: None,
            hint: None,
        }))
    }

    /// An error about the option at `path` (`index.ef_search`, `plugins[0]`).
    pub fn option_at(path: impl Into<String>, message: impl Into<String>) -> Self {
        let mut error = Self::new(ErrorKind::Options, message);
        error.0.option = Some(path.into());
        error
    }

    /// The error that [`crate::Context::check`] returns once the user asked to stop.
    pub fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "cancelled")
    }

    /// The answer to a call by a name that is not known.
    pub fn unknown_call(name: &str) -> Self {
        Self::new(ErrorKind::Unsupported, "there is nothing of this name to call")
            .with_context("name", name)
    }

    /// Adds what was being done, as key and value: `("file", "pool.jsonl")`.
    #[must_use]
    pub fn with_context(mut self, key: impl Into<String>, value: impl fmt::Display) -> Self {
        self.0.context.push((key.into(), value.to_string()));
        self
    }

    /// Adds the error beneath this one and everything beneath that.
    #[must_use]
    pub fn with_source(mut self, source: &dyn std::error::Error) -> Self {
        let mut next = Some(source);
        while let Some(error) = next {
            let text = error.to_string();
            if self.0.causes.last() != Some(&text) {
                self.0.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// Adds what the user can do about it; printed on a line of its own.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Puts `prefix` before the option's path, as errors rise from a child to its parent.
    #[must_use]
    pub fn within_option(mut self, prefix: &str) -> Self {
        if let Some(path) = &mut self.0.option {
            *path = match path.as_str() {
                "" => prefix.to_owned(),
                _ if prefix.is_empty() => return self,
                rest if rest.starts_with('[') => format!("{prefix}{rest}"),
                rest => format!("{prefix}.{rest}"),
            };
        }
        self
    }

    /// What went wrong, for programs.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What went wrong, for people, without context and causes.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Path of the option that is at fault, if one is.
    pub fn option(&self) -> Option<&str> {
        self.0.option.as_deref()
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The value of a context key.
    pub fn context(&self, key: &str) -> Option<&str> {
        self.0.context.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        for (i, (key, value)) in self.0.context.iter().enumerate() {
            let start = if i == 0 { " (" } else { ", " };
            write!(f, "{start}{key}: {value}")?;
        }
        if !self.0.context.is_empty() {
            f.write_str(")")?;
        }
        for cause in &self.0.causes {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// Turns errors of other crates into [`Error`] where the reader would ask “doing what?”.
pub trait ResultExt<T> {
    /// Wraps the error as the source of one with this kind and message.
    ///
    /// # Errors
    ///
    /// The wrapped error, if there was one.
    fn or_error(self, kind: ErrorKind, message: impl Into<String>) -> Result<T>;

    /// Wraps an error about a file.
    ///
    /// # Errors
    ///
    /// The wrapped error of kind [`ErrorKind::Io`], with the path in its context.
    fn or_io(self, message: &str, path: &std::path::Path) -> Result<T>;
}

impl<T, E: std::error::Error> ResultExt<T> for std::result::Result<T, E> {
    fn or_error(self, kind: ErrorKind, message: impl Into<String>) -> Result<T> {
        self.map_err(|source| Error::new(kind, message).with_source(&source))
    }

    fn or_io(self, message: &str, path: &std::path::Path) -> Result<T> {
        self.map_err(|source| {
            Error::new(ErrorKind::Io, message)
                .with_context("path", path.display())
                .with_source(&source)
        })
    }
}

/// The start of a text, on one line, for a message: at most 60 characters.
pub fn excerpt(text: &str) -> String {
    const LENGTH: usize = 60;
    let mut words = String::new();
    for word in text.split_whitespace() {
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(word);
        if words.chars().count() > LENGTH {
            return words.chars().take(LENGTH).chain(['…']).collect();
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_shows_message_then_context_then_causes() {
        let cause = std::io::Error::other("disk on fire");
        let error = Error::new(ErrorKind::Io, "cannot write the part")
            .with_context("part", 17)
            .with_source(&cause);
        assert_eq!(error.to_string(), "cannot write the part (part: 17): disk on fire");
    }

    #[test]
    fn option_paths_grow_from_child_to_parent() {
        let error = Error::option_at("ef_search", "must be positive")
            .within_option("index")
            .within_option("retriever");
        assert_eq!(error.option(), Some("retriever.index.ef_search"));
        let listed = Error::option_at("[2]", "x").within_option("plugins");
        assert_eq!(listed.option(), Some("plugins[2]"));
    }
}
