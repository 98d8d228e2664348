//! The rows of a Parquet file, from the columns that are needed.

use std::borrow::Cow;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use deft_core::excerpt;
use deft_core::prelude::*;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use serde_json::{Map, Value};

use crate::config::{P3Config, Unlabelled};
use crate::json::{CHOICES, DATASET, INPUT, TARGET, TEMPLATE, is_known};
use crate::rules::Fields;

/// Rows decoded at a time. Text offsets are 32 bits wide, so these rows may hold 2 GiB.
const BATCH: usize = 256;

/// A Parquet file, positioned at one of its rows.
pub(crate) struct Columns {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
    names: Names,
    batch: RecordBatch,
    /// The next row of the batch.
    next: usize,
    /// Rows given so far, which is the present row's number from 1.
    number: u64,
}

/// The names of the columns that are read.
struct Names {
    input: &'static str,
    target: Option<&'static str>,
    choices: Option<&'static str>,
    dataset: Option<&'static str>,
    template: Option<&'static str>,
    extra: Vec<String>,
}

impl Columns {
    /// Opens a file.
    pub(crate) fn open(path: &Path, config: P3Config) -> Result<Self> {
        let file = File::open(path).or_io("cannot open the source", path)?;
        let length = file.metadata().or_io("cannot open the source", path)?.len();
        let unreadable = |source: ParquetError| {
            Error::new(ErrorKind::Data, "the Parquet file is damaged or of an unknown kind")
                .with_context("file", path.display())
                .with_source(&source)
        };
        // Without the writer's Arrow schema every text is `Utf8` and every list is `List`.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let open = || ParquetRecordBatchReaderBuilder::try_new_with_options(file, options);
        let builder = attempt(open).map_err(unreadable)?;
        check_places(builder.metadata(), length).map_err(unreadable)?;
        let names = Names::find(builder.schema(), config)
            .map_err(|error| error.with_context("file", path.display()))?;
        let schema = builder.schema();
        let wanted = (0..schema.fields().len()).filter(|&i| names.contains(schema.field(i).name()));
        let mask = ProjectionMask::roots(builder.parquet_schema(), wanted);
        let build = || builder.with_projection(mask).with_batch_size(BATCH).build();
        let reader = attempt(build).map_err(unreadable)?;
        let batch = RecordBatch::new_empty(Schema::empty().into());
        Ok(Self { path: path.to_owned(), reader, names, batch, next: 0, number: 0 })
    }

    /// Goes to the next row; whether there is one.
    pub(crate) fn advance(&mut self) -> Result<bool> {
        self.next += 1;
        while self.next >= self.batch.num_rows() {
            let next = attempt(|| self.reader.next().transpose().map_err(ParquetError::from));
            let batch = next.map_err(|source| {
                Error::new(ErrorKind::Data, "the Parquet file is damaged")
                    .with_context("file", self.path.display())
                    .with_context("after row", self.number)
                    .with_source(&source)
            })?;
            let Some(batch) = batch else { return Ok(false) };
            self.batch = batch;
            self.next = 0;
        }
        self.number += 1;
        Ok(true)
    }

    /// The present row's number, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The fields of the present row.
    pub(crate) fn fields(&self) -> Result<Fields<'_>> {
        let text = |name: &str| text(self.batch.column_by_name(name)?, self.next);
        Ok(Fields {
            input: text(self.names.input),
            target: self.names.target.and_then(text),
            choices: self.choices()?,
            dataset: self.names.dataset.and_then(text),
            template: self.names.template.and_then(text),
            extra: self.extra(),
        })
    }

    fn choices(&self) -> Result<Vec<Cow<'_, str>>> {
        let Some(column) = self.names.choices.and_then(|name| self.batch.column_by_name(name))
        else {
            return Ok(Vec::new());
        };
        let lists = column.as_list::<i32>();
        if lists.is_null(self.next) {
            return Ok(Vec::new());
        }
        let offsets = lists.value_offsets();
        let start = usize::try_from(offsets[self.next]).unwrap_or_default();
        (start..start + lists.value_length(self.next).cast_unsigned() as usize)
            .map(|at| {
                text(lists.values(), at).ok_or_else(|| {
                    Error::new(ErrorKind::Data, format!("`{CHOICES}` must be a list of strings"))
                        .with_context("file", self.path.display())
                        .with_context("row", self.number)
                        .with_context("found", "a list with null")
                })
            })
            .collect()
    }

    fn extra(&self) -> Map<String, Value> {
        let value = |name: &String| {
            let column = self.batch.column_by_name(name)?;
            Some((name.clone(), scalar(column, self.next)?))
        };
        self.names.extra.iter().filter_map(value).collect()
    }
}

