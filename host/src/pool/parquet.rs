//! One part of the pool as a Parquet file.

use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{FixedSizeBinaryBuilder, ListBuilder, StringBuilder, UInt32Builder};
use arrow_array::{
    Array, ArrayRef, FixedSizeBinaryArray, ListArray, RecordBatch, StringArray, UInt32Array,
};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use deft_core::{Error, ErrorKind, Example, Provenance, Result, ResultExt};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves,
};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// End of a part's file name.
pub(super) const SUFFIX: &str = ".parquet";

/// Rows that are read and cached together.
pub(crate) const ROWS_PER_GROUP: usize = 2048;

/// Bytes of text in a batch of Arrow's, about: it counts those of a column in an `i32`, and panics
/// where they are too many.
const BATCH_BYTES: usize = 64 << 20;

/// Bytes of text in an example at most: as JSON, they may become six times as many.
const LONGEST: usize = 256 << 20;

/// Bytes of the content hash: half a SHA-256.
const HASH_BYTES: i32 = 16;

fn schema() -> Arc<Schema> {
    let text = |name, nullable| Field::new(name, DataType::Utf8, nullable);
    let choices = DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)));
    Arc::new(Schema::new(vec![
        text("input", false),
        text("target", true),
        Field::new("answer_choices", choices, false),
        Field::new("gold", DataType::UInt32, true),
        text("dataset", false),
        text("template", false),
        Field::new("content_hash", DataType::FixedSizeBinary(HASH_BYTES), false),
        text("extra", true),
    ]))
}

/// Writes one part, encoding as many of its row groups at a time as there are threads.
///
/// Each group is encoded alone and appended in order: the bytes are the same for any number of
/// threads. Memory holds `threads` groups.
pub(super) fn write_part(
    path: &Path,
    groups: impl Iterator<Item = Result<Vec<Example>>>,
    threads: usize,
) -> Result<()> {
    write_batches(path, groups, threads, BATCH_BYTES)
}

fn write_batches(
    path: &Path,
    groups: impl Iterator<Item = Result<Vec<Example>>>,
    threads: usize,
    batch_bytes: usize,
) -> Result<()> {
    let failed = "cannot write the part";
    let file = File::create(path).or_io(failed, path)?;
    let (mut writer, factory) = ArrowWriter::try_new(file, schema(), Some(properties()))
        .and_then(ArrowWriter::into_serialized_writer)
        .or_io(failed, path)?;
    let mut groups = groups.fuse();
    loop {
        let next: Vec<Vec<Example>> = groups.by_ref().take(threads).collect::<Result<_>>()?;
        if next.is_empty() {
            return writer.close().map(|_| ()).or_io(failed, path);
        }
        for columns in encode_groups(&factory, &next, batch_bytes)? {
            let appended = columns.and_then(|columns| append_group(&mut writer, columns));
            appended.or_io(failed, path)?;
        }
    }
}

fn properties() -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).unwrap_or_default()))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_created_by("deft".to_owned());
    // Nearly every value of these is new: a dictionary would only cost time.
    for column in ["input", "target", "content_hash", "extra"] {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(column), false);
    }
    properties.build()
}

/// The compressed columns of each row group, made on a thread each.
fn encode_groups(
    factory: &ArrowRowGroupWriterFactory,
    groups: &[Vec<Example>],
    batch_bytes: usize,
) -> Result<Vec<Result<Vec<ArrowColumnChunk>, ParquetError>>> {
    std::thread::scope(|scope| {
        let running: Vec<_> = groups
            .iter()
            .map(|group| scope.spawn(move || encode_group(factory, group, batch_bytes)))
            .collect();
        let panicked = |_| Error::new(ErrorKind::Unexpected, "writing the pool panicked");
        running.into_iter().map(|thread| thread.join().map_err(panicked)).collect()
    })
}

