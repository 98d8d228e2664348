//! Whether files are still those that were looked at.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use deft_core::{Error, ErrorKind, Result, ResultExt};

/// What tells a file from another in its place, without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    path: PathBuf,
    length: u64,
    /// Seconds and nanoseconds of the last change.
    changed: (i64, i64),
    inode: u64,
}

impl Stamp {
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let metadata = path.metadata().or_io("cannot open the weights", path)?;
        Ok(Self {
            path: path.to_owned(),
            length: metadata.len(),
            changed: (metadata.mtime(), metadata.mtime_nsec()),
            inode: metadata.ino(),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Refuses files that are not those of `before`.
pub(crate) fn check(before: &[Stamp], now: &[Stamp]) -> Result<()> {
    if before == now {
        return Ok(());
    }
    let error = Error::new(ErrorKind::Model, "the weights were changed while they were in use")
        .with_hint("give the command again: it starts from the weights as they are now");
    let Some(stamp) = now.iter().find(|stamp| !before.contains(stamp)) else { return Err(error) };
    let error = error.with_context("file", stamp.path.display());
    Err(match before.iter().find(|old| old.path == stamp.path) {
        Some(old) => error.with_context("found", of(stamp)).with_context("wanted", of(old)),
        None => error.with_context("found", "a file that was not read at first"),
    })
}

fn of(stamp: &Stamp) -> String {
    let Stamp { length, changed: (seconds, _), inode, .. } = stamp;
    format!("{length} bytes, changed at {seconds}, inode {inode}")
}