impl Names {
    fn find(schema: &Schema, config: P3Config) -> Result<Self> {
        let text = |names: &[_]| find(schema, names, is_text, "a string");
        let required = |names: [&'static str; 2]| {
            text(&names)?.ok_or_else(|| {
                let columns: Vec<_> = schema.fields().iter().map(|f| f.name().as_str()).collect();
                Error::new(ErrorKind::Data, format!("no column `{}` or `{}`", names[0], names[1]))
                    .with_context("columns", columns.join(" "))
            })
        };
        let extra = schema.fields().iter().filter(|field| {
            config.keep_extra && !is_known(field.name()) && is_scalar(field.data_type())
        });
        Ok(Self {
            input: required(INPUT)?,
            // Queries need no target; without it a pool would have no example.
            target: match config.unlabelled {
                Unlabelled::Keep => text(&TARGET)?,
                Unlabelled::Skip => Some(required(TARGET)?),
            },
            choices: find(schema, &[CHOICES], is_texts, "a list of strings")?,
            dataset: text(&[DATASET])?,
            template: text(&[TEMPLATE])?,
            extra: extra.map(|field| field.name().clone()).collect(),
        })
    }

    fn contains(&self, name: &str) -> bool {
        let optional = [self.target, self.choices, self.dataset, self.template];
        self.input == name
            || optional.contains(&Some(name))
            || self.extra.iter().any(|extra| extra == name)
    }
}

/// Refuses columns that lie outside of the file, which the parquet crate takes for its own mistake.
fn check_places(metadata: &ParquetMetaData, length: u64) -> Result<(), ParquetError> {
    let is_within = |start: i64, bytes: i64| {
        let end = u64::try_from(start).ok().zip(u64::try_from(bytes).ok());
        end.and_then(|(start, bytes)| start.checked_add(bytes)).is_some_and(|end| end <= length)
    };
    let mut columns = metadata.row_groups().iter().flat_map(RowGroupMetaData::columns);
    let wrong = columns.find(|column| {
        let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
        !is_within(start, column.compressed_size())
    });
    match wrong {
        Some(column) => {
            let name = excerpt(&column.column_path().string());
            Err(ParquetError::General(format!("the column `{name}` is not within the file")))
        }
        None => Ok(()),
    }
}

/// What the parquet crate makes of a file; its panics over damaged ones are errors, too.
fn attempt<T>(work: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(ParquetError::General("its pages are not what its metadata says".to_owned()))
    })
}

/// The first of these columns that the file has; one without any value counts as absent.
fn find(
    schema: &Schema,
    names: &[&'static str],
    fits: fn(&DataType) -> bool,
    rule: &str,
) -> Result<Option<&'static str>> {
    for &name in names {
        match schema.field_with_name(name).map(Field::data_type) {
            Err(_) | Ok(DataType::Null) => {}
            Ok(DataType::List(item)) if *item.data_type() == DataType::Null => {}
            Ok(kind) if fits(kind) => return Ok(Some(name)),
            Ok(kind) => {
                return Err(Error::new(ErrorKind::Data, format!("column `{name}` must be {rule}"))
                    .with_context("found", kind));
            }
        }
    }
    Ok(None)
}

fn is_text(kind: &DataType) -> bool {
    *kind == DataType::Utf8
}

fn is_texts(kind: &DataType) -> bool {
    matches!(kind, DataType::List(item) if is_text(item.data_type()))
}

/// Whether [`scalar`] knows the type.
fn is_scalar(kind: &DataType) -> bool {
    kind.is_integer()
        || matches!(
            kind,
            DataType::Utf8 | DataType::Boolean | DataType::Float32 | DataType::Float64
        )
}

fn text(column: &ArrayRef, row: usize) -> Option<Cow<'_, str>> {
    let texts = column.as_string::<i32>();
    texts.is_valid(row).then(|| Cow::Borrowed(texts.value(row)))
}

fn scalar(column: &ArrayRef, row: usize) -> Option<Value> {
    macro_rules! number {
        ($kind:ty) => {
            Value::from(column.as_primitive::<$kind>().value(row))
        };
    }
    if column.is_null(row) {
        return None;
    }
    let value = match column.data_type() {
        DataType::Utf8 => Value::from(column.as_string::<i32>().value(row)),
        DataType::Boolean => Value::from(column.as_boolean().value(row)),
        DataType::Int8 => number!(Int8Type),
        DataType::Int16 => number!(Int16Type),
        DataType::Int32 => number!(Int32Type),
        DataType::Int64 => number!(Int64Type),
        DataType::UInt8 => number!(UInt8Type),
        DataType::UInt16 => number!(UInt16Type),
        DataType::UInt32 => number!(UInt32Type),
        DataType::UInt64 => number!(UInt64Type),
        DataType::Float32 => number!(Float32Type),
        DataType::Float64 => number!(Float64Type),
        _ => return None,
    };
    (!value.is_null()).then_some(value)
}

#[cfg(test)]
#[path = "columns_tests.rs"]
mod tests;
