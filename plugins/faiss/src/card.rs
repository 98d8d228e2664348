//! The file that lies beside an index: what was built, and of what.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use deft_core::prelude::*;
use deft_scan::Metric;

/// The index itself, an ordinary FAISS file.
pub(crate) const INDEX: &str = "index.faiss";
/// What is known about it.
const CARD: &str = "faiss.json";
/// Version of the card.
const FORMAT: u32 = 1;

const REBUILD: &str = "remove the index's folder: the next run builds it again from the vectors";

/// What was built, and of what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Card {
    format: u32,
    /// The factory string: the one that was chosen, where `auto` was asked for.
    pub(crate) factory: String,
    pub(crate) metric: Metric,
    pub(crate) dimension: usize,
    pub(crate) rows: usize,
    /// Length of the index file, and its CRC-32C.
    bytes: u64,
    checksum: u32,
    /// Fingerprint of the first and the last row's vectors: tells these rows from others.
    ends: String,
}

impl Card {
    /// The card of a new index, before its file is written.
    pub(crate) fn new(factory: String, metric: Metric, dimension: usize) -> Self {
        Self {
            format: FORMAT,
            factory,
            metric,
            dimension,
            rows: 0,
            bytes: 0,
            checksum: 0,
            ends: String::new(),
        }
    }

    /// Writes the card of an index file that is there.
    pub(crate) fn write(mut self, dir: &Path, rows: usize, ends: String) -> Result<()> {
        let index = dir.join(INDEX);
        (self.bytes, self.checksum) = measure(&index)?;
        (self.rows, self.ends) = (rows, ends);
        let mut text = serde_json::to_string_pretty(&self)
            .or_error(ErrorKind::Unexpected, "the index's card is no JSON")?;
        text.push('\n');
        let path = dir.join(CARD);
        std::fs::write(&path, text).or_io("cannot write the index's card", &path)
    }

    /// Reads a card, and checks that the index file is the one that was written, to the last bit:
    /// FAISS would take another for granted.
    pub(crate) fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(CARD);
        let damaged = |message: &str, path: PathBuf| {
            Error::new(ErrorKind::Data, message)
                .with_context("file", path.display())
                .with_hint(REBUILD)
        };
        let text = std::fs::read_to_string(&path).or_io("cannot read the index's card", &path)?;
        let card: Self = serde_json::from_str(&text).map_err(|error| {
            damaged("the index's card is damaged", path.clone()).with_source(&error)
        })?;
        same("file format", &card.format, &FORMAT, &path)?;
        let index = dir.join(INDEX);
        let bytes = std::fs::metadata(&index).or_io("cannot read the index", &index)?.len();
        if bytes != card.bytes {
            return Err(damaged("the index file is not whole", index)
                .with_context("bytes", bytes)
                .with_context("wanted", card.bytes));
        }
        if measure(&index)?.1 != card.checksum {
            return Err(damaged("the index file is damaged: its checksum is another", index));
        }
        Ok(card)
    }

    /// Refuses an index that other options, or other vectors, have made.
    pub(crate) fn check(
        &self,
        dir: &Path,
        metric: Metric,
        vectors: Option<&VectorStore>,
    ) -> Result<()> {
        let path = dir.join(CARD);
        same("metric", &self.metric, &metric, &path)?;
        let Some(vectors) = vectors else { return Ok(()) };
        same("dimension", &self.dimension, &vectors.dimension(), &path)?;
        same("number of rows", &self.rows, &vectors.len(), &path)?;
        if self.ends == ends_of(vectors)? {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Data, "the index was built from other vectors")
            .with_context("file", path.display())
            .with_context("vectors", vectors.dir().display())
            .with_context("rows", format!("{:?}", vectors.rows()))
            .with_hint(REBUILD))
    }
}

/// Length and CRC-32C of a file.
fn measure(path: &Path) -> Result<(u64, u32)> {
    let failed = "cannot read the index";
    let mut file = File::open(path).or_io(failed, path)?;
    let (mut length, mut checksum, mut buffer) = (0, 0, vec![0; 1 << 20]);
    loop {
        let read = file.read(&mut buffer).or_io(failed, path)?;
        if read == 0 {
            return Ok((length, checksum));
        }
        length += read as u64;
        checksum = crc32c::crc32c_append(checksum, &buffer[..read]);
    }
}

fn same<T: PartialEq + ToString>(what: &str, found: &T, wanted: &T, path: &Path) -> Result<()> {
    if found == wanted {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Data, format!("the index was built with another {what}"))
        .with_context("file", path.display())
        .with_context("found", found.to_string())
        .with_context("wanted", wanted.to_string())
        .with_hint(REBUILD))
}

/// The fingerprint of a first and a last row.
pub(crate) fn ends(first: &[f32], last: &[f32]) -> String {
    let mut fingerprint = Fingerprint::new();
    for number in first.iter().chain(last) {
        fingerprint.add(&number.to_le_bytes());
    }
    fingerprint.short()
}

fn ends_of(vectors: &VectorStore) -> Result<String> {
    let (mut first, mut last) = (Vec::new(), Vec::new());
    if !vectors.is_empty() {
        vectors.read(0..1, &mut first)?;
        vectors.read(vectors.len() - 1..vectors.len(), &mut last)?;
    }
    Ok(ends(&first, &last))
}
