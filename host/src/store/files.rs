//! Small files of a store or run: text, JSON, JSON lines.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use deft_core::{ErrorKind, Result, ResultExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::commit::{commit, commit_first};

/// Writes a file as [`commit`] does.
///
/// # Errors
///
/// [`ErrorKind::Io`] when it cannot be written.
pub fn write_file(path: &Path, content: &[u8]) -> Result<()> {
    commit(path, |temporary| fs::write(temporary, content).or_io("cannot write", path))
}

/// Writes a value as readable JSON, as [`commit`] does.
///
/// # Errors
///
/// [`ErrorKind::Io`] when it cannot be written.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    write_file(path, to_json(value)?.as_bytes())
}

/// Like [`write_json`], but what another process has written meanwhile stays.
pub(super) fn write_json_first(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = to_json(value)?;
    commit_first(path, |temporary| fs::write(temporary, &text).or_io("cannot write", path))
}

fn to_json(value: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(value)
        .or_error(ErrorKind::Unexpected, "a value cannot be written as JSON")?;
    Ok(text + "\n")
}

/// Removes a file that is not needed any more, if there is one.
///
/// # Errors
///
/// [`ErrorKind::Io`] when it cannot be removed.
pub fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).or_io("cannot remove", path)
        }
        _ => Ok(()),
    }
}

/// Bytes of all files below a folder, or of a file.
pub fn bytes_below(path: &Path) -> u64 {
    match fs::read_dir(path) {
        Ok(entries) => entries.flatten().map(|entry| bytes_below(&entry.path())).sum(),
        Err(_) => fs::metadata(path).map_or(0, |metadata| metadata.len()),
    }
}

/// Reads JSON; what is not there or not of this form is `None`.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// The same, where to take an unreadable file for none would cost what it tells of.
///
/// # Errors
///
/// [`ErrorKind::Io`] when it is there and cannot be read.
pub fn read_json_at<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match fs::read(path) {
        Ok(text) => Ok(serde_json::from_slice(&text).ok()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).or_io("cannot read", path),
    }
}

/// A file of JSON lines being written; call it inside [`commit`].
#[derive(Debug)]
pub struct LineWriter {
    path: PathBuf,
    out: BufWriter<File>,
}

impl LineWriter {
    /// Starts the file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] when it cannot be written.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).or_io("cannot write", path)?;
        Ok(Self { path: path.to_owned(), out: BufWriter::new(file) })
    }

    /// Writes one line.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] when it cannot be written.
    pub fn write(&mut self, line: &impl Serialize) -> Result<()> {
        serde_json::to_writer(&mut self.out, line).or_io("cannot write", &self.path)?;
        self.out.write_all(b"\n").or_io("cannot write", &self.path)
    }

    /// Ends the file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] when it cannot be written.
    pub fn finish(mut self) -> Result<()> {
        self.out.flush().or_io("cannot write", &self.path)
    }
}