/// The compressed columns of a row group.
fn encode_group(
    factory: &ArrowRowGroupWriterFactory,
    examples: &[Example],
    batch_bytes: usize,
) -> Result<Vec<ArrowColumnChunk>, ParquetError> {
    // The group's number only counts where a file is encrypted. Every column has one leaf.
    let mut writers = factory.create_column_writers(0)?;
    let schema = schema();
    for examples in batches(examples, batch_bytes, LONGEST)? {
        let batch = to_columns(examples)?;
        for ((field, column), writer) in
            schema.fields().iter().zip(batch.columns()).zip(&mut writers)
        {
            for leaf in compute_leaves(field, column)? {
                writer.write(&leaf)?;
            }
        }
    }
    writers.into_iter().map(ArrowColumnWriter::close).collect()
}

/// Runs of examples with so many bytes of text or fewer, or of one example.
fn batches(
    examples: &[Example],
    bytes: usize,
    longest: usize,
) -> Result<Vec<&[Example]>, ParquetError> {
    let (mut batches, mut start, mut held) = (Vec::new(), 0, 0);
    for (row, example) in examples.iter().enumerate() {
        let length = text_bytes(example);
        if length > longest {
            let message = format!("an example has {length} bytes of text, more than {longest}");
            return Err(ParquetError::General(message));
        }
        if row > start && held + length > bytes {
            batches.push(&examples[start..row]);
            (start, held) = (row, 0);
        }
        held += length;
    }
    batches.push(&examples[start..]);
    Ok(batches)
}

/// Bytes of text in an example, about.
fn text_bytes(example: &Example) -> usize {
    let Example { input, target, options, provenance, extra, .. } = example;
    let extra: usize = extra.iter().map(|(key, value)| key.len() + json_bytes(value)).sum();
    input.len()
        + target.as_ref().map_or(0, String::len)
        + options.iter().map(String::len).sum::<usize>()
        + provenance.dataset.len()
        + provenance.template.len()
        + extra
}

fn json_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(json_bytes).sum(),
        Value::Object(map) => map.iter().map(|(key, value)| key.len() + json_bytes(value)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
    }
}

fn append_group(
    writer: &mut SerializedFileWriter<File>,
    columns: Vec<ArrowColumnChunk>,
) -> Result<(), ParquetError> {
    let mut group = writer.next_row_group()?;
    for column in columns {
        column.append_to_row_group(&mut group)?;
    }
    group.close().map(|_| ())
}

fn to_columns(examples: &[Example]) -> Result<RecordBatch, ArrowError> {
    let texts = |of: fn(&Example) -> &str| -> ArrayRef {
        Arc::new(examples.iter().map(|example| Some(of(example))).collect::<StringArray>())
    };
    let targets: StringArray = examples.iter().map(|example| example.target.as_deref()).collect();
    let mut choices = ListBuilder::new(StringBuilder::new());
    let mut gold = UInt32Builder::new();
    let mut hashes = FixedSizeBinaryBuilder::with_capacity(examples.len(), HASH_BYTES);
    let mut extra = StringBuilder::new();
    for example in examples {
        choices.append_value(example.options.iter().map(Some));
        gold.append_option(example.gold.and_then(|gold| u32::try_from(gold).ok()));
        hashes.append_value(content_hash(example))?;
        let json = (!example.extra.is_empty()).then(|| serde_json::to_string(&example.extra));
        extra.append_option(json.and_then(Result::ok));
    }
    RecordBatch::try_new(
        schema(),
        vec![
            texts(|example| &example.input),
            Arc::new(targets),
            Arc::new(choices.finish()),
            Arc::new(gold.finish()),
            texts(|example| &example.provenance.dataset),
            texts(|example| &example.provenance.template),
            Arc::new(hashes.finish()),
            Arc::new(extra.finish()),
        ],
    )
}

/// Half a SHA-256 over input and target: equal examples have equal hashes.
fn content_hash(example: &Example) -> [u8; HASH_BYTES as usize] {
    let mut hasher = Sha256::new();
    hasher.update((example.input.len() as u64).to_le_bytes());
    hasher.update(&example.input);
    hasher.update(example.target.as_deref().unwrap_or_default());
    let mut half = [0; HASH_BYTES as usize];
    half.copy_from_slice(&hasher.finalize()[..HASH_BYTES as usize]);
    half
}

/// A part open for reading.
pub(super) struct PartReader {
    path: PathBuf,
    builder: ParquetRecordBatchReaderBuilder<File>,
    batch_bytes: usize,
}

