//! The rows of a JSON array, one at a time.
//!
//! A scan finds where a row ends, by brackets outside of strings, and serde parses that alone: a
//! file of any length needs the memory of its longest row.

use deft_core::excerpt;
use deft_core::prelude::*;
use serde_json::{Map, Value};

use crate::text::{MAX_ROW, Text, line_ends, malformed, remedy};

/// What a file may hold, for a hint.
const ALLOWED: &str = "a .json file holds one array of objects, or one object on each line";

/// A JSON array of objects, positioned after one of them.
pub(crate) struct JsonArray {
    text: Text,
    max_row: usize,
    /// The last row read.
    row: Vec<u8>,
    /// That row's number, from 1.
    number: u64,
    /// The line of the next byte.
    line: u64,
    is_at_end: bool,
}

/// Where a scan is within a row.
#[derive(Default)]
struct Scan {
    depth: usize,
    in_string: bool,
    is_escaped: bool,
}

impl JsonArray {
    /// The rows of a text, if that is an array.
    pub(crate) fn begin(text: Text) -> Result<Option<Self>> {
        let row = Vec::new();
        let mut array = Self { text, max_row: MAX_ROW, row, number: 0, line: 1, is_at_end: false };
        if array.skip_white()? != Some(b'[') {
            return Ok(None);
        }
        array.text.consume(1);
        Ok(Some(array))
    }

    /// The next row's number and fields; `None` at the end.
    pub(crate) fn advance(&mut self) -> Result<Option<(u64, Map<String, Value>)>> {
        if self.is_at_end {
            return Ok(None);
        }
        let mut next = self.skip_white()?;
        let is_after_comma = next == Some(b',') && self.number > 0;
        if is_after_comma {
            self.text.consume(1);
            next = self.skip_white()?;
        }
        let wants_row = is_after_comma || self.number == 0;
        match next {
            None => Err(self.cut_short(self.number)),
            Some(b'{') if wants_row => self.read_row().map(Some),
            Some(b']') if !is_after_comma => self.finish().map(|()| None),
            Some(_) => Err(self.unexpected(wants_row)),
        }
    }

    fn finish(&mut self) -> Result<()> {
        self.text.consume(1);
        self.is_at_end = true;
        match self.skip_white()? {
            None => Ok(()),
            Some(_) => Err(self
                .text
                .error("there is more text after the JSON array")
                .with_context("line", self.line)
                .with_hint(ALLOWED)),
        }
    }

    /// Goes to the next byte that is no white space, which is not consumed.
    fn skip_white(&mut self) -> Result<Option<u8>> {
        loop {
            let bytes = self.text.fill()?;
            if bytes.is_empty() {
                return Ok(None);
            }
            let found = bytes.iter().position(|byte| !byte.is_ascii_whitespace());
            let passed = found.unwrap_or(bytes.len());
            let next = bytes.get(passed).copied();
            self.line += line_ends(&bytes[..passed]);
            self.text.consume(passed);
            if next.is_some() {
                return Ok(next);
            }
        }
    }

    fn read_row(&mut self) -> Result<(u64, Map<String, Value>)> {
        let first_line = self.line;
        self.number += 1;
        self.collect_row()?;
        let fields = serde_json::from_slice(&self.row).map_err(|error| {
            let line = first_line + (error.line() as u64).saturating_sub(1);
            self.wrong(malformed(&error), line).with_hint(remedy(&self.row, ALLOWED))
        })?;
        Ok((self.number, fields))
    }

    /// Copies the row that starts at the next byte.
    fn collect_row(&mut self) -> Result<()> {
        let first_line = self.line;
        let mut scan = Scan::default();
        self.row.clear();
        loop {
            let bytes = self.text.fill()?;
            if bytes.is_empty() {
                return Err(self.cut_short(self.number - 1));
            }
            let end = bytes.iter().position(|&byte| scan.is_end(byte));
            let taken = end.map_or(bytes.len(), |end| end + 1);
            self.row.extend_from_slice(&bytes[..taken]);
            self.line += line_ends(&bytes[..taken]);
            self.text.consume(taken);
            if self.row.len() > self.max_row {
                let message = format!("the row is longer than {} bytes", self.max_row);
                return Err(self.wrong(message, first_line).with_hint("is a quote left open?"));
            }
            if end.is_some() {
                return Ok(());
            }
        }
    }

    fn wrong(&self, message: impl Into<String>, line: u64) -> Error {
        self.text.error(message).with_context("row", self.number).with_context("line", line)
    }

