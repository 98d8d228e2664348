//! A pool's or task's sources: finding them, and reading them through their readers.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

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
    pub paths: SourcePaths,
    /// Take only this many of the first examples.
    pub limit: Option<usize>,
}

impl std::fmt::Debug for ReadSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadSource").field("paths", &self.paths).finish_non_exhaustive()
    }
}

/// Files and folders that a source names, in order.
#[derive(Debug, Clone)]
pub struct SourcePaths {
    paths: Vec<PathBuf>,
    /// The pattern that they match, where it was one that named them.
    pattern: Option<String>,
}

impl From<Vec<PathBuf>> for SourcePaths {
    fn from(paths: Vec<PathBuf>) -> Self {
        Self { paths, pattern: None }
    }
}

impl Deref for SourcePaths {
    type Target = [PathBuf];

    fn deref(&self) -> &[PathBuf] {
        &self.paths
    }
}

impl SourcePaths {
    /// Makes sure that a glob still matches what it matched, after that was read.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Data`] naming a path that has come or gone; [`ErrorKind::Io`] as
    /// [`expand_source`].
    pub fn check_unchanged(&self) -> Result<()> {
        let Some(pattern) = &self.pattern else { return Ok(()) };
        let matches = glob::glob(pattern)
            .or_error(ErrorKind::Unexpected, "the source is no glob any more")?;
        let now = sorted(matches)?;
        if now == self.paths {
            return Ok(());
        }
        let come = now.iter().find(|path| !self.paths.contains(path));
        let other = come.or_else(|| self.paths.iter().find(|path| !now.contains(path)));
        let path = other.map(|path| path.display().to_string()).unwrap_or_default();
        Err(Error::new(ErrorKind::Data, "the files of the source changed while it was read")
            .with_context(if come.is_some() { "new" } else { "gone" }, path)
            .with_hint("run again once nothing is added or removed any more"))
    }
}

/// Files and folders that a source names: itself, or what its glob matches, sorted by bytes.
///
/// # Errors
///
/// [`ErrorKind::Options`] when nothing is there; [`ErrorKind::Io`] naming a file or folder that
/// cannot be read.
pub fn expand_source(source: &str, base: &Path) -> Result<SourcePaths> {
    if source.is_empty() {
        return Err(Error::option_at("", "the source is empty: name a file, a folder or a glob"));
    }
    let path = base.join(source);
    if path.exists() {
        check_readable(&path)?;
        return Ok(vec![path].into());
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
    let paths = sorted(matches)?;
    paths.iter().try_for_each(|path| check_readable(path))?;
    if paths.is_empty() {
        return Err(nothing());
    }
    Ok(SourcePaths { paths, pattern: Some(pattern.to_owned()) })
}

/// Whether a source names anything that is there.
pub(crate) fn is_there(source: &str, base: &Path) -> bool {
    let path = base.join(source);
    let matches = || glob::glob(path.to_str()?).ok()?.find_map(Result::ok);
    let is_glob = source.contains(['*', '?', '[']);
    !source.is_empty() && (path.exists() || (is_glob && matches().is_some()))
}

/// What a glob matches, by bytes. A folder that cannot be searched is an error: left out, the pool
/// would be smaller, and nobody would know.
fn sorted(matches: glob::Paths) -> Result<Vec<PathBuf>> {
    let mut paths = matches.collect::<Result<Vec<_>, _>>().map_err(|error| {
        Error::new(ErrorKind::Io, "cannot search the folder for the source's files")
            .with_context("path", error.path().display())
            .with_source(error.error())
            .with_hint("make it readable, or name the files so that it is not searched")
    })?;
    paths.sort_by(|a, b| a.as_os_str().as_encoded_bytes().cmp(b.as_os_str().as_encoded_bytes()));
    Ok(paths)
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
    use std::fs;

    /// A folder whose path is longer than the system takes: made in two pieces, and put together.
    fn too_deep(root: &Path) {
        let name = "d".repeat(200);
        let piece = |top: &str| {
            let mut dir = root.join(top);
            fs::create_dir(&dir).unwrap();
            for _ in 0..12 {
                dir.push(&name);
                fs::create_dir(&dir).unwrap();
            }
            dir
        };
        let end = piece("a");
        piece("b");
        fs::rename(root.join("b"), end.join("b")).unwrap();
    }

    #[test]
    fn a_folder_that_a_glob_cannot_search_is_an_error_and_no_smaller_pool() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("x.jsonl"), "").unwrap();
        assert_eq!(expand_source("**/*.jsonl", dir.path()).unwrap().len(), 1);
        too_deep(dir.path());
        let error = expand_source("**/*.jsonl", dir.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.context("path").unwrap().contains("/ddd"), "{error}");
        assert_eq!(expand_source("*.jsonl", dir.path()).unwrap().len(), 1, "nothing is searched");
    }

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

    #[test]
    fn a_source_is_there_if_it_or_a_match_of_it_is() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.jsonl"), "").unwrap();
        for (source, there) in [
            ("a.jsonl", true),
            ("*.jsonl", true),
            (".", true),
            ("b.jsonl", false),
            ("*.txt", false),
            ("[", false),
            ("", false),
        ] {
            assert_eq!(is_there(source, dir.path()), there, "{source}");
        }
    }

    #[test]
    fn a_glob_that_matches_otherwise_after_reading_names_what_came_or_went() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);
        fs::write(file("b.jsonl"), "").unwrap();
        let paths = expand_source("*.jsonl", dir.path()).unwrap();
        fs::write(file("b.txt"), "").unwrap();
        paths.check_unchanged().unwrap();
        fs::write(file("a.jsonl"), "").unwrap();
        let error = paths.check_unchanged().unwrap_err();
        assert!(error.context("new").unwrap().ends_with("a.jsonl"), "{error}");
        fs::remove_file(file("a.jsonl")).unwrap();
        fs::remove_file(file("b.jsonl")).unwrap();
        let error = paths.check_unchanged().unwrap_err();
        assert!(error.context("gone").unwrap().ends_with("b.jsonl"), "{error}");
    }
}