impl PartReader {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).or_io("cannot open the part", path)?;
        let length = file.metadata().or_io("cannot open the part", path)?.len();
        let builder = attempt(|| ParquetRecordBatchReaderBuilder::try_new(file))
            .map_err(|error| fault(path, &error))?;
        if !is_within(builder.metadata(), length) {
            return Err(damaged(path).with_context("why", "its columns are not within the file"));
        }
        if builder.schema().fields() != schema().fields() {
            return Err(damaged(path).with_context("why", "its columns are not a pool's"));
        }
        Ok(Self { path: path.to_owned(), builder, batch_bytes: BATCH_BYTES })
    }

    /// Opens a part, unless it is damaged. What cannot be read may be whole, and is an error.
    pub(super) fn open_whole(path: &Path) -> Result<Option<Self>> {
        match Self::open(path) {
            Err(error) if error.kind() == ErrorKind::Data => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// Number of examples in the part.
    pub(super) fn rows(&self) -> usize {
        usize::try_from(self.builder.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// The examples of one row group.
    pub(super) fn read_group(self, group: usize) -> Result<Vec<Example>> {
        self.read_columns(group, ProjectionMask::all(), from_columns)
    }

    /// The inputs of one row group; no other column is read.
    pub(super) fn read_inputs(self, group: usize) -> Result<Vec<String>> {
        let mask = ProjectionMask::columns(self.builder.parquet_schema(), ["input"]);
        self.read_columns(group, mask, |batch, inputs| {
            let column = batch.column(0).as_any().downcast_ref::<StringArray>()?;
            inputs.extend(column.iter().map(|input| input.unwrap_or_default().to_owned()));
            Some(())
        })
    }

    /// Where the examples of one row group come from; no other columns are read.
    pub(super) fn read_provenances(self, group: usize) -> Result<Vec<Provenance>> {
        let columns = ["dataset", "template"];
        let mask = ProjectionMask::columns(self.builder.parquet_schema(), columns);
        self.read_columns(group, mask, |batch, found| {
            let texts = |column: usize| batch.column(column).as_any().downcast_ref::<StringArray>();
            let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
            found.extend(texts(0)?.iter().zip(texts(1)?).map(|(dataset, template)| Provenance {
                dataset: text(dataset),
                template: text(template),
            }));
            Some(())
        })
    }

    fn read_columns<T>(
        self,
        group: usize,
        columns: ProjectionMask,
        add_rows: fn(&RecordBatch, &mut Vec<T>) -> Option<()>,
    ) -> Result<Vec<T>> {
        let metadata = self.builder.metadata();
        if group >= metadata.num_row_groups() {
            return Err(damaged(&self.path).with_context("missing row group", group));
        }
        let at_once = rows_at_once(metadata.row_group(group), self.batch_bytes);
        let path = self.path;
        let builder = self.builder.with_row_groups(vec![group]).with_projection(columns);
        let build = || builder.with_batch_size(at_once).build();
        let mut reader = attempt(build).map_err(|error| fault(&path, &error))?;
        let mut rows = Vec::with_capacity(ROWS_PER_GROUP);
        let mut next = || attempt(|| reader.next().transpose().map_err(ParquetError::from));
        while let Some(batch) = next().map_err(|error| fault(&path, &error))? {
            add_rows(&batch, &mut rows).ok_or_else(|| damaged(&path))?;
        }
        Ok(rows)
    }
}

/// Rows that are decoded at once: one, where those of a group may be too much text together.
fn rows_at_once(group: &RowGroupMetaData, batch_bytes: usize) -> usize {
    let bytes = usize::try_from(group.total_byte_size()).unwrap_or(usize::MAX);
    if bytes > batch_bytes { 1 } else { ROWS_PER_GROUP }
}

/// Whether every column lies in the file: the parquet crate takes it for granted.
fn is_within(metadata: &ParquetMetaData, length: u64) -> bool {
    metadata.row_groups().iter().flat_map(RowGroupMetaData::columns).all(|column| {
        let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
        let places = u64::try_from(start).ok().zip(u64::try_from(column.compressed_size()).ok());
        let end = places.and_then(|(start, bytes)| start.checked_add(bytes));
        end.is_some_and(|end| end <= length)
    })
}

/// What the parquet crate makes of a file; its panics over damaged ones are errors, too.
fn attempt<T>(work: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(ParquetError::General("its pages are not what its metadata says".to_owned()))
    })
}

/// What is wrong with a part: what the system does not read is not damaged for that.
fn fault(path: &Path, error: &ParquetError) -> Error {
    let refused = match error {
        ParquetError::External(source) => source.downcast_ref::<io::Error>(),
        _ => None,
    };
    // To jump to before the start of a file is what damaged metadata asks for.
    let invalid = rustix::io::Errno::INVAL.raw_os_error();
    if refused.and_then(io::Error::raw_os_error).is_some_and(|code| code != invalid) {
        return Error::new(ErrorKind::Io, "cannot read the part")
            .with_context("path", path.display())
            .with_source(error);
    }
    damaged(path).with_source(error)
}

fn damaged(path: &Path) -> Error {
    Error::new(ErrorKind::Data, "the pool part is damaged")
        .with_context("file", path.display())
        .with_hint("remove the file and the folder's card.json: the next run makes it again")
}

/// Adds a batch's rows; `None` if a column has another type than the schema says, or a row another
/// text than was written: a flipped bit may well decompress.
fn from_columns(batch: &RecordBatch, examples: &mut Vec<Example>) -> Option<()> {
    let texts = |column: usize| batch.column(column).as_any().downcast_ref::<StringArray>();
    let (inputs, targets) = (texts(0)?, texts(1)?);
    let choices = batch.column(2).as_any().downcast_ref::<ListArray>()?;
    let gold = batch.column(3).as_any().downcast_ref::<UInt32Array>()?;
    let (datasets, templates, extra) = (texts(4)?, texts(5)?, texts(7)?);
    let hashes = batch.column(6).as_any().downcast_ref::<FixedSizeBinaryArray>()?;
    let maybe =
        |column: &StringArray, row| column.is_valid(row).then(|| column.value(row).to_owned());
    for row in 0..batch.num_rows() {
        let options = choices.value(row);
        let options = options.as_any().downcast_ref::<StringArray>()?;
        let example = Example {
            input: inputs.value(row).to_owned(),
            target: maybe(targets, row),
            options: options.iter().flatten().map(str::to_owned).collect(),
            gold: gold.is_valid(row).then(|| gold.value(row) as usize),
            provenance: Provenance {
                dataset: datasets.value(row).to_owned(),
                template: templates.value(row).to_owned(),
            },
            extra: match maybe(extra, row) {
                Some(json) => serde_json::from_str(&json).ok()?,
                None => serde_json::Map::new(),
            },
        };
        if content_hash(&example) != hashes.value(row) {
            return None;
        }
        examples.push(example);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn write(path: &Path, examples: &[Example], threads: usize) {
        let groups = examples.chunks(ROWS_PER_GROUP).map(|group| Ok(group.to_vec()));
        write_part(path, groups, threads).unwrap();
    }

    #[test]
    fn a_part_has_the_same_bytes_at_any_number_of_threads() {
        let dir = tempfile::tempdir().unwrap();
        let example = |row: usize| Example { input: format!("row {row}"), ..Example::default() };
        let examples: Vec<Example> = (0..3 * ROWS_PER_GROUP + 5).map(example).collect();
        let bytes = [1, 2, 7].map(|threads| {
            let path = dir.path().join(format!("{threads}.parquet"));
            write(&path, &examples, threads);
            std::fs::read(path).unwrap()
        });
        assert!(bytes[0] == bytes[1] && bytes[0] == bytes[2]);
    }

    fn full() -> Example {
        Example {
            input: "a\u{2028}b\nc".to_owned(),
            target: Some(String::new()),
            options: vec!["yes".to_owned(), String::new()],
            gold: Some(1),
            provenance: Provenance { dataset: "d".to_owned(), template: "t".to_owned() },
            extra: serde_json::Map::from_iter([("id".to_owned(), json!(7))]),
        }
    }

    #[test]
    fn a_group_with_much_text_is_written_and_read_in_smaller_batches() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("part-00000.parquet");
        let row = |row: usize| Example { input: "word ".repeat(row % 7), ..full() };
        let examples: Vec<Example> = (0..ROWS_PER_GROUP).map(row).collect();
        write_batches(&path, std::iter::once(Ok(examples.clone())), 1, 50).unwrap();
        let reader = || PartReader { batch_bytes: 50, ..PartReader::open(&path).unwrap() };
        assert_eq!(rows_at_once(reader().builder.metadata().row_group(0), 50), 1);
        assert_eq!(reader().rows(), ROWS_PER_GROUP);
        assert_eq!(reader().read_group(0).unwrap(), examples);
        assert_eq!(PartReader::open(&path).unwrap().read_group(0).unwrap(), examples);
        let inputs: Vec<String> = examples.iter().map(|example| example.input.clone()).collect();
        assert_eq!(reader().read_inputs(0).unwrap(), inputs);
    }

    #[test]
    fn batches_are_bounded_by_bytes_and_an_example_that_is_too_long_is_refused() {
        let of = |length: usize| Example { input: "x".repeat(length), ..Example::default() };
        let examples = [3, 3, 3, 20, 1].map(of);
        let batches_of = |bytes| -> Vec<usize> {
            batches(&examples, bytes, 20).unwrap().into_iter().map(<[Example]>::len).collect()
        };
        assert_eq!(batches_of(6), [2, 1, 1, 1]);
        assert_eq!(batches_of(100), [5], "an ordinary group is one batch, as ever");
        let error = batches(&examples, 6, 19).unwrap_err();
        assert!(error.to_string().contains("20 bytes"), "{error}");
    }

    #[test]
    fn a_part_that_the_system_does_not_read_is_no_damaged_one() {
        let dir = tempfile::tempdir().unwrap();
        // A folder can be opened, and not be read.
        for name in ["a", "b", "c"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let error = PartReader::open_whole(dir.path()).err().expect("a folder");
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        let file = dir.path().join("part-00000.parquet");
        std::fs::write(&file, "PAR1 not really").unwrap();
        assert!(PartReader::open_whole(&file).unwrap().is_none());
    }

    #[test]
    fn every_field_of_an_example_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("part-00000.parquet");
        let mut examples = vec![Example::default(); ROWS_PER_GROUP];
        examples.push(full());
        write(&path, &examples, 2);
        let reader = PartReader::open(&path).unwrap();
        assert_eq!(reader.rows(), ROWS_PER_GROUP + 1);
        assert_eq!(reader.read_group(0).unwrap(), examples[..ROWS_PER_GROUP]);
        let last = PartReader::open(&path).unwrap().read_group(1).unwrap();
        assert_eq!(last, examples[ROWS_PER_GROUP..]);
        let inputs = PartReader::open(&path).unwrap().read_inputs(1).unwrap();
        assert_eq!(inputs, [examples[ROWS_PER_GROUP].input.clone()]);
        let sources = PartReader::open(&path).unwrap().read_provenances(1).unwrap();
        assert_eq!(sources, [full().provenance]);
    }

    #[test]
    fn a_row_with_another_text_than_was_written_is_damage() {
        let written = to_columns(&[full()]).unwrap();
        assert!(from_columns(&written, &mut Vec::new()).is_some());
        for other in [
            Example { input: "a\u{2028}b\nd".to_owned(), ..full() },
            Example { target: Some("t".to_owned()), ..full() },
        ] {
            let mut columns = to_columns(&[other]).unwrap().columns().to_vec();
            columns[6] = Arc::clone(written.column(6));
            let flipped = RecordBatch::try_new(schema(), columns).unwrap();
            assert!(from_columns(&flipped, &mut Vec::new()).is_none());
        }
    }

    #[test]
    fn a_damaged_part_is_an_error_that_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("part-00000.parquet");
        std::fs::write(&path, "PAR1 not really").unwrap();
        let error = PartReader::open(&path).err().expect("damaged");
        assert!(error.to_string().contains("part-00000.parquet"), "{error}");
    }
}
