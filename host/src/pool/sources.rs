//! A pool's or task's sources: finding them, and reading them through their readers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deft_core::{Context, Error, ErrorKind, Example, Reader, Result, ResultExt, SkippedRow};
use serde_json::Value;

/// Examples asked of a reader at a time.
const BATCH: usize = 1024;

/// A source with the reader that understands it.
pub struct ReadSource {
    /// The reader.
    pub reader: Arc<dyn Reader>,
    /// Everything about the reader that can change an example.
    pub identity: Value,
    /// Files or folders, in order.
    pub paths: Vec<PathBuf>,
    /// Take only this many of the first examples.
    pub limit: Option<usize>,
}

impl std::fmt::Debug for ReadSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadSource").field("paths", &self.paths).finish_non_exhaustive()
    }
}

/// Files and folders that a source names: itself, or what its glob matches, sorted by bytes.
///
/// # Errors
///
/// [`ErrorKind::Options`] when nothing is there.
pub fn expand_source(source: &str, base: &Path) -> Result<Vec<PathBuf>> {
    if source.is_empty() {
        return Err(Error::option_at("", "the source is empty: name a file, a folder or a glob"));
    }
    let path = base.join(source);
    if path.exists() {
        check_readable(&path)?;
        return Ok(vec![path]);
    }
    let nothing = || {
        Error::option_at("", format!("nothing is at `{source}`"))
            .with_context("looked at", path.display())
            .with_hint(relative_to(base))
    };
    let is_glob = source.contains(['*', '?', '[']);
    let pattern = path.to_str().filter(|_| is_glob).ok_or_else(nothing)?;
    let matches = glob::glob(pattern)
        .map_err(|error| Error::option_at("", format!("`{source}` is no glob: {error}")))?;
    let mut paths: Vec<PathBuf> = matches.filter_map(Result::ok).collect();
    paths.sort_by(|a, b| a.as_os_str().as_encoded_bytes().cmp(b.as_os_str().as_encoded_bytes()));
    paths.iter().try_for_each(|path| check_readable(path))?;
    if paths.is_empty() { Err(nothing()) } else { Ok(paths) }
}

/// Refuses what is neither file nor folder (reading a pipe would never end), or may not be read.
fn check_readable(path: &Path) -> Result<()> {
    let metadata = path.metadata().or_io("cannot read the source", path)?;
    if metadata.is_dir() {
        return std::fs::read_dir(path).map(|_| ()).or_io("cannot read the source", path);
    }
    if metadata.is_file() {
        return std::fs::File::open(path).map(|_| ()).or_io("cannot read the source", path);
    }
    Err(Error::option_at("", "the source is neither a file nor a folder")
        .with_context("path", path.display()))
}

/// Where relative paths start, for a hint.
pub(crate) fn relative_to(base: &Path) -> String {
    let base = base.canonicalize().unwrap_or_else(|_| base.to_owned());
    format!("relative paths start at {}", base.display())
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
