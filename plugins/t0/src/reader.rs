//! The reader of any task, and the stream of a source's examples.

use std::marker::PhantomData;
use std::path::Path;

use deft_core::metrics::{self, ExampleScore, TaskSpec};
use deft_core::prelude::*;

use crate::config::{T0Config, Variant};
use crate::record::Record;
use crate::source;
use crate::tasks::{Prompt, Task};
use deft_lines::{JsonLines, Line};

/// Rows between two questions whether the user wants to stop.
const ROWS_BETWEEN_CHECKS: usize = 1024;

/// Why a row is no example.
const EMPTY_LINE: &str = "empty line";

/// Fields that are kept in an example's `extra`.
const KEPT: [&str; 1] = ["idx"];

/// Reads the records of one task; scores them by rank classification.
#[derive(Debug)]
pub(crate) struct T0Reader<T> {
    variant: Variant,
    task: PhantomData<T>,
}

impl<T: Task> Component for T0Reader<T> {
    type Config = T0Config;

    const NAME: &'static str = T::NAME;
    const SUMMARY: &'static str = T::SUMMARY;

    fn new(_ctx: &Context<'_>, config: T0Config, _children: Children) -> Result<Self> {
        Ok(Self { variant: config.variant, task: PhantomData })
    }
}

impl<T: Task> Reader for T0Reader<T> {
    fn open(&self, _ctx: &Context<'_>, source: &Path) -> Result<Box<dyn ExampleStream>> {
        let lines = source::open(source)?;
        Ok(Box::new(T0Stream::<T> { lines, variant: self.variant, rows: 0, task: PhantomData }))
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

/// The examples of a source.
struct T0Stream<T> {
    lines: JsonLines,
    variant: Variant,
    /// Rows read so far.
    rows: usize,
    task: PhantomData<T>,
}

impl<T: Task> ExampleStream for T0Stream<T> {
    /// Rows left out count towards `max`, so that a batch is bounded whatever the file holds.
    fn next_batch(&mut self, ctx: &Context<'_>, max: usize) -> Result<Option<Batch>> {
        let mut batch = Batch::default();
        for taken in 0..max.max(1) {
            if taken % ROWS_BETWEEN_CHECKS == 0 {
                ctx.check()?;
            }
            match self.lines.advance()? {
                None => break,
                Some(Line::Object(_)) => batch.examples.push(self.example()?),
                Some(Line::Empty(row)) => {
                    batch.skipped.push(SkippedRow { row, reason: EMPTY_LINE.to_owned() });
                }
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

impl<T: Task> T0Stream<T> {
    /// The example on the present line.
    fn example(&self) -> Result<Example> {
        let record = Record::read(&self.lines)?;
        let Prompt { input, options, gold } = T::prompt(&record, self.variant)?;
        Ok(Example {
            input,
            target: gold.map(|gold| options[gold].clone()),
            options,
            gold,
            provenance: Provenance {
                dataset: T::DATASET.to_owned(),
                template: T::task().to_owned(),
            },
            extra: record.keep(&KEPT),
        })
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
