//! The file that lies beside an index: what was built, and of what.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use deft_core::prelude::*;
use deft_scan::Metric;

use crate::factory::Recipe;
use crate::kind;

/// The index itself, an ordinary FAISS file.
pub(crate) const INDEX: &str = "index.faiss";
/// What is known about it.
const CARD: &str = "faiss.json";
/// Version of the card.
const FORMAT: u32 = 1;

/// What the card of a user's own file has for a factory string.
const FILE: &str = "file";

/// Bytes from which on reading an index is shown.
const SHOWN_FROM: u64 = 1 << 30;

const REBUILD: &str = "remove the index's folder: the next run builds it again";
const LOOK_AGAIN: &str = "if `file` was moved or replaced on purpose, give `--rebuild index`: the file \
                          is looked at anew; else put back the one that was there";

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
    /// Fingerprint of the first and the last row's vectors: tells these rows from others. Empty where
    /// the vectors were not seen.
    ends: String,
    /// The user's own index file, which stays where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
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
            file: None,
        }
    }

    /// The card of a user's own index file.
    pub(crate) fn of_file(file: PathBuf, metric: Metric, dimension: usize) -> Self {
        Self { file: Some(file), ..Self::new(FILE.to_owned(), metric, dimension) }
    }

    /// Where the index file is.
    pub(crate) fn index(&self, dir: &Path) -> PathBuf {
        self.file.clone().unwrap_or_else(|| dir.join(INDEX))
    }

    /// What the factory string says; nothing is known of a user's own file.
    pub(crate) fn recipe(&self) -> Result<Option<Recipe>> {
        if self.file.is_some() {
            return Ok(None);
        }
        Recipe::parse(&self.factory).map(Some)
    }

    /// What to do where the index is not what it was.
    pub(crate) fn remedy(&self) -> &'static str {
        if self.file.is_some() { LOOK_AGAIN } else { REBUILD }
    }

    /// Writes the card of an index file that is there.
    pub(crate) fn write(
        mut self,
        ctx: &Context<'_>,
        dir: &Path,
        rows: usize,
        ends: String,
    ) -> Result<()> {
        let index = self.index(dir);
        (self.bytes, self.checksum) = measure(ctx, &index)?;
        (self.rows, self.ends) = (rows, ends);
        let mut text = serde_json::to_string_pretty(&self)
            .or_error(ErrorKind::Unexpected, "the index's card is no JSON")?;
        text.push('\n');
        let path = dir.join(CARD);
        std::fs::write(&path, text).or_io("cannot write the index's card", &path)
    }

    /// Reads a card, and checks that the index file is the one that was written, to the last bit:
    /// FAISS would take another for granted.
    pub(crate) fn read(ctx: &Context<'_>, dir: &Path) -> Result<Self> {
        let path = dir.join(CARD);
        let text = std::fs::read_to_string(&path).or_io("cannot read the index's card", &path)?;
        let card: Self = serde_json::from_str(&text).map_err(|error| {
            Error::new(ErrorKind::Data, "the index's card is damaged")
                .with_context("file", path.display())
                .with_source(&error)
                .with_hint(REBUILD)
        })?;
        card.same("file format", &card.format, &FORMAT, &path)?;
        card.check_file(ctx, &card.index(dir))?;
        Ok(card)
    }

    fn check_file(&self, ctx: &Context<'_>, index: &Path) -> Result<()> {
        let changed = |message: &str| {
            let message = if self.file.is_some() { "the index file has changed" } else { message };
            Error::new(ErrorKind::Data, message)
                .with_context("file", index.display())
                .with_hint(self.remedy())
        };
        // What to do about a file of the user's is the user's matter; one of ours is built again.
        kind::check(index).map_err(|error| match error.hint() {
            Some(_) if self.file.is_some() => error,
            _ => error.with_hint(self.remedy()),
        })?;
        let bytes = std::fs::metadata(index).or_io("cannot read the index", index)?.len();
        if bytes != self.bytes {
            return Err(changed("the index file is not whole")
                .with_context("bytes", bytes)
                .with_context("wanted", self.bytes));
        }
        if measure(ctx, index)?.1 != self.checksum {
            return Err(changed("the index file is damaged: its checksum is another"));
        }
        Ok(())
    }

    fn same<T: PartialEq + ToString>(
        &self,
        what: &str,
        found: &T,
        wanted: &T,
        path: &Path,
    ) -> Result<()> {
        if found == wanted {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Data, format!("the index was built with another {what}"))
            .with_context("file", path.display())
            .with_context("found", found.to_string())
            .with_context("wanted", wanted.to_string())
            .with_hint(self.remedy()))
    }

    /// Refuses an index that other options, or other vectors, have made.
    pub(crate) fn check(
        &self,
        dir: &Path,
        metric: Metric,
        vectors: Option<&VectorStore>,
    ) -> Result<()> {
        let path = dir.join(CARD);
        self.same("metric", &self.metric, &metric, &path)?;
        let Some(vectors) = vectors else { return Ok(()) };
        self.same("dimension", &self.dimension, &vectors.dimension(), &path)?;
        self.same("number of rows", &self.rows, &vectors.len(), &path)?;
        if self.file.is_some() || self.ends == ends_of(vectors)? {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Data, "the index was built from other vectors")
            .with_context("file", path.display())
            .with_context("vectors", vectors.dir().display())
            .with_context("rows", format!("{:?}", vectors.rows()))
            .with_hint(REBUILD))
    }
}

/// Length and CRC-32C of a file. It may take minutes: it is shown, and ends when the user asks.
fn measure(ctx: &Context<'_>, path: &Path) -> Result<(u64, u32)> {
    let failed = "cannot read the index";
    let mut file = File::open(path).or_io(failed, path)?;
    let all = file.metadata().or_io(failed, path)?.len();
    let megabytes = |bytes: u64| usize::try_from(bytes >> 20).unwrap_or(usize::MAX);
    let (mut length, mut checksum, mut buffer) = (0, 0, vec![0; 1 << 20]);
    loop {
        ctx.check()?;
        let read = file.read(&mut buffer).or_io(failed, path)?;
        if read == 0 {
            return Ok((length, checksum));
        }
        length += read as u64;
        checksum = crc32c::crc32c_append(checksum, &buffer[..read]);
        if all > SHOWN_FROM {
            ctx.progress(megabytes(length), megabytes(all), "MB checked");
        }
    }
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
