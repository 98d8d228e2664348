//! One part's postings: a tantivy index of one segment, open for reading.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use deft_core::prelude::*;
use tantivy::columnar::{ColumnIndex, ColumnValues};
use tantivy::directory::OwnedBytes;
use tantivy::postings::{BlockSegmentPostings, TermInfo};
use tantivy::schema::{FAST, Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::{Index as TantivyIndex, InvertedIndexReader, SegmentReader, TantivyError, Term};

use crate::analyzer;
use crate::card::{Card, refused};
use crate::writer::segment_dir;

/// The analyser's name and version: in the index's schema, and in its fingerprint.
pub(crate) fn analyzer_name() -> String {
    format!("lucene_english_{}", analyzer::VERSION)
}

const TEXT: &str = "text";
const ROW: &str = "row";

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
    /// The unit's folder, for messages.
    unit: PathBuf,
    card: Card,
    text: Field,
    postings: Arc<InvertedIndexReader>,
    lengths: OwnedBytes,
    rows: Arc<dyn ColumnValues<u64>>,
    len: u32,
}

impl Segment {
    /// Opens what [`crate::writer`] left in a unit's folder; its files have been checked.
    pub(crate) fn open(unit: &Path, card: Card) -> Result<Self> {
        let failed = |error: TantivyError| cannot_open(unit).with_source(&error);
        let index = TantivyIndex::open_in_dir(segment_dir(unit)).map_err(failed)?;
        Self::of_index(&index, unit, card).map_err(failed)?.ok_or_else(|| {
            cannot_open(unit)
                .with_context("reason", "it has not one segment of the expected rows and fields")
        })
    }

    /// `None` if this is some other index.
    fn of_index(index: &TantivyIndex, unit: &Path, card: Card) -> tantivy::Result<Option<Self>> {
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
        let expected = [len as usize, card.rows];
        let lengths = lengths.filter(|lengths| expected == [lengths.len(); 2]);
        let rows = reader.fast_fields().u64(ROW)?;
        let has_rows = matches!(rows.index, ColumnIndex::Full) && rows.values.num_vals() == len;
        let (Some(lengths), true) = (lengths, has_rows) else { return Ok(None) };
        Ok(Some(Self {
            unit: unit.to_owned(),
            card,
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

    /// The fingerprint of all texts.
    pub(crate) fn texts(&self) -> &str {
        &self.card.texts
    }

    /// Refuses an index of other texts: `texts` is the fingerprint of the pool's.
    pub(crate) fn check_texts(&self, texts: &str) -> Result<()> {
        self.card.check_texts(&self.unit, texts)
    }

    /// The error for postings that name a text beyond the last one.
    pub(crate) fn damaged_posting(&self, text: u32) -> Error {
        refused(&self.unit, "the index is damaged: a term has a text that is not there")
            .with_context("text", text)
            .with_context("texts", self.len)
    }

    /// Where a term's postings lie, if any text has it.
    pub(crate) fn find(&self, term: &str) -> Result<Option<TermInfo>> {
        let term = Term::from_field_text(self.text, term);
        self.postings
            .get_term_info(&term)
            .or_error(ErrorKind::Io, "cannot read the index's terms")
            .map_err(|error| error.with_context("folder", self.unit.display()))
    }

    /// A term's postings, in blocks.
    pub(crate) fn postings(&self, term: &TermInfo) -> Result<BlockSegmentPostings> {
        self.postings
            .read_block_postings_from_terminfo(term, IndexRecordOption::WithFreqs)
            .or_error(ErrorKind::Io, "cannot read the index's postings")
            .map_err(|error| error.with_context("folder", self.unit.display()))
    }
}

fn cannot_open(unit: &Path) -> Error {
    refused(unit, "cannot open the index of this part")
}
