//! JSON lines, plain or compressed, one at a time: what most readers of DEFT read.
//!
//! Memory is bounded by the longest line, lines end at the line feed alone, and every error names
//! file and line. It is a crate of its own because core carries no decompressors.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use deft_core::excerpt;
use deft_core::prelude::*;

/// The longest line that is read, in bytes: what bounds the memory of a file without line feeds.
const MAX_LINE: usize = 64 << 20;
const BUFFER: usize = 256 << 10;

/// How a file of lines is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// As `gzip` does.
    Gzip,
    /// As `zstd` does.
    Zstd,
}

impl Compression {
    /// What the end of a name says (`.gz`, `.zst`, in upper or lower case), and the name without it.
    pub fn of_name(path: &Path) -> (Self, PathBuf) {
        let extension = path.extension().map(|it| it.to_string_lossy().to_ascii_lowercase());
        match extension.as_deref() {
            Some("gz") => (Self::Gzip, path.with_extension("")),
            Some("zst") => (Self::Zstd, path.with_extension("")),
            _ => (Self::None, path.to_owned()),
        }
    }

    /// What the first bytes of a file say.
    pub fn of_content(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }

    /// The name of such content in messages.
    pub const fn content(self) -> &'static str {
        match self {
            Self::None => "text",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// Opens a file and decompresses it as it is read.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] when it cannot be opened.
    pub fn open(self, path: &Path) -> Result<Box<dyn BufRead + Send>> {
        let file = File::open(path).or_io("cannot open the source", path)?;
        let plain = BufReader::with_capacity(BUFFER, file);
        let input: Box<dyn BufRead + Send> = match self {
            Self::None => Box::new(plain),
            // Several members in a row are one stream, as `gzip` itself has it.
            Self::Gzip => {
                let decoder = flate2::bufread::MultiGzDecoder::new(plain);
                Box::new(BufReader::with_capacity(BUFFER, decoder))
            }
            Self::Zstd => {
                let decoder = zstd::stream::read::Decoder::with_buffer(plain)
                    .or_io("cannot open the source", path)?;
                Box::new(BufReader::with_capacity(BUFFER, decoder))
            }
        };
        Ok(input)
    }

    /// What it means that reading from what [`Compression::open`] gave has failed.
    pub fn unreadable(self, path: &Path, source: &io::Error) -> Error {
        // What the operating system did not refuse, the decoder did.
        let damaged = self != Self::None && source.raw_os_error().is_none();
        let error = if damaged {
            Error::new(ErrorKind::Data, "the compressed file is damaged or incomplete")
                .with_hint("copy the file again")
        } else {
            Error::new(ErrorKind::Io, "cannot read the source")
        };
        error.with_context("file", path.display()).with_source(source)
    }
}

/// A file of JSON lines, positioned at one of them.
pub struct JsonLines {
    path: PathBuf,
    input: Box<dyn BufRead + Send>,
    compression: Compression,
    max_line: usize,
    /// The last line read, without its line feed.
    line: Vec<u8>,
    /// That line's number, from 1.
    number: u64,
    /// Whether that line is still to be given.
    held: bool,
    /// Empty lines before it that are still to be given.
    empty: Range<u64>,
}

/// What the present line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// A JSON object, as far as its first character says, at this line number:
    /// [`JsonLines::parse`] it.
    Object(u64),
    /// Nothing but white space, at this line number, with an object further down.
    Empty(u64),
}

impl std::fmt::Debug for JsonLines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "JsonLines({}:{})", self.path.display(), self.number)
    }
}