    fn cut_short(&self, last_row: u64) -> Error {
        self.text
            .error("the JSON array has no end")
            .with_context("after row", last_row)
            .with_hint("copy the file again")
    }

    /// What is said of a byte that starts no row, and ends no array.
    fn unexpected(&mut self, wants_row: bool) -> Error {
        let bytes = match self.text.fill() {
            Ok(bytes) => &bytes[..bytes.len().min(200)],
            Err(error) => return error,
        };
        let found = excerpt(&String::from_utf8_lossy(bytes));
        self.number += 1;
        let message = if wants_row {
            "the row is no JSON object"
        } else {
            "malformed JSON: expected `,` or `]`"
        };
        self.wrong(message, self.line).with_context("found", found).with_hint(ALLOWED)
    }
}

impl Scan {
    /// Whether the row ends with this byte, which is the next.
    fn is_end(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.depth == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deft_lines::Compression;
    use serde_json::json;
    use std::fs;

    /// The rows of a text, or the first error with the file's path shortened to its name.
    fn rows(content: &str) -> Result<Vec<Value>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        fs::write(&path, content).unwrap();
        let text = Text::open(&path, Compression::None).unwrap();
        let mut array = JsonArray::begin(text).unwrap().unwrap();
        array.max_row = 100;
        let mut rows = Vec::new();
        loop {
            match array.advance() {
                Ok(Some((number, fields))) => {
                    rows.push(Value::from(fields));
                    assert_eq!(number, rows.len() as u64);
                }
                Ok(None) => {
                    assert!(array.advance().unwrap().is_none());
                    return Ok(rows);
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Data);
                    let path = path.display().to_string();
                    return Err(error.to_string().replace(&path, "a.json"));
                }
            }
        }
    }

    #[test]
    fn rows_are_found_whatever_is_in_their_strings() {
        assert!(rows("\u{feff} [ ] \n").unwrap().is_empty());
        let found =
            rows("[{\"a\": \"]}\\\"{[\\\\\"},\r\n {\"b\": {\"c\": [1, {\"d\": \"é\"}]}} ,{}\n]\n");
        let expected = [json!({"a": "]}\"{[\\"}), json!({"b": {"c": [1, {"d": "é"}]}}), json!({})];
        assert_eq!(found.unwrap(), expected);
    }

    #[test]
    fn rows_longer_than_a_buffer_are_read_in_pieces() {
        let long = "x\\n".repeat(200_000);
        let content = format!("[{{\"a\": \"{long}\"}}, {{\"a\": \"{long}\"}}]");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        fs::write(&path, content).unwrap();
        let text = Text::open(&path, Compression::None).unwrap();
        let mut array = JsonArray::begin(text).unwrap().unwrap();
        for _ in 0..2 {
            let (_, fields) = array.advance().unwrap().unwrap();
            assert_eq!(fields["a"], Value::from("x\n".repeat(200_000)));
        }
        assert!(array.advance().unwrap().is_none());
    }

    #[test]
    fn other_text_is_no_array() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        for content in ["", " {}\n{}", "]"] {
            fs::write(&path, content).unwrap();
            let text = Text::open(&path, Compression::None).unwrap();
            assert!(JsonArray::begin(text).unwrap().is_none(), "{content}");
        }
    }

    #[test]
    fn what_is_no_array_of_objects_is_named_by_row_and_line() {
        let check = |content: &str, message: &str| assert_eq!(rows(content).unwrap_err(), message);
        check(
            "[{},\n\n {\"a\": 1,\n\"b\": }]",
            "malformed JSON: expected value (file: a.json, row: 2, line: 4)",
        );
        check("[{}, 7]", "the row is no JSON object (file: a.json, row: 2, line: 1, found: 7])");
        check("[{},]", "the row is no JSON object (file: a.json, row: 2, line: 1, found: ])");
        check(
            "[{}\n{}]",
            "malformed JSON: expected `,` or `]` (file: a.json, row: 2, line: 2, found: {}])",
        );
        check("[{}", "the JSON array has no end (file: a.json, after row: 1)");
        check("[{}, {\"a\": \"", "the JSON array has no end (file: a.json, after row: 1)");
        check("[{}]\n[{}]", "there is more text after the JSON array (file: a.json, line: 2)");
        let long = format!("[\n{{\"a\": \"{}\"}}]", "x".repeat(100));
        check(&long, "the row is longer than 100 bytes (file: a.json, row: 1, line: 2)");
    }
}
