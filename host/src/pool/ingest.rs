//! Reading the pool's sources into the store, part by part.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use deft_core::{
    Context, Error, ErrorKind, Example, Fingerprint, Reader, Result, ResultExt, SkippedRow,
};
use serde_json::{Value, json};

use super::parquet::{PartReader, SUFFIX, write_part};
use super::{PoolCard, StoredPool};
use crate::store::{Stage, Store};

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

/// Reads the sources into the store, unless they are there already.
///
/// # Errors
///
/// [`ErrorKind::Data`] from a reader, with file and row; [`ErrorKind::Io`].
pub fn ensure(
    store: &Store,
    sources: &[ReadSource],
    rows_per_part: usize,
    ctx: &Context<'_>,
) -> Result<StoredPool> {
    let mut described = Vec::new();
    for source in sources {
        let mut files = Vec::new();
        for path in &source.paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.push(json!({"name": name, "sha256": store.hash_source(path)?}));
        }
        described.push(json!({"reader": source.identity, "files": files, "limit": source.limit}));
    }
    let described = Value::Array(described);
    let fingerprint = Fingerprint::new()
        .with("pool")
        .with(rows_per_part.to_string())
        .with(described.to_string())
        .short();
    let stage = store.stage("pool", &fingerprint)?;
    if let Some(card) = stage.card().and_then(|card| serde_json::from_value(card).ok()) {
        return Ok(StoredPool::new(stage, card));
    }
    let card = ingest(&stage, sources, rows_per_part, described, ctx)?;
    let value = serde_json::to_value(&card).or_error(ErrorKind::Unexpected, "no JSON")?;
    stage.write_card(&value)?;
    Ok(StoredPool::new(stage, card))
}

/// Reads on this thread and writes on another, two parts at most between them.
fn ingest(
    stage: &Stage,
    sources: &[ReadSource],
    rows_per_part: usize,
    described: Value,
    ctx: &Context<'_>,
) -> Result<PoolCard> {
    let (sender, receiver) = sync_channel(1);
    let (rows, skipped) = std::thread::scope(|scope| {
        let writer = scope.spawn(move || write_parts(stage, &receiver));
        let mut parts = Parts { sender, part: Vec::new(), rows_per_part, rows: 0 };
        let read = read_sources(sources, &mut parts, ctx);
        let rows = parts.rows;
        // Dropping the sender ends the writer, whose own error explains a failed send.
        let sent = if read.is_ok() { parts.flush() } else { Ok(()) };
        drop(parts);
        let written = writer.join().unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Unexpected, "writing the pool panicked"))
        });
        written?;
        sent?;
        Ok::<_, Error>((rows, read?))
    })?;
    skipped.warn();
    if rows == 0 {
        return Err(skipped.nothing_left("the pool has no examples"));
    }
    Ok(PoolCard { rows, rows_per_part, skipped: skipped.counts(), sources: described })
}

/// Examples on their way into parts.
struct Parts {
    sender: SyncSender<Vec<Example>>,
    part: Vec<Example>,
    rows_per_part: usize,
    rows: usize,
}

impl Parts {
    fn push(&mut self, examples: Vec<Example>) -> Result<()> {
        for example in examples {
            self.part.push(example);
            self.rows += 1;
            if self.part.len() == self.rows_per_part {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if self.part.is_empty() {
            return Ok(());
        }
        let part = std::mem::take(&mut self.part);
        self.sender
            .send(part)
            .map_err(|_| Error::new(ErrorKind::Io, "the pool can no longer be written"))
    }
}

fn write_parts(stage: &Stage, parts: &Receiver<Vec<Example>>) -> Result<()> {
    for (number, examples) in parts.iter().enumerate() {
        // A killed run's parts are whole: what is there need not be written again.
        let path = stage.unit(number, SUFFIX);
        let same = |reader: PartReader| reader.rows() == examples.len();
        if path.exists() && PartReader::open(&path).is_ok_and(same) {
            continue;
        }
        stage.commit_unit(number, SUFFIX, |path| write_part(path, &examples))?;
    }
    Ok(())
}

fn read_sources(sources: &[ReadSource], parts: &mut Parts, ctx: &Context<'_>) -> Result<Skipped> {
    let mut skipped = Skipped::default();
    for source in sources {
        let mut take = |examples: Vec<Example>| {
            parts.push(examples)?;
            ctx.progress(parts.rows, 0, "rows");
            Ok(())
        };
        read_paths(&*source.reader, &source.paths, source.limit, ctx, &mut take, &mut skipped)?;
    }
    Ok(skipped)
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
struct Skipped(BTreeMap<String, (u64, String)>);

impl Skipped {
    fn add(&mut self, row: SkippedRow, path: &Path) {
        let place = || (0, format!("{}, row {}", path.display(), row.row));
        self.0.entry(row.reason).or_insert_with(place).0 += 1;
    }

    fn counts(self) -> BTreeMap<String, u64> {
        self.0.into_iter().map(|(reason, (count, _))| (reason, count)).collect()
    }

    fn warn(&self) {
        for (reason, (count, first)) in &self.0 {
            log::warn!("rows left out: {count} ({reason}; the first: {first})");
        }
    }

    /// The error when nothing else was in a source.
    fn nothing_left(&self, message: &str) -> Error {
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
fn read_paths(
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
