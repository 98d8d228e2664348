//! The rows of a CSV or TSV file.
//!
//! The first row has the names; fields may be quoted and hold line breaks then. `csv-core` finds
//! the fields; lines are counted here, because empty ones are told and errors name the right one.

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use deft_core::prelude::*;
use deft_lines::Compression;
use serde_json::{Map, Value};

use crate::records::Row;
use crate::text::{MAX_ROW, Text, line_ends};

/// A table, positioned after one of its rows.
pub(crate) struct Table {
    text: Text,
    parser: Box<Reader>,
    max_row: usize,
    names: Vec<String>,
    /// The fields of the last row, one after the other, and where each ends.
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// The line of the next byte, and whether nothing was on it so far.
    line: u64,
    is_blank: bool,
    /// Empty lines that are still to be given.
    empty: Range<u64>,
}

impl Table {
    pub(crate) fn open(path: &Path, delimiter: u8, compression: Compression) -> Result<Self> {
        let mut table = Self {
            text: Text::open(path, compression)?,
            parser: Box::new(ReaderBuilder::new().delimiter(delimiter).build()),
            max_row: MAX_ROW,
            names: Vec::new(),
            bytes: vec![0; 1 << 10],
            ends: vec![0; 1 << 5],
            line: 1,
            is_blank: true,
            empty: 0..0,
        };
        table.read_names()?;
        Ok(table)
    }

    /// The next row, or empty line before one; `None` at the end.
    pub(crate) fn advance(&mut self) -> Result<Option<Row>> {
        if self.empty.is_empty() {
            match self.skip_empty_lines()? {
                None => return Ok(None),
                Some(empty) => self.empty = empty,
            }
        }
        if let Some(line) = self.empty.next() {
            return Ok(Some(Row::Empty(line)));
        }
        let line = self.line;
        let count = self.read_row()?;
        if count != self.names.len() {
            return Err(self
                .wrong("the row has another number of fields than the first one", line)
                .with_context("found", count)
                .with_context("wanted", self.names.len())
                .with_hint("fields that contain the delimiter must be quoted"));
        }
        let mut fields = Map::new();
        for (column, name) in self.names.iter().enumerate() {
            fields.insert(name.clone(), Value::from(self.field(column, line)?));
        }
        Ok(Some(Row::Fields(line, fields)))
    }

    fn read_names(&mut self) -> Result<()> {
        if self.skip_empty_lines()?.is_none() {
            return Ok(());
        }
        let line = self.line;
        let count = self.read_row()?;
        let names = (0..count).map(|column| self.field(column, line).map(str::to_owned));
        self.names = names.collect::<Result<_>>()?;
        let mut known = HashSet::new();
        if let Some(twice) = self.names.iter().find(|name| !known.insert(name.as_str())) {
            return Err(self
                .wrong("two columns have the same name", line)
                .with_context("name", twice)
                .with_hint("the first row must have the columns' names"));
        }
        Ok(())
    }

    /// A field of the last row, which started on this line.
    fn field(&self, column: usize, line: u64) -> Result<&str> {
        let start = if column == 0 { 0 } else { self.ends[column - 1] };
        str::from_utf8(&self.bytes[start..self.ends[column]]).map_err(|source| {
            self.wrong("the row is no UTF-8", line)
                .with_context("column", column + 1)
                .with_source(&source)
                .with_hint("convert the file to UTF-8")
        })
    }

    /// Goes to the next row and says which lines before it are empty; `None` at the end.
    fn skip_empty_lines(&mut self) -> Result<Option<Range<u64>>> {
        let mut empty = self.line..self.line;
        loop {
            match self.text.fill()?.first() {
                None => return Ok(None),
                Some(b'\n') => {
                    self.line += 1;
                    empty.end = self.line;
                    // After a row that ended at the CR of its CRLF, this is the second half of that.
                    if !self.is_blank {
                        empty.start = self.line;
                    }
                    self.is_blank = true;
                }
                Some(b'\r') => {}
                Some(_) => return Ok(Some(empty)),
            }
            self.text.consume(1);
        }
    }

