//! One part's postings: a tantivy index of one segment, open for reading.

use std::path::Path;
use std::sync::Arc;

use deft_core::prelude::*;
use tantivy::columnar::{ColumnIndex, ColumnValues};
use tantivy::directory::OwnedBytes;
use tantivy::postings::{BlockSegmentPostings, TermInfo};
use tantivy::schema::{
    FAST, Field, FieldType, IndexRecordOption, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::{Index as TantivyIndex, InvertedIndexReader, SegmentReader, TantivyError, Term};

use crate::analyzer;

/// The analyser's name and version: in the index's schema, and in its fingerprint.
pub(crate) fn analyzer_name() -> String {
    format!("lucene_english_{}", analyzer::VERSION)
}

const TEXT: &str = "text";
const ROW: &str = "row";

const REMEDY: &str = "remove the folder: the next run builds it again";

/// The fields of an indexed text.
#[derive(Debug, Clone)]
pub(crate) struct Fields {
    pub(crate) schema: Schema,
    /// Terms with their counts; no positions, since nothing asks for phrases.
    pub(crate) text: Field,
    /// The text's row in the pool.
    pub(crate) row: Field,
}

impl Fields {
    pub(crate) fn new() -> Self {
        let indexing = TextFieldIndexing::default()
            .set_tokenizer(&analyzer_name())
            .set_index_option(IndexRecordOption::WithFreqs);
        let mut schema = Schema::builder();
        let text =
            schema.add_text_field(TEXT, TextOptions::default().set_indexing_options(indexing));
        let row = schema.add_u64_field(ROW, FAST);
        Self { schema: schema.build(), text, row }
    }
}

/// A segment, open for reading.
pub(crate) struct Segment {
    text: Field,
    postings: Arc<InvertedIndexReader>,
    lengths: OwnedBytes,
    rows: Arc<dyn ColumnValues<u64>>,
    len: u32,
}

impl Segment {
    /// Opens what [`crate::writer`] left in a folder.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let index = TantivyIndex::open_in_dir(dir).map_err(|error| broken(dir, &error))?;
        check_analyzer(&index.schema(), dir)?;
        Self::of_index(&index).map_err(|error| broken(dir, &error))?.ok_or_else(|| {
            damaged(dir).with_context("reason", "it has not one segment of the expected fields")
        })
    }

    /// `None` if this is some other index.
    fn of_index(index: &TantivyIndex) -> tantivy::Result<Option<Self>> {
        let fields = Fields::new();
        let segments = index.searchable_segments()?;
        let ([segment], true) = (segments.as_slice(), index.schema() == fields.schema) else {
            return Ok(None);
        };
        let reader = SegmentReader::open(segment)?;
        // A byte per text, as it lies in the file: tantivy's own way there is made for one at a time.
        let lengths = reader.fieldnorms_readers().get_inner_file().open_read(fields.text);
        let lengths = lengths.map(|file| file.read_bytes()).transpose()?;
        let len = reader.max_doc();
        let lengths = lengths.filter(|lengths| lengths.len() == len as usize);
        let rows = reader.fast_fields().u64(ROW)?;
        let has_rows = matches!(rows.index, ColumnIndex::Full) && rows.values.num_vals() == len;
        let (Some(lengths), true) = (lengths, has_rows) else { return Ok(None) };
        Ok(Some(Self {
            text: fields.text,
            postings: reader.inverted_index(fields.text)?,
            lengths,
            rows: rows.values,
            len,
        }))
    }

    /// Number of texts.
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    /// Number of texts that have at least one term.
    pub(crate) fn texts_with_terms(&self) -> u64 {
        self.lengths.iter().filter(|&&length| length > 0).count() as u64
    }

    /// Number of terms in all texts, repetitions included.
    pub(crate) fn terms(&self) -> u64 {
        self.postings.total_num_tokens()
    }

    /// The byte that stands for a text's length, for every text; texts are numbered as tantivy likes.
    pub(crate) fn lengths(&self) -> &[u8] {
        &self.lengths
    }

    /// A text's row in the pool.
    pub(crate) fn row(&self, text: u32) -> u64 {
        self.rows.get_val(text)
    }

    /// The error for postings that name a text beyond the last one.
    pub(crate) fn damaged_posting(&self, text: u32) -> Error {
        Error::new(ErrorKind::Data, "the index is damaged: a term has a text that is not there")
            .with_context("text", text)
            .with_context("texts", self.len)
    }

    /// Where a term's postings lie, if any text has it.
    pub(crate) fn find(&self, term: &str) -> Result<Option<TermInfo>> {
        let term = Term::from_field_text(self.text, term);
        self.postings.get_term_info(&term).or_error(ErrorKind::Io, "cannot read the index's terms")
    }

    /// A term's postings, in blocks.
    pub(crate) fn postings(&self, term: &TermInfo) -> Result<BlockSegmentPostings> {
        self.postings
            .read_block_postings_from_terminfo(term, IndexRecordOption::WithFreqs)
            .or_error(ErrorKind::Io, "cannot read the index's postings")
    }
}

/// The host keeps indexes of other analysers in other folders: this is for what was put there by hand.
fn check_analyzer(schema: &Schema, dir: &Path) -> Result<()> {
    let field = schema.get_field(TEXT).ok().map(|field| schema.get_field_entry(field).field_type());
    let Some(FieldType::Str(options)) = field else { return Ok(()) };
    let found = options.get_indexing_options().map_or("none", TextFieldIndexing::tokenizer);
    if found == analyzer_name() {
        return Ok(());
    }
    let message = "the index of this part has terms of another analyser";
    Err(Error::new(ErrorKind::Data, message)
        .with_context("folder", dir.display())
        .with_context("found", found)
        .with_context("wanted", analyzer_name())
        .with_hint(REMEDY))
}

fn broken(dir: &Path, error: &TantivyError) -> Error {
    damaged(dir).with_source(error)
}

fn damaged(dir: &Path) -> Error {
    Error::new(ErrorKind::Data, "cannot open the index of this part")
        .with_context("folder", dir.display())
        .with_hint(REMEDY)
}
