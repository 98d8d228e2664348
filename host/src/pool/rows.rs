//! How many examples a source has, without reading all of it: counted, or estimated from its
//! beginning.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use deft_core::{Context, Error, ErrorKind, Example, Result, ResultExt};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use serde::Serialize;

use super::ReadSource;
use crate::console::whole_number;

/// Files of a source that are looked into at most, spread over all of them.
const FILES: usize = 8;

/// Examples asked of a reader at a time.
const BATCH: usize = 256;

/// A number of examples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Rows {
    /// How many.
    pub count: usize,
    /// Whether they were counted; otherwise they are estimated.
    pub exact: bool,
}

/// What was seen of a source.
#[derive(Debug, Default)]
pub(crate) struct Glimpse {
    pub(crate) rows: Rows,
    /// Examples from the beginnings of some of its files.
    pub(crate) examples: Vec<Example>,
    /// Examples that were read, and how long it took.
    pub(crate) read: usize,
    pub(crate) seconds: f64,
}

/// A file of a source.
struct SourceFile {
    path: PathBuf,
    bytes: u64,
    /// Whether the source names it: what merely lies in a folder may be none of its data.
    is_named: bool,
}

/// What was seen of one file.
#[derive(Default)]
struct Seen {
    rows: usize,
    skipped: usize,
    /// Whether it was read to its end.
    is_whole: bool,
    /// Examples in the whole file, as far as this tells.
    estimate: f64,
}

/// Looks at a source for so long, and keeps so many of the examples that it meets.
///
/// # Errors
///
/// Those of the reader for a file that the source names; [`ErrorKind::Data`] when there is none.
pub(crate) fn glimpse(
    source: &ReadSource,
    time: Duration,
    wanted: usize,
    ctx: &Context<'_>,
) -> Result<Glimpse> {
    let files = files_of(&source.paths)?;
    let picked: Vec<&SourceFile> = spread(files.len(), FILES).map(|i| &files[i]).collect();
    let limit = source.limit.unwrap_or(usize::MAX);
    let mut found = Glimpse::default();
    let (mut rows, mut bytes) = (0.0, 0);
    let (mut are_whole, mut skipped, mut unread) = (picked.len() == files.len(), 0, 0);
    let start = Instant::now();
    for file in &picked {
        let share = time / u32::try_from(picked.len()).unwrap_or(1);
        let wanted = wanted.div_ceil(picked.len());
        let seen = match look_into(source, file, share, (wanted, limit), &mut found, ctx) {
            Err(error) if file.is_named || error.kind() == ErrorKind::Cancelled => {
                return Err(error);
            }
            Err(_) => {
                unread += 1;
                continue;
            }
            Ok(seen) => seen,
        };
        found.read += seen.rows;
        rows += seen.estimate;
        bytes += file.bytes;
        skipped += seen.skipped;
        are_whole &= seen.is_whole;
    }
    found.seconds = start.elapsed().as_secs_f64();
    if unread == picked.len() {
        return Err(Error::new(ErrorKind::Data, "the reader reads none of the source's files")
            .with_context("first", files.first().map_or("", |f| f.path.to_str().unwrap_or(""))));
    }
    let all = all_rows(&files, (rows, bytes), found.read, skipped);
    let all = if are_whole { (rows, true) } else { all };
    found.rows = limited(all, found.read, source.limit);
    Ok(found)
}

/// Rows of all files, by those that were looked into; the metadata of Parquet files tells theirs.
fn all_rows(
    files: &[SourceFile],
    (rows, bytes): (f64, u64),
    read: usize,
    skipped: usize,
) -> (f64, bool) {
    let kept = read as f64 / ((read + skipped) as f64).max(1.0);
    let (mut total, mut other_bytes) = (0.0, 0);
    for file in files {
        match parquet_rows(&file.path) {
            Some(rows) => total += rows as f64 * kept,
            None => other_bytes += file.bytes,
        }
    }
    total += rows / (bytes as f64).max(1.0) * other_bytes as f64;
    (total, other_bytes == 0 && skipped == 0)
}

/// An estimate that is far above the limit is as good as a count.
fn limited((rows, exact): (f64, bool), read: usize, limit: Option<usize>) -> Rows {
    let count = usize::try_from(whole_number(rows)).unwrap_or(usize::MAX);
    match limit {
        Some(limit) if count >= limit => {
            Rows { count: limit, exact: exact || read >= limit || count / 2 >= limit }
        }
        _ => Rows { count, exact },
    }
}

