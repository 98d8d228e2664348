//! Parquet files.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_schema::{ArrowError, Schema};
use deft_core::excerpt;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

use super::{Batches, attempt, readable};

/// Rows decoded at a time. Text offsets are 32 bits wide, so these rows may hold 2 GiB.
const BATCH: usize = 256;

/// The batches of the columns that can be read, and the schema of all.
pub(super) fn open(path: &Path) -> Result<(Batches, Arc<Schema>), ArrowError> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    // Without the writer's Arrow schema every text is `Utf8` and every list is `List`.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder =
        attempt(|| Ok(ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)?))?;
    check_places(builder.metadata(), length)?;
    let schema = Arc::clone(builder.schema());
    let mask = ProjectionMask::roots(builder.parquet_schema(), readable(&schema));
    let builder = builder.with_projection(mask).with_batch_size(BATCH);
    let batches: Batches = Box::new(attempt(|| Ok(builder.build()?))?);
    Ok((batches, schema))
}

/// Refuses columns that lie outside of the file, which the parquet crate takes for its own mistake.
fn check_places(metadata: &ParquetMetaData, length: u64) -> Result<(), ArrowError> {
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
            Err(ArrowError::ParquetError(format!("the column `{name}` is not within the file")))
        }
        None => Ok(()),
    }
}
