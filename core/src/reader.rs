//! Readers: sources into examples, and the task's metric.

use std::path::Path;

use crate::metrics::{ExampleScore, TaskSpec};
use crate::{Context, Error, ErrorKind, Example, Prediction, Result};

/// Reads a source into examples, and scores predictions for them.
///
/// - The same source gives the same examples in the same order.
/// - Sources are streamed: memory does not grow with their length.
/// - The host may open several sources at once.
pub trait Reader: Send + Sync {
    /// Opens a source: a file or a folder (globs are the host's business).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] when it cannot be opened, [`ErrorKind::Data`] when it is of no known form.
    fn open(&self, ctx: &Context<'_>, source: &Path) -> Result<Box<dyn ExampleStream>>;

    /// What the task wants predicted, and which metrics it reports.
    ///
    /// Without examples to evaluate, as for a pool, the default will do: no metrics.
    fn task(&self) -> TaskSpec {
        TaskSpec::default()
    }

    /// Scores predictions: one [`ExampleScore`] per example, in their order.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] where the reader has no metric; [`ErrorKind::Data`] for an
    /// example without what the metric needs.
    fn score(
        &self,
        _ctx: &Context<'_>,
        _examples: &[Example],
        _predictions: &[Prediction],
    ) -> Result<Vec<ExampleScore>> {
        Err(Error::new(ErrorKind::Unsupported, "this reader has no metric"))
    }

    /// Answers a request that this version of the trait does not name, JSON in and out.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Unsupported`] for every name that the component does not know.
    fn call(&self, _ctx: &Context<'_>, name: &str, _json: &str) -> Result<String> {
        Err(crate::Error::unknown_call(name))
    }
}

/// A source being read, by one thread at a time. After an error it may only be dropped.
pub trait ExampleStream: Send {
    /// The next examples, at most `max`; `None` at the end. A batch may hold only skipped rows.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Data`] for a row that cannot be understood, with file and line (or row).
    fn next_batch(&mut self, ctx: &Context<'_>, max: usize) -> Result<Option<Batch>>;
}

/// Some examples of a source, in its order.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// The examples.
    pub examples: Vec<Example>,
    /// Rows that are no examples by the reader's documented rules.
    pub skipped: Vec<SkippedRow>,
}

/// A row that a reader left out on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedRow {
    /// The row's number in its file, from 1 (the line, for JSONL).
    pub row: u64,
    /// Why, in words that are the same for every row left out for that reason.
    pub reason: String,
}
