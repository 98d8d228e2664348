//! The reader, and the stream of a source's examples.

use std::path::Path;
use std::vec;

use deft_core::metrics::{self, ExampleScore, TaskSpec};
use deft_core::prelude::*;

use crate::columns::Columns;
use crate::config::P3Config;
use crate::json;
use crate::kinship::Kinship;
use crate::provenance;
use crate::rules::{self, EMPTY_LINE, Fields};
use crate::source::{self, Format, SourceFile};
use deft_lines::{JsonLines, Line};

/// Rows between two questions whether the user wants to stop.
const ROWS_BETWEEN_CHECKS: usize = 1024;

/// Reads P3-style prompted examples; scores them by rank classification.
#[derive(Debug)]
pub(crate) struct P3Reader {
    config: P3Config,
}

impl Component for P3Reader {
    type Config = P3Config;

    const NAME: &'static str = "p3";
    const SUMMARY: &'static str = "P3-style prompted examples from JSON lines and Parquet";

    fn new(_ctx: &Context<'_>, config: P3Config, _children: Children) -> Result<Self> {
        Ok(Self { config })
    }
}

impl Reader for P3Reader {
    fn open(&self, ctx: &Context<'_>, source: &Path) -> Result<Box<dyn ExampleStream>> {
        let files = source::list(ctx, source)?.into_iter();
        Ok(Box::new(P3Stream {
            config: self.config,
            files,
            file: None,
            kinship: Kinship::default(),
            known: None,
            rows: 0,
        }))
    }

    fn task(&self) -> TaskSpec {
        TaskSpec::rank_classification()
    }

    fn score(
        &self,
        _ctx: &Context<'_>,
        examples: &[Example],
        predictions: &[Prediction],
    ) -> Result<Vec<ExampleScore>> {
        metrics::rank_classification(examples, predictions)
    }
}

/// The examples of a source, file by file.
struct P3Stream {
    config: P3Config,
    /// The files still to be opened.
    files: vec::IntoIter<SourceFile>,
    file: Option<File>,
    /// Whether that is a file for this reader.
    kinship: Kinship,
    /// Where the file's rows come from, by its path, where they do not say it themselves.
    known: Option<Provenance>,
    /// Rows of the source read so far.
    rows: usize,
}

/// The file being read.
enum File {
    Lines(JsonLines),
    Columns(Columns),
}

/// A row's number and its fields, or why it is no example.
type Row<'a> = (u64, Result<Fields<'a>, &'static str>);

impl ExampleStream for P3Stream {
    /// Rows left out count towards `max`, so that a batch is bounded whatever the file holds.
    fn next_batch(&mut self, ctx: &Context<'_>, max: usize) -> Result<Option<Batch>> {
        let mut batch = Batch::default();
        for taken in 0..max.max(1) {
            if taken % ROWS_BETWEEN_CHECKS == 0 {
                ctx.check()?;
            }
            if !self.next_row(&mut batch)? {
                break;
            }
        }
        if batch.examples.is_empty() && batch.skipped.is_empty() {
            return Ok(None);
        }
        self.rows += batch.examples.len() + batch.skipped.len();
        ctx.progress(self.rows, 0, "rows");
        Ok(Some(batch))
    }
}

impl P3Stream {
    /// Puts the next row into the batch; whether there was one.
    fn next_row(&mut self, batch: &mut Batch) -> Result<bool> {
        loop {
            if let Some(file) = &mut self.file
                && let Some((row, fields)) = file.next(self.config.keep_extra)?
            {
                let made = fields.and_then(|fields| rules::example(fields, self.config));
                if let File::Lines(lines) = file {
                    self.kinship.note(&made, lines)?;
                }
                match made {
                    Ok(mut example) => {
                        if let Some(known) = &self.known
                            && example.provenance == Provenance::default()
                        {
                            example.provenance.clone_from(known);
                        }
                        batch.examples.push(example);
                    }
                    Err(reason) => {
                        batch.skipped.push(SkippedRow { row, reason: reason.to_owned() });
                    }
                }
                return Ok(true);
            }
            std::mem::take(&mut self.kinship).check()?;
            let Some(next) = self.files.next() else { return Ok(false) };
            self.file = Some(File::open(&next, self.config)?);
            // Files of lines are made by others, whose folders have names of their own.
            let is_parquet = next.format == Format::Parquet;
            self.known = provenance::of_path(&next.path).filter(|_| is_parquet);
        }
    }
}

impl File {
    fn open(file: &SourceFile, config: P3Config) -> Result<Self> {
        Ok(match file.format {
            Format::Lines(compression) => Self::Lines(JsonLines::open(&file.path, compression)?),
            Format::Parquet => Self::Columns(Columns::open(&file.path, config)?),
        })
    }

    fn next(&mut self, keep_extra: bool) -> Result<Option<Row<'_>>> {
        match self {
            Self::Lines(lines) => match lines.advance()? {
                None => Ok(None),
                Some(Line::Empty(row)) => Ok(Some((row, Err(EMPTY_LINE)))),
                Some(Line::Object(row)) => Ok(Some((row, json::fields(lines, keep_extra)?))),
            },
            Self::Columns(columns) => {
                if !columns.advance()? {
                    return Ok(None);
                }
                Ok(Some((columns.number(), Ok(columns.fields()?))))
            }
        }
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
