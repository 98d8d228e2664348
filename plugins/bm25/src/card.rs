//! The file beside a part's postings: which texts were indexed, and the checksums of what holds them.
//!
//! tantivy trusts its files: a changed byte is a panic there, or other hits. Its own checksums leave
//! out its notes, and a file that these no longer name. So every file has one here, which is looked at
//! before tantivy opens any.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind as IoErrorKind, Read as _};
use std::ops::Range;
use std::path::Path;

use deft_core::prelude::*;

use crate::segment::analyzer_name;
use crate::writer::segment_dir;

/// Version of a unit's files: part of the fingerprint of every index.
pub(crate) const FORMAT: u32 = 2;

/// The card's name, within the unit's folder.
const CARD: &str = "bm25.json";

/// Bytes of all parts from which on reading them is shown.
const SHOWN_FROM: u64 = 1 << 30;

const CANNOT_READ: &str = "cannot read the index of a part";
const FOREIGN: &str = "the index of this part is of another pool or another part";
const REMEDY: &str = "remove the folder: the next run builds it again";

/// What was indexed, and the files that hold it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Card {
    format: u32,
    analyzer: String,
    /// Row of the pool that the part begins with.
    first: usize,
    /// Number of its rows.
    pub(crate) rows: usize,
    /// Fingerprint of the first and the last text: tells these from others at the cost of two.
    ends: String,
    /// Fingerprint of all texts.
    pub(crate) texts: String,
    /// The files of the segment, by name.
    files: BTreeMap<String, Sum>,
}

/// What a file is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sum {
    bytes: u64,
    /// CRC-32C.
    checksum: u32,
}

impl Card {
    /// The card of these rows, before the segment's files are known. `ends` and `texts` are the
    /// fingerprints of the first and last text, and of all.
    pub(crate) fn new(rows: &Range<usize>, ends: String, texts: String) -> Self {
        Self {
            format: FORMAT,
            analyzer: analyzer_name(),
            first: rows.start,
            rows: rows.len(),
            ends,
            texts,
            files: BTreeMap::new(),
        }
    }

    /// Notes the segment's files, which are complete, and writes the card beside them.
    pub(crate) fn write(mut self, ctx: &Context<'_>, unit: &Path) -> Result<()> {
        let (dir, failed) = (segment_dir(unit), "cannot list the segment's files");
        let mut meter = Meter::new(ctx, 0);
        for entry in std::fs::read_dir(&dir).or_io(failed, &dir)? {
            let path = entry.or_io(failed, &dir)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let file = File::open(&path).or_io(CANNOT_READ, &path)?;
            self.files.insert(name, meter.sum(file, &path)?);
        }
        let mut text = serde_json::to_string_pretty(&self)
            .or_error(ErrorKind::Unexpected, "the card of a part's index is no JSON")?;
        text.push('\n');
        let path = unit.join(CARD);
        std::fs::write(&path, text).or_io("cannot write the card of a part's index", &path)
    }

    /// Reads the card of a unit, and refuses one of another analyser or of other rows.
    pub(crate) fn read(unit: &Path, rows: &Range<usize>) -> Result<Self> {
        let path = unit.join(CARD);
        let bytes = match std::fs::read(&path) {
            Err(error) if error.kind() == IoErrorKind::NotFound => {
                return Err(damaged(unit).with_context("files", missing(CARD)));
            }
            bytes => bytes.or_io("cannot read the card of a part's index", &path)?,
        };
        let card: Self = serde_json::from_slice(&bytes)
            .map_err(|error| damaged(unit).with_context("files", CARD).with_source(&error))?;
        let format = |version: u32| format!("file format {version}");
        let range = |first: usize, rows: usize| format!("{rows} rows from row {first}");
        let other_version = "the index of this part was made by another version";
        same(unit, other_version, &format(card.format), &format(FORMAT))?;
        let other_analyzer = "the index of this part has terms of another analyser";
        same(unit, other_analyzer, &card.analyzer, &analyzer_name())?;
        let (found, wanted) = (range(card.first, card.rows), range(rows.start, rows.len()));
        same(unit, FOREIGN, &found, &wanted)?;
        Ok(card)
    }

    /// Refuses an index whose first or last text is another: `ends` is the fingerprint of the pool's.
    pub(crate) fn check_ends(&self, unit: &Path, ends: &str) -> Result<()> {
        same(unit, FOREIGN, &self.ends, ends)
    }

    /// Refuses an index of other texts: `texts` is the fingerprint of the pool's.
    pub(crate) fn check_texts(&self, unit: &Path, texts: &str) -> Result<()> {
        same(unit, FOREIGN, &self.texts, texts)
    }

    /// Bytes of the segment's files.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.values().fold(0_u64, |sum, file| sum.saturating_add(file.bytes))
    }

    /// Refuses a segment whose files are not, to the last bit, those that were written.
    pub(crate) fn check_files(&self, meter: &mut Meter<'_>, unit: &Path) -> Result<()> {
        let mut changed = Vec::new();
        for (name, wanted) in &self.files {
            let path = segment_dir(unit).join(name);
            let file = match File::open(&path) {
                Err(error) if error.kind() == IoErrorKind::NotFound => {
                    changed.push(missing(name));
                    continue;
                }
                file => file.or_io(CANNOT_READ, &path)?,
            };
            let found = meter.sum(file, &path)?;
            if found.bytes != wanted.bytes {
                changed.push(format!("{name} has {} bytes of {}", found.bytes, wanted.bytes));
            } else if found != *wanted {
                changed.push(format!("{name} has another checksum"));
            }
        }
        if changed.is_empty() {
            return Ok(());
        }
        Err(damaged(unit).with_context("files", changed.join(", ")))
    }
}

/// Reads files for their checksums. It may take minutes: it is shown, and ends when the user asks.
pub(crate) struct Meter<'a> {
    ctx: Context<'a>,
    done: u64,
    all: u64,
    buffer: Vec<u8>,
}

impl<'a> Meter<'a> {
    /// For files of `all` bytes together; few of them are not shown.
    pub(crate) fn new(ctx: &Context<'a>, all: u64) -> Self {
        Self { ctx: *ctx, done: 0, all, buffer: vec![0; 1 << 20] }
    }

    fn sum(&mut self, mut file: File, path: &Path) -> Result<Sum> {
        let megabytes = |bytes: u64| usize::try_from(bytes >> 20).unwrap_or(usize::MAX);
        let mut sum = Sum { bytes: 0, checksum: 0 };
        loop {
            self.ctx.check()?;
            let read = file.read(&mut self.buffer).or_io(CANNOT_READ, path)?;
            if read == 0 {
                return Ok(sum);
            }
            sum.bytes += read as u64;
            sum.checksum = crc32c::crc32c_append(sum.checksum, &self.buffer[..read]);
            self.done = (self.done + read as u64).min(self.all);
            if self.all > SHOWN_FROM {
                self.ctx.progress(megabytes(self.done), megabytes(self.all), "MB checked");
            }
        }
    }
}

/// The error for a unit that must be made again.
pub(crate) fn refused(unit: &Path, message: &str) -> Error {
    Error::new(ErrorKind::Data, message).with_context("folder", unit.display()).with_hint(REMEDY)
}

fn damaged(unit: &Path) -> Error {
    refused(unit, "the index of this part is damaged")
}

fn missing(name: &str) -> String {
    format!("{name} is missing")
}

fn same(unit: &Path, message: &str, found: &str, wanted: &str) -> Result<()> {
    if found == wanted {
        return Ok(());
    }
    Err(refused(unit, message).with_context("found", found).with_context("wanted", wanted))
}