fn look_into(
    source: &ReadSource,
    file: &SourceFile,
    time: Duration,
    (wanted, limit): (usize, usize),
    found: &mut Glimpse,
    ctx: &Context<'_>,
) -> Result<Seen> {
    let start = Instant::now();
    let mut stream = source.reader.open(ctx, &file.path)?;
    let (mut seen, mut kept, mut text) = (Seen::default(), 0, 0);
    // Where in the file the reader was after its first examples, for it reads ahead.
    let mut first: Option<Option<(u64, usize)>> = None;
    while seen.rows < limit && (first.is_none() || start.elapsed() < time) {
        ctx.check()?;
        let Some(batch) = stream.next_batch(ctx, BATCH)? else {
            seen.is_whole = true;
            break;
        };
        seen.skipped += batch.skipped.len();
        seen.rows += batch.examples.len();
        text += batch.examples.iter().map(length).sum::<usize>();
        let taken = batch.examples.len().min(wanted - kept);
        kept += taken;
        found.examples.extend(batch.examples.into_iter().take(taken));
        first.get_or_insert_with(|| Some((position(&file.path)?, seen.rows)));
    }
    let last = position(&file.path).map(|at| (at, seen.rows));
    seen.estimate = match parquet_rows(&file.path) {
        _ if seen.is_whole => seen.rows as f64,
        Some(rows) => rows as f64,
        None => estimate(file.bytes, first.flatten(), last, (text, seen.rows)),
    };
    Ok(seen)
}

/// Examples of a file by the bytes that two numbers of them took, or else by their text.
fn estimate(
    bytes: u64,
    first: Option<(u64, usize)>,
    last: Option<(u64, usize)>,
    (text, rows): (usize, usize),
) -> f64 {
    let each = match (first, last) {
        (Some((from, before)), Some((to, after))) if to > from && after > before => {
            (to - from) as f64 / (after - before) as f64
        }
        _ => text as f64 / rows.max(1) as f64,
    };
    // What has been read is there.
    (bytes as f64 / each.max(1.0)).max(rows as f64)
}

/// Bytes of an example as a line of JSON.
fn length(example: &Example) -> usize {
    serde_json::to_string(example).map_or(0, |text| text.len() + 1)
}

/// How far into a file this process has read, as the system tells where it can.
fn position(path: &Path) -> Option<u64> {
    let path = path.canonicalize().ok()?;
    let mut found = None;
    for entry in fs::read_dir("/proc/self/fd").ok()?.flatten() {
        if fs::read_link(entry.path()).is_ok_and(|target| target == path) {
            let info = Path::new("/proc/self/fdinfo").join(entry.file_name());
            let info = fs::read_to_string(info).ok()?;
            let at = info.lines().find_map(|line| line.strip_prefix("pos:"))?.trim().parse().ok();
            found = found.max(at);
        }
    }
    found
}

/// Rows of a Parquet file, from its metadata.
fn parquet_rows(path: &Path) -> Option<u64> {
    let mut file = File::open(path).ok()?;
    let mut magic = [0; 4];
    file.read_exact(&mut magic).ok().filter(|()| magic == *b"PAR1")?;
    let rows = SerializedFileReader::new(file).ok()?.metadata().file_metadata().num_rows();
    u64::try_from(rows).ok()
}

/// The files of a source, with those below its folders, in order.
fn files_of(paths: &[PathBuf]) -> Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    for path in paths {
        add_files(path, true, &mut files)?;
    }
    Ok(files)
}

fn add_files(path: &Path, is_named: bool, files: &mut Vec<SourceFile>) -> Result<()> {
    let metadata = fs::metadata(path).or_io("cannot read the source", path)?;
    if !metadata.is_dir() {
        files.push(SourceFile { path: path.to_owned(), bytes: metadata.len(), is_named });
        return Ok(());
    }
    let entries = fs::read_dir(path).or_io("cannot read the source", path)?;
    let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for entry in entries {
        let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_link = fs::symlink_metadata(&entry).is_ok_and(|found| found.is_symlink());
        if !(name.starts_with('.') || is_link && entry.is_dir()) {
            add_files(&entry, false, files)?;
        }
    }
    Ok(())
}

/// So many of `count` numbers (or all), evenly spread, the first among them.
pub(crate) fn spread(count: usize, wanted: usize) -> impl Iterator<Item = usize> {
    let wanted = wanted.min(count);
    (0..wanted).map(move |i| i * count / wanted)
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
