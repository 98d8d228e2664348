//! A pool's or task's sources, read through their readers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

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
    Ok(read_all(reader, paths, limit, ctx)?.0)
}

/// The same with all of a source, and a line of the log about it: `rte: 277 evaluation examples in
/// 0.1 s (2770/s), 0 rows left out`.
///
/// # Errors
///
/// Those of [`read_examples`].
pub(crate) fn read_and_tell(
    task: &str,
    usage: &str,
    reader: &dyn Reader,
    paths: &[PathBuf],
    ctx: &Context<'_>,
) -> Result<Vec<Example>> {
    let start = Instant::now();
    let (examples, skipped) = read_all(reader, paths, None, ctx)?;
    log::info!("{task}: {}", skipped.pace(examples.len(), &format!("{usage} examples"), start));
    Ok(examples)
}

fn read_all(
    reader: &dyn Reader,
    paths: &[PathBuf],
    limit: Option<usize>,
    ctx: &Context<'_>,
) -> Result<(Vec<Example>, Skipped)> {
    let mut examples = Vec::new();
    let mut take = |batch: Vec<Example>| {
        examples.extend(batch);
        Ok(())
    };
    let mut skipped = Skipped::default();
    read_paths(reader, paths, limit, ctx, &mut take, &mut skipped)?;
    skipped.warn();
    if examples.is_empty() {
        return Err(skipped.no_example(paths));
    }
    Ok((examples, skipped))
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

    /// Whether no row was left out.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What was read since `start`, how fast, and how many rows were left out.
    pub(crate) fn pace(&self, count: usize, what: &str, start: Instant) -> String {
        let seconds = start.elapsed().as_secs_f64();
        let rate = count as f64 / seconds.max(1e-6);
        let left_out: u64 = self.0.values().map(|(count, _)| count).sum();
        format!("{count} {what} in {seconds:.1} s ({rate:.0}/s), {left_out} rows left out")
    }

    /// The error when some files or folders have no example.
    pub(crate) fn no_example(&self, paths: &[PathBuf]) -> Error {
        let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        self.nothing_left("there is no example in the source")
            .with_context("source", names.join(", "))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_told_with_its_pace_and_the_rows_left_out() {
        let mut skipped = Skipped::default();
        for (row, reason) in [(3, "empty line"), (5, "empty line"), (6, "target missing")] {
            skipped.add(SkippedRow { row, reason: reason.to_owned() }, Path::new("a.jsonl"));
        }
        let pace = skipped.pace(2000, "examples", Instant::now());
        assert!(pace.starts_with("2000 examples in 0.0 s ("), "{pace}");
        assert!(pace.ends_with("/s), 3 rows left out"), "{pace}");
    }
}
