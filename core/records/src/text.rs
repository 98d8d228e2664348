//! A file of text, decompressed as it is read.

use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use deft_core::prelude::*;
use deft_lines::Compression;

/// The longest row that is read, in bytes: what bounds the memory of a file that never ends one.
pub(crate) const MAX_ROW: usize = 64 << 20;

/// The mark that some editors put before UTF-8.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A file of text, positioned at one of its bytes.
pub(crate) struct Text {
    path: PathBuf,
    input: Box<dyn BufRead + Send>,
    compression: Compression,
}

impl Text {
    /// Opens a file, and goes past a byte order mark.
    pub(crate) fn open(path: &Path, compression: Compression) -> Result<Self> {
        let input = compression.open(path)?;
        let mut text = Self { path: path.to_owned(), input, compression };
        if text.fill()?.starts_with(BYTE_ORDER_MARK) {
            text.consume(BYTE_ORDER_MARK.len());
        }
        Ok(text)
    }

    /// Some of the bytes that come next; none at the end of the file.
    pub(crate) fn fill(&mut self) -> Result<&[u8]> {
        while let Err(error) = self.input.fill_buf() {
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(self.compression.unreadable(&self.path, &error));
            }
        }
        self.input.fill_buf().map_err(|error| self.compression.unreadable(&self.path, &error))
    }

    /// Goes past so many of the bytes that [`Text::fill`] gave.
    pub(crate) fn consume(&mut self, count: usize) {
        self.input.consume(count);
    }

    /// An error about the file, to which a place is added.
    pub(crate) fn error(&self, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Data, message).with_context("file", self.path.display())
    }
}

/// How many lines end within these bytes.
pub(crate) fn line_ends(bytes: &[u8]) -> u64 {
    bytes.iter().map(|&byte| u64::from(byte == b'\n')).sum()
}

/// What is wrong with JSON, in serde's words without its position.
pub(crate) fn malformed(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let what = message.rsplit_once(" at line ").map_or(message.as_str(), |(what, _)| what);
    format!("malformed JSON: {what}")
}

/// What to do about malformed JSON: text that is not even UTF-8 is to be converted.
pub(crate) fn remedy(bytes: &[u8], otherwise: &'static str) -> &'static str {
    if str::from_utf8(bytes).is_err() { "convert the file to UTF-8" } else { otherwise }
}
