//! Files of columns that no reader knows.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_ipc::writer::StreamWriter;
use parquet::arrow::ArrowWriter;

/// A hundred rows of columns that are none of any data set.
pub(crate) fn other_columns() -> RecordBatch {
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["x"; 100]));
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![7_i64; 100]));
    RecordBatch::try_from_iter([("alpha", texts), ("beta", numbers)]).unwrap()
}

/// The bytes of a Parquet file.
pub(crate) fn parquet(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

/// The bytes of an Arrow file, of the format of a stream.
pub(crate) fn arrow(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.finish().unwrap();
    writer.into_inner().unwrap()
}
