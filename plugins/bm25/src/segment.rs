//! One part's postings: a tantivy index of one segment, open for reading.

use std::path::Path;
use std::sync::Arc;

use deft_core::prelude::*;
use tantivy::columnar::Column;
use tantivy::fieldnorm::FieldNormReader;
use tantivy::postings::{BlockSegmentPostings, TermInfo};
use tantivy::schema::{FAST, Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::{Index as TantivyIndex, InvertedIndexReader, SegmentReader, TantivyError, Term};

/// The analyser's name in the index's schema.
pub(crate) const ANALYZER: &str = "lucene_english";
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
            .set_tokenizer(ANALYZER)
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
    lengths: FieldNormReader,
    rows: Column<u64>,
    len: u32,
}

impl Segment {
    /// Opens what [`crate::writer`] left in a folder.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        Self::open_by_tantivy(dir).map_err(|error| broken(dir, &error))?.ok_or_else(|| {
            damaged(dir).with_context("reason", "it has not one segment of the expected fields")
        })
    }

    /// `None` if this is some other index.
    fn open_by_tantivy(dir: &Path) -> tantivy::Result<Option<Self>> {
        let index = TantivyIndex::open_in_dir(dir)?;
        let fields = Fields::new();
        let segments = index.searchable_segments()?;
        let ([segment], true) = (segments.as_slice(), index.schema() == fields.schema) else {
            return Ok(None);
        };
        let reader = SegmentReader::open(segment)?;
        Ok(Some(Self {
            text: fields.text,
            postings: reader.inverted_index(fields.text)?,
            lengths: reader.get_fieldnorms_reader(fields.text)?,
            rows: reader.fast_fields().u64(ROW)?,
            len: reader.max_doc(),
        }))
    }

    /// Number of texts.
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    /// Number of texts that have at least one term.
    pub(crate) fn texts_with_terms(&self) -> u64 {
        (0..self.len).filter(|&text| self.length(text) > 0).count() as u64
    }

    /// Number of terms in all texts, repetitions included.
    pub(crate) fn terms(&self) -> u64 {
        self.postings.total_num_tokens()
    }

    /// The byte that stands for a text's length; texts are numbered as tantivy likes.
    pub(crate) fn length(&self, text: u32) -> u8 {
        self.lengths.fieldnorm_id(text)
    }

    /// A text's row in the pool.
    pub(crate) fn row(&self, text: u32) -> Result<u64> {
        self.rows.first(text).ok_or_else(|| {
            Error::new(ErrorKind::Data, "the index is damaged: a text has no row")
                .with_context("text", text)
        })
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

fn broken(dir: &Path, error: &TantivyError) -> Error {
    damaged(dir).with_source(error)
}

fn damaged(dir: &Path) -> Error {
    Error::new(ErrorKind::Data, "cannot open the index of this part")
        .with_context("folder", dir.display())
        .with_hint("remove the folder: the next run builds it again")
}
