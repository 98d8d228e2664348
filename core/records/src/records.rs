//! The records of a file, whatever its form.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use deft_core::prelude::*;
use deft_lines::{Compression, JsonLines, Line};
use serde_json::{Map, Value};

use crate::array::JsonArray;
use crate::columns::Columns;
use crate::form::{Form, Forms};
use crate::record::{Record, Source};
use crate::source::SourceFile;
use crate::table::Table;
use crate::text::Text;

/// Why a line is no record.
const EMPTY_LINE: &str = "empty line";

/// The records of a file, streamed: see the crate's documentation for the forms.
pub struct Records {
    source: Arc<Source>,
    rows: Rows,
    /// Added to errors about lines that have none of their own.
    hint: &'static str,
}

/// What a row of a file is.
#[derive(Debug)]
pub enum Entry {
    /// A record.
    Record(Record),
    /// A line of JSON lines or of a table that is empty, with a record further down.
    Skipped(SkippedRow),
}

/// A row by its number, from 1.
pub(crate) enum Row {
    Empty(u64),
    Fields(u64, Map<String, Value>),
}

enum Rows {
    Lines(JsonLines),
    Array(JsonArray),
    Table(Table),
    Columns(Columns),
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Records({})", self.source.path.display())
    }
}

impl Records {
    /// Opens a file, after a look whether it contains what its name says.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] when it cannot be opened, [`ErrorKind::Data`] when it is of no known form,
    /// contains something else or is damaged where it starts.
    pub fn open(source: &Path) -> Result<Self> {
        let form = Form::of(source, Forms::RECORDS)?;
        Self::of_file(&SourceFile { path: source.to_owned(), form })
    }

    /// Opens a file of a source, whose content was looked at already.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] when it cannot be opened, [`ErrorKind::Data`] when it is damaged where it
    /// starts.
    pub fn of_file(file: &SourceFile) -> Result<Self> {
        let source = &file.path;
        let mut hint = "each line must be one JSON object";
        let mut rows = match file.form {
            Form::Lines(compression) => Rows::Lines(JsonLines::open(source, compression)?),
            Form::Json(compression) => {
                hint = "a .json file holds an array of objects, or one object on each line";
                open_json(source, compression)?
            }
            Form::Table(delimiter, compression) => {
                Rows::Table(Table::open(source, delimiter, compression)?)
            }
            Form::Parquet => Rows::Columns(Columns::open_parquet(source)?),
            Form::Arrow => Rows::Columns(Columns::open_arrow(source)?),
        };
        let (place, unread) = match &mut rows {
            Rows::Lines(_) | Rows::Table(_) => ("line", Vec::new()),
            Rows::Array(_) => ("row", Vec::new()),
            Rows::Columns(columns) => ("row", std::mem::take(&mut columns.unread)),
        };
        let source = Arc::new(Source { path: source.clone(), place, unread });
        Ok(Self { source, rows, hint })
    }

    /// The next record, or empty line before one; `None` at the end.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Data`] for what is no record, with file and row, and for a damaged file;
    /// [`ErrorKind::Io`] when it cannot be read on. There is nothing more to be had then.
    pub fn advance(&mut self) -> Result<Option<Entry>> {
        let of_fields = |(row, fields)| Row::Fields(row, fields);
        let row = match &mut self.rows {
            Rows::Lines(lines) => next_line(lines).map_err(|error| {
                let is_bare = error.kind() == ErrorKind::Data && error.hint().is_none();
                if is_bare { error.with_hint(self.hint) } else { error }
            })?,
            Rows::Array(array) => array.advance()?.map(of_fields),
            Rows::Table(table) => table.advance()?,
            Rows::Columns(columns) => columns.advance()?.map(of_fields),
        };
        Ok(row.map(|row| match row {
            Row::Empty(row) => Entry::Skipped(SkippedRow { row, reason: EMPTY_LINE.to_owned() }),
            Row::Fields(row, fields) => {
                Entry::Record(Record::new(Arc::clone(&self.source), row, fields))
            }
        }))
    }
}

/// An array or lines, as the first character says.
fn open_json(path: &Path, compression: Compression) -> Result<Rows> {
    match JsonArray::begin(Text::open(path, compression)?)? {
        Some(array) => Ok(Rows::Array(array)),
        None => Ok(Rows::Lines(JsonLines::open(path, compression)?)),
    }
}

fn next_line(lines: &mut JsonLines) -> Result<Option<Row>> {
    Ok(match lines.advance()? {
        None => None,
        Some(Line::Empty(line)) => Some(Row::Empty(line)),
        Some(Line::Object(line)) => Some(Row::Fields(line, lines.parse()?)),
    })
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
