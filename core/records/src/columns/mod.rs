//! The rows of files that are made of columns, batch by batch.

mod arrow_file;
mod cells;
mod parquet_file;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, Schema};
use deft_core::prelude::*;
use serde_json::{Map, Value};

/// The batches of a file.
type Batches = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>;

/// A file of columns, positioned after one of its rows.
pub(crate) struct Columns {
    path: PathBuf,
    form: &'static str,
    batches: Batches,
    /// The columns of a batch that become fields.
    read: Vec<usize>,
    /// The columns of the file that do not, by name and type.
    pub(crate) unread: Vec<(String, String)>,
    batch: RecordBatch,
    /// The next row of the batch.
    next: usize,
    /// Rows given so far.
    number: u64,
}

impl Columns {
    /// Opens a Parquet file.
    pub(crate) fn open_parquet(path: &Path) -> Result<Self> {
        const FORM: &str = "Parquet";
        let opened = parquet_file::open(path).map_err(|error| fault(path, FORM, &error))?;
        let (batches, schema) = opened;
        // The other columns are left out of the batches.
        let read = (0..readable(&schema).len()).collect();
        Ok(Self::new(path, FORM, batches, &schema, read))
    }

    /// Opens an Arrow file, of either format.
    pub(crate) fn open_arrow(path: &Path) -> Result<Self> {
        const FORM: &str = "Arrow";
        let opened = arrow_file::open(path).map_err(|error| fault(path, FORM, &error))?;
        let (batches, schema) = opened;
        let read = readable(&schema);
        Ok(Self::new(path, FORM, batches, &schema, read))
    }

    fn new(
        path: &Path,
        form: &'static str,
        batches: Batches,
        schema: &Schema,
        read: Vec<usize>,
    ) -> Self {
        let batch = RecordBatch::new_empty(Schema::empty().into());
        let unread = unread(schema);
        Self { path: path.to_owned(), form, batches, read, unread, batch, next: 0, number: 0 }
    }

    /// The next row's number and fields; `None` at the end.
    pub(crate) fn advance(&mut self) -> Result<Option<(u64, Map<String, Value>)>> {
        while self.next >= self.batch.num_rows() {
            let next = attempt(|| self.batches.next().transpose());
            let next = next.map_err(|error| {
                fault(&self.path, self.form, &error).with_context("after row", self.number)
            })?;
            let Some(batch) = next else { return Ok(None) };
            self.batch = batch;
            self.next = 0;
        }
        let row = self.next;
        self.next += 1;
        self.number += 1;
        let schema = self.batch.schema_ref();
        let field = |&column: &usize| {
            let value = cells::value(self.batch.column(column), row);
            (schema.field(column).name().clone(), value)
        };
        Ok(Some((self.number, self.read.iter().map(field).collect())))
    }
}

/// The columns that become fields.
fn readable(schema: &Schema) -> Vec<usize> {
    let is_read = |&column: &usize| cells::is_readable(schema.field(column).data_type());
    (0..schema.fields().len()).filter(is_read).collect()
}

/// The other columns, by name and type.
fn unread(schema: &Schema) -> Vec<(String, String)> {
    let others = schema.fields().iter().filter(|field| !cells::is_readable(field.data_type()));
    others.map(|field| (field.name().clone(), field.data_type().to_string())).collect()
}

/// What the arrow crates make of a file; their panics over damaged ones are errors, too.
fn attempt<T>(work: impl FnOnce() -> Result<T, ArrowError>) -> Result<T, ArrowError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(ArrowError::ParseError("its parts are not what its header says".to_owned()))
    })
}

/// What is wrong with a file: what the system does not read is not damaged for that.
fn fault(path: &Path, form: &str, error: &ArrowError) -> Error {
    let refused = match error {
        // To jump to before the start of a file is what damaged headers ask for.
        ArrowError::IoError(_, source) => {
            source.raw_os_error().is_some() && source.kind() != io::ErrorKind::InvalidInput
        }
        _ => false,
    };
    let fault = if refused {
        Error::new(ErrorKind::Io, "cannot read the source")
    } else {
        let message = format!("the {form} file is damaged, cut short or of an unknown kind");
        Error::new(ErrorKind::Data, message).with_hint("copy or write the file again")
    };
    fault.with_context("file", path.display()).with_source(error)
}

#[cfg(test)]
#[path = "columns_tests.rs"]
mod tests;
