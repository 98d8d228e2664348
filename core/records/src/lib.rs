//! Raw records of data sets from local files: what the readers of tasks read.
//!
//! | name ends in | holds |
//! |---|---|
//! | `.jsonl` | a JSON object on each line |
//! | `.json` | an array of objects, or an object on each line |
//! | `.csv`, `.tsv` | a line of names, then rows; fields may be quoted, all are strings |
//! | `.parquet` | columns |
//! | `.arrow` | columns: an IPC stream, as the `datasets` library caches them, or an IPC file |
//!
//! The text forms may be compressed (`.gz`, `.zst`). [`Records`] gives one record after another,
//! whatever the form; [`RecordStream`] makes a reader's stream of them. Memory is bounded by the
//! longest row (64 MiB in text forms) or batch of rows, and every error names file and row.
//!
//! A source may be a folder, too: [`source_files`] says which files it consists of, and
//! [`SourceStream`] reads one after the other, whatever a reader makes of a file.
//!
//! ```no_run
//! use std::path::Path;
//! use deft_core::prelude::*;
//! use deft_records::{Made, Record, RecordStream};
//!
//! fn open(ctx: &Context<'_>, source: &Path) -> Result<Box<dyn ExampleStream>> {
//!     RecordStream::open(ctx, source, |record: &Record| {
//!         let input = format!("Is this a question? {}", record.text("text")?);
//!         let gold = record.label("label", 2)?;
//!         Ok(Made::Examples(vec![Example {
//!             input,
//!             target: gold.map(|gold| ["yes", "no"][gold].to_owned()),
//!             options: vec!["yes".to_owned(), "no".to_owned()],
//!             gold,
//!             ..Example::default()
//!         }]))
//!     })
//! }
//! ```
//!
//! Not read: a `.json` file whose records lie deeper (in `data`, or under their ids), which a
//! reader takes as a whole with [`json_value`]; columns of dates, times, decimals and bytes, which
//! are no fields of the records.

mod array;
mod columns;
mod document;
mod form;
mod options;
mod record;
mod records;
mod source;
mod source_stream;
mod stream;
mod table;
mod text;

pub use document::json_value;
pub use form::{Form, Forms};
pub use options::unanswerable;
pub use record::Record;
pub use records::{Entry, Records};
pub use source::{SourceFile, source_files};
pub use source_stream::SourceStream;
pub use stream::{Made, RecordStream};
