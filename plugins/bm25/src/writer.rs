//! A part of the pool becomes a tantivy index of one segment.
//!
//! tantivy's usual writer brings a thread of its own for indexing, five more for merging, and a
//! queue of ten thousand texts before them. A unit is meant to keep one thread busy, and many units
//! run at once, so the writer without threads is used; when its memory is full, it starts another
//! segment, and in the end the segments are merged into one.

use std::path::{Path, PathBuf};

use deft_core::prelude::*;
use tantivy::directory::MmapDirectory;
use tantivy::indexer::merge_indices;
use tantivy::store::Compressor;
use tantivy::tokenizer::TokenizerManager;
use tantivy::{
    Index as TantivyIndex, IndexSettings, SingleSegmentIndexWriter, TantivyDocument, TantivyError,
};

use crate::analyzer::Analyzer;
use crate::segment::{Fields, analyzer_name};

/// The folder of a unit's final segment, within the unit's folder.
const FINAL: &str = "segment";

/// Where a unit's segment lies within the unit's folder.
pub(crate) fn segment_dir(unit: &Path) -> PathBuf {
    unit.join(FINAL)
}

/// Writes the segment of one unit.
pub(crate) struct UnitWriter {
    dir: PathBuf,
    memory: usize,
    fields: Fields,
    tokenizers: TokenizerManager,
    /// The segment that is being filled.
    open: Option<SingleSegmentIndexWriter>,
    /// Folders of the segments begun so far.
    pieces: Vec<PathBuf>,
}

impl UnitWriter {
    /// Makes the folder `dir` and prepares to fill it, with `memory` bytes at hand.
    pub(crate) fn create(dir: &Path, memory: usize) -> Result<Self> {
        std::fs::create_dir(dir).or_io("cannot make the index's folder", dir)?;
        let tokenizers = TokenizerManager::default();
        tokenizers.register(&analyzer_name(), Analyzer::new());
        Ok(Self {
            dir: dir.to_owned(),
            memory,
            fields: Fields::new(),
            tokenizers,
            open: None,
            pieces: Vec::new(),
        })
    }

    /// Adds the text of one pool row.
    pub(crate) fn add(&mut self, row: usize, text: &str) -> Result<()> {
        let mut document = TantivyDocument::new();
        document.add_text(self.fields.text, text);
        document.add_u64(self.fields.row, row as u64);
        let mut writer = match self.open.take() {
            Some(writer) => writer,
            None => self.begin_piece()?,
        };
        writer.add_document(document).map_err(|error| self.failed(&error))?;
        if writer.mem_usage() < self.memory {
            self.open = Some(writer);
        } else {
            writer.finalize().map_err(|error| self.failed(&error))?;
        }
        Ok(())
    }

    /// Writes what is left, and merges the segments into one.
    pub(crate) fn finish(mut self) -> Result<()> {
        if let Some(writer) = self.open.take() {
            writer.finalize().map_err(|error| self.failed(&error))?;
        }
        if let [only] = self.pieces.as_slice() {
            return std::fs::rename(only, segment_dir(&self.dir))
                .or_io("cannot rename the segment", only);
        }
        self.merge().map_err(|error| self.failed(&error))?;
        for piece in &self.pieces {
            std::fs::remove_dir_all(piece).or_io("cannot remove the merged segment", piece)?;
        }
        Ok(())
    }

    fn begin_piece(&mut self) -> Result<SingleSegmentIndexWriter> {
        let dir = self.dir.join(format!("piece-{}", self.pieces.len()));
        std::fs::create_dir(&dir).or_io("cannot make the segment's folder", &dir)?;
        // Nothing is stored but postings: the texts are in the pool.
        let settings =
            IndexSettings { docstore_compression: Compressor::None, ..IndexSettings::default() };
        let writer = MmapDirectory::open(&dir).map_err(TantivyError::from).and_then(|directory| {
            TantivyIndex::builder()
                .schema(self.fields.schema.clone())
                .settings(settings)
                .tokenizers(self.tokenizers.clone())
                .single_segment_index_writer(directory, self.memory)
        });
        self.pieces.push(dir);
        writer.map_err(|error| self.failed(&error))
    }

    fn merge(&self) -> tantivy::Result<()> {
        let pieces: Vec<_> =
            self.pieces.iter().map(TantivyIndex::open_in_dir).collect::<tantivy::Result<_>>()?;
        let dir = segment_dir(&self.dir);
        std::fs::create_dir(&dir)?;
        merge_indices(&pieces, MmapDirectory::open(&dir)?)?;
        Ok(())
    }

    fn failed(&self, error: &TantivyError) -> Error {
        Error::new(ErrorKind::Io, "cannot write the index of this part")
            .with_context("folder", self.dir.display())
            .with_source(error)
    }
}