impl JsonLines {
    /// Opens a file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] when it cannot be opened.
    pub fn open(path: &Path, compression: Compression) -> Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            input: compression.open(path)?,
            compression,
            max_line: MAX_LINE,
            line: Vec::new(),
            number: 0,
            held: false,
            empty: 0..0,
        })
    }

    /// Goes to the next line; `None` at the end. Empty lines at the end of the file are no lines.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Data`] for a line that is no object or too long, and for damaged compression.
    pub fn advance(&mut self) -> Result<Option<Line>> {
        if self.empty.is_empty() && !self.held {
            self.read_past_empty_lines()?;
        }
        if let Some(number) = self.empty.next() {
            return Ok(Some(Line::Empty(number)));
        }
        if !std::mem::take(&mut self.held) {
            return Ok(None);
        }
        self.expect_object()?;
        Ok(Some(Line::Object(self.number)))
    }

    /// The fields of the present line.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Data`] with file, line and column when it is no such JSON.
    pub fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T> {
        serde_json::from_slice(&self.line).map_err(|error| {
            let message = error.to_string();
            // The position goes to the context; serde's own line number is always 1.
            let what = message.rsplit_once(" at line ").map_or(message.as_str(), |(what, _)| what);
            let wrong = self.wrong(format!("malformed JSON: {what}"));
            let wrong = wrong.with_context("column", error.column());
            if str::from_utf8(&self.line).is_ok() {
                return wrong;
            }
            wrong.with_hint("convert the file to UTF-8")
        })
    }

    /// An error about the present line.
    pub fn wrong(&self, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Data, message)
            .with_context("file", self.path.display())
            .with_context("line", self.number)
    }

    /// Reads up to the next line that is not empty, and remembers those that are.
    fn read_past_empty_lines(&mut self) -> Result<()> {
        let first = self.number + 1;
        while self.read_line()? {
            if !self.line.trim_ascii().is_empty() {
                self.empty = first..self.number;
                self.held = true;
                break;
            }
        }
        Ok(())
    }

    /// Reads one line; whether there was one.
    fn read_line(&mut self) -> Result<bool> {
        self.line.clear();
        let limit = self.max_line as u64 + 1;
        let read = (&mut self.input).take(limit).read_until(b'\n', &mut self.line);
        if read.map_err(|source| self.unreadable(&source))? == 0 {
            return Ok(false);
        }
        self.number += 1;
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
        } else if self.line.len() > self.max_line {
            let message = format!("the line is longer than {} bytes", self.max_line);
            return Err(self.wrong(message).with_hint("each line must be one JSON object"));
        }
        if self.number == 1 && self.line.starts_with(b"\xef\xbb\xbf") {
            self.line.drain(..3);
        }
        Ok(true)
    }

    /// Refuses early what serde would take for a row, or would refuse in words of its own.
    fn expect_object(&self) -> Result<()> {
        match self.line.trim_ascii_start().first() {
            Some(b'{') => Ok(()),
            Some(b'[') => Err(self
                .wrong("a JSON array where each line must be one JSON object")
                .with_hint("convert the file: jq -c '.[]' FILE.json > FILE.jsonl")),
            _ => Err(self
                .wrong("the line is no JSON object")
                .with_context("found", excerpt(&String::from_utf8_lossy(self.line.trim_ascii())))),
        }
    }

    fn unreadable(&self, source: &io::Error) -> Error {
        self.compression.unreadable(&self.path, source).with_context("after line", self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;

    fn opened(content: &[u8]) -> (tempfile::TempDir, JsonLines) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jsonl");
        fs::write(&path, content).unwrap();
        let lines = JsonLines::open(&path, Compression::None).unwrap();
        (dir, lines)
    }

    /// The number of each object, and the empty lines as negative numbers.
    fn numbers(content: &[u8]) -> Vec<i64> {
        let (_dir, mut lines) = opened(content);
        let mut numbers = Vec::new();
        while let Some(line) = lines.advance().unwrap() {
            numbers.push(match line {
                Line::Object(number) => number.cast_signed(),
                Line::Empty(number) => -number.cast_signed(),
            });
        }
        numbers
    }

    /// The first error of a file of this content, its path shortened to the name.
    fn error_of(content: &[u8]) -> Error {
        let (_dir, mut lines) = opened(content);
        lines.path = PathBuf::from("a.jsonl");
        lines.max_line = 1000;
        loop {
            match lines.advance() {
                Ok(Some(Line::Object(_))) => {}
                Ok(line) => assert_ne!(line, None, "no error"),
                Err(error) => return error,
            }
            if let Err(error) = lines.parse::<serde_json::Value>() {
                return error;
            }
        }
    }

    #[test]
    fn empty_lines_count_except_at_the_end() {
        assert_eq!(numbers(b""), [0; 0]);
        assert_eq!(numbers(b"\n\n"), [0; 0]);
        assert_eq!(numbers(b"{}\n{}"), [1, 2]);
        assert_eq!(numbers(b"\n{}\n \r\n\n{}\n\n\n"), [-1, 2, -3, -4, 5]);
    }

    #[test]
    fn lines_end_at_the_line_feed_alone() {
        let content = "{\"a\": \"x\u{2028}y\u{85}z\"}\r\n{}\r\n";
        assert_eq!(numbers(content.as_bytes()), [1, 2]);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_line() {
        assert_eq!(numbers("\u{feff}{}\n{}".as_bytes()), [1, 2]);
    }

    #[test]
    fn malformed_json_is_named_by_file_line_and_column() {
        let cut = error_of(b"{}\n{\"input\": \"a\n");
        assert_eq!(
            cut.to_string(),
            "malformed JSON: EOF while parsing a string (file: a.jsonl, line: 2, column: 12)"
        );
        let missing = error_of(b"\n{\"a\": 1 \"b\": 2}");
        assert_eq!(
            missing.to_string(),
            "malformed JSON: expected `,` or `}` (file: a.jsonl, line: 2, column: 9)"
        );
        let latin = error_of(b"{\"a\": \"\xe9\"}");
        assert_eq!(
            latin.to_string(),
            "malformed JSON: invalid unicode code point (file: a.jsonl, line: 1, column: 8)"
        );
        assert_eq!(latin.kind(), ErrorKind::Data);
        assert_eq!(latin.hint(), Some("convert the file to UTF-8"));
    }

    #[test]
    fn an_array_and_other_text_are_refused() {
        let array = error_of(b"[\n{}]");
        assert_eq!(
            array.to_string(),
            "a JSON array where each line must be one JSON object (file: a.jsonl, line: 1)"
        );
        assert_eq!(array.hint(), Some("convert the file: jq -c '.[]' FILE.json > FILE.jsonl"));
        let text = error_of(b"{}\n<html>\n");
        assert_eq!(
            text.to_string(),
            "the line is no JSON object (file: a.jsonl, line: 2, found: <html>)"
        );
    }

    #[test]
    fn a_line_may_be_as_long_as_the_limit_and_no_longer() {
        let mut content = vec![b' '; 998];
        content.extend(b"{}\n");
        content.extend(vec![b' '; 999]);
        content.extend(b"{}");
        let error = error_of(&content);
        assert_eq!(
            error.to_string(),
            "the line is longer than 1000 bytes (file: a.jsonl, line: 2)"
        );
        assert_eq!(error.hint(), Some("each line must be one JSON object"));
    }

    #[test]
    fn a_cut_compressed_file_is_damaged_data() {
        let dir = tempfile::tempdir().unwrap();
        let text = "{\"a\": 1}\n".repeat(1000);
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        let gzip = encoder.finish().unwrap();
        let zstd = zstd::encode_all(text.as_bytes(), 1).unwrap();
        for (bytes, compression) in [(gzip, Compression::Gzip), (zstd, Compression::Zstd)] {
            let path = dir.path().join("cut");
            fs::write(&path, &bytes[..bytes.len() - 6]).unwrap();
            let mut lines = JsonLines::open(&path, compression).unwrap();
            let error = loop {
                match lines.advance() {
                    Ok(line) => assert!(line.is_some(), "no error"),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), ErrorKind::Data);
            assert_eq!(error.message(), "the compressed file is damaged or incomplete");
            assert_eq!(error.hint(), Some("copy the file again"));
            assert!(error.context("after line").is_some());
        }
    }
}
