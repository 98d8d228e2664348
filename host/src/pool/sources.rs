//! A pool's or task's sources, read through their readers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deft_core::{Context, Error, ErrorKind, Example, Reader, Result, SkippedRow};
use serde_json::Value;

use super::paths::SourcePaths;

/// Examples asked of a reader at a time.
const BATCH: usize = 1024;

/// A source with the reader that understands it.
pub struct ReadSource {
    /// The reader.
    pub reader: Arc<dyn Reader>,
    /// Everything about the reader that can change an example.
    pub identity: Value,
    /// Files or folders, in order.
    pub paths: SourcePaths,
    /// Take only this many of the first examples.
    pub limit: Option<usize>,
}

impl std::fmt::Debug for ReadSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadSource").field("paths", &self.paths).finish_non_exhaustive()
    }
}

/// Reads every example of some files or folders, for sets that fit in memory; warns of rows that
/// are left out.
///
/// # Errors
///
/// [`ErrorKind::Data`] from the reader, with file and row, or when no example is there.
pub fn read_examples(
    reader: &dyn Reader,
    paths: &[PathBuf],
    limit: Option<usize>,
    ctx: &Context<'_>,
) -> Result<Vec<Example>> {
    let mut examples = Vec::new();
    let mut take = |batch: Vec<Example>| {
        examples.extend(batch);
        Ok(())
    };
    let mut skipped = Skipped::default();
    read_paths(reader, paths, limit, ctx, &mut take, &mut skipped)?;
    skipped.warn();
    if examples.is_empty() {
        let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        let error = skipped.nothing_left("there is no example in the source");
        return Err(error.with_context("source", names.join(", ")));
    }
    Ok(examples)
}

/// Rows that readers left out: by reason, how many, and where the first of them is.
#[derive(Debug, Default)]
pub(crate) struct Skipped(BTreeMap<String, (u64, String)>);

impl Skipped {
    fn add(&mut self, row: SkippedRow, path: &Path) {
        let place = || (0, format!("{}, row {}", path.display(), row.row));
        self.0.entry(row.reason).or_insert_with(place).0 += 1;
    }

    pub(super) fn counts(self) -> BTreeMap<String, u64> {
        self.0.into_iter().map(|(reason, (count, _))| (reason, count)).collect()
    }

    pub(crate) fn warn(&self) {
        for (reason, (count, first)) in &self.0 {
            log::warn!("rows left out: {count} ({reason}; the first: {first})");
        }
    }

    /// The error when nothing else was in a source.
    pub(super) fn nothing_left(&self, message: &str) -> Error {
        let error = Error::new(ErrorKind::Data, message);
        match self.0.first_key_value() {
            Some((reason, (count, first))) => error
                .with_context("rows left out", count)
                .with_context("reason", reason)
                .with_context("first", first)
                .with_hint("the reader's options may allow such rows: `deft plugin inspect`"),
            None => error.with_hint("look at the source with `deft read`"),
        }
    }
}

/// Hands every example to `take`, in order, and counts the rows left out by reason.
pub(crate) fn read_paths(
    reader: &dyn Reader,
    paths: &[PathBuf],
    limit: Option<usize>,
    ctx: &Context<'_>,
    take: &mut dyn FnMut(Vec<Example>) -> Result<()>,
    skipped: &mut Skipped,
) -> Result<()> {
    let mut left = limit.unwrap_or(usize::MAX);
    for path in paths {
        let mut stream = reader.open(ctx, path)?;
        while left > 0 {
            ctx.check()?;
            let Some(mut batch) = stream.next_batch(&ctx.quiet(), BATCH.min(left))? else { break };
            batch.examples.truncate(left);
            left -= batch.examples.len();
            for row in batch.skipped {
                skipped.add(row, path);
            }
            take(batch.examples)?;
        }
    }
    Ok(())
}