    /// Reads the row that starts at the next byte; the number of its fields.
    fn read_row(&mut self) -> Result<usize> {
        let first_line = self.line;
        let (mut used, mut length, mut count) = (0, 0, 0);
        loop {
            let bytes = self.text.fill()?;
            let is_at_end = bytes.is_empty();
            // A line feed at the end shows whether a quoted field is still open: that takes it.
            let input = if is_at_end { b"\n".as_slice() } else { bytes };
            let (result, read, written, ended) =
                self.parser.read_record(input, &mut self.bytes[length..], &mut self.ends[count..]);
            if !is_at_end {
                self.line += line_ends(&input[..read]);
                self.is_blank = input[..read].last().map_or(self.is_blank, |&last| last == b'\n');
                self.text.consume(read);
            }
            (used, length, count) = (used + read, length + written, count + ended);
            match result {
                ReadRecordResult::Record => return Ok(count),
                ReadRecordResult::OutputFull => self.bytes.resize(2 * self.bytes.len(), 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(2 * self.ends.len(), 0),
                ReadRecordResult::InputEmpty if !is_at_end => {}
                ReadRecordResult::InputEmpty | ReadRecordResult::End => {
                    return Err(self
                        .wrong("a quoted field has no end", first_line)
                        .with_hint("a quotation mark within a quoted field must be doubled"));
                }
            }
            if used > self.max_row {
                let message = format!("the row is longer than {} bytes", self.max_row);
                return Err(self.wrong(message, first_line).with_hint("is a quote left open?"));
            }
        }
    }

    fn wrong(&self, message: impl Into<String>, line: u64) -> Error {
        self.text.error(message).with_context("line", line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::fs;

    /// Rows as their line and fields, empty lines as their line alone; or the first error.
    fn rows_of(name: &str, content: &[u8], delimiter: u8) -> Result<Vec<Value>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        let shorten = |error: Error| {
            assert_eq!(error.kind(), ErrorKind::Data);
            error.to_string().replace(&path.display().to_string(), name)
        };
        let mut table = Table::open(&path, delimiter, Compression::None).map_err(shorten)?;
        table.max_row = 10_000;
        let mut rows = Vec::new();
        while let Some(row) = table.advance().map_err(shorten)? {
            rows.push(match row {
                Row::Empty(line) => json!(line),
                Row::Fields(line, fields) => json!([line, fields]),
            });
        }
        Ok(rows)
    }

    fn rows(content: &[u8]) -> Result<Vec<Value>, String> {
        rows_of("a.csv", content, b',')
    }

    #[test]
    fn fields_are_strings_under_the_names_of_the_first_row() {
        let found = rows(b"a,b\n1,\n\"x, \"\"y\"\"\", z \n").unwrap();
        let expected = [json!([2, {"a": "1", "b": ""}]), json!([3, {"a": "x, \"y\"", "b": " z "}])];
        assert_eq!(found, expected);
        let found = rows_of("a.tsv", b"a\tb\nx,y\tz\n", b'\t').unwrap();
        assert_eq!(found, [json!([2, {"a": "x,y", "b": "z"}])]);
    }

    #[test]
    fn lines_are_counted_through_quoted_fields_and_empty_lines() {
        let text = "a,b\n1,\"x\ny\"\n\n\n2,\n\n";
        let expected = [
            json!([2, {"a": "1", "b": "x\ny"}]),
            json!(4),
            json!(5),
            json!([6, {"a": "2", "b": ""}]),
        ];
        assert_eq!(rows(text.as_bytes()).unwrap(), expected);
        let windows = rows(text.replace('\n', "\r\n").as_bytes()).unwrap();
        assert_eq!(windows[0], json!([2, {"a": "1", "b": "x\r\ny"}]));
        assert_eq!(windows[1..], expected[1..]);
    }

    #[test]
    fn a_byte_order_mark_and_a_missing_last_line_feed_are_accepted() {
        let expected = [json!([2, {"a": "1"}])];
        assert_eq!(rows("\u{feff}a\n1".as_bytes()).unwrap(), expected);
        assert_eq!(rows("\u{feff}\"a\"\n\"1\"".as_bytes()).unwrap(), expected);
    }

    #[test]
    fn a_table_without_rows_has_none() {
        for content in ["", "\u{feff}", "\n\n", "a,b", "a,b\n", "a,b\r\n\r\n"] {
            assert!(rows(content.as_bytes()).unwrap().is_empty(), "{content:?}");
        }
    }

    #[test]
    fn rows_of_any_length_and_width_are_read() {
        let names: Vec<_> = (0..200).map(|column| format!("c{column}")).collect();
        let field = "xyz".repeat(10);
        let fields = vec![field.as_str(); 200];
        let found = rows(format!("{}\n{}\n", names.join(","), fields.join(",")).as_bytes());
        let found = found.unwrap();
        assert_eq!(found[0][1].as_object().unwrap().len(), 200);
        assert_eq!(found[0][1]["c199"], field);
    }

    #[test]
    fn what_is_no_row_is_named_by_its_line() {
        let check = |content: &[u8], message: &str| assert_eq!(rows(content).unwrap_err(), message);
        check(
            b"a,b\n1,2\n\n1,2,3\n",
            "the row has another number of fields than the first one (file: a.csv, line: 4, \
             found: 3, wanted: 2)",
        );
        check(b"a,b\n1,\"2\n3,4\n", "a quoted field has no end (file: a.csv, line: 2)");
        check(
            b"a,b\n1,\xe9\n",
            "the row is no UTF-8 (file: a.csv, line: 2, column: 2): incomplete utf-8 byte \
             sequence from index 0",
        );
        check(b"a,b,a\n", "two columns have the same name (file: a.csv, line: 1, name: a)");
        let long = format!("a\n{}\n", "x".repeat(20_000));
        check(long.as_bytes(), "the row is longer than 10000 bytes (file: a.csv, line: 2)");
    }
}
