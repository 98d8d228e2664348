//! The reader of any of the tasks.

use std::marker::PhantomData;
use std::path::Path;

use deft_core::metrics::{self, ExampleScore, TaskSpec};
use deft_core::prelude::*;
use deft_records::{Made, Record, RecordStream};

use crate::config::LexglueConfig;

/// The Hugging Face data set of all tasks.
pub(crate) const DATASET: &str = "lex_glue";

/// A task of `LexGLUE`.
pub(crate) trait Task: Send + Sync + 'static {
    /// Name of the reader.
    const NAME: &'static str;
    /// One line about it.
    const SUMMARY: &'static str;

    /// The examples of a record.
    fn make(record: &Record) -> Result<Made>;

    /// What an example's score is grouped with; nothing where there are no groups.
    fn group(_example: &Example) -> String {
        String::new()
    }
}

/// Reads the records of one task; scores them by rank classification.
#[derive(Debug)]
pub(crate) struct LexglueReader<T>(PhantomData<T>);

impl<T: Task> Component for LexglueReader<T> {
    type Config = LexglueConfig;

    const NAME: &'static str = T::NAME;
    const SUMMARY: &'static str = T::SUMMARY;

    /// The variant is not kept: it changes nothing.
    fn new(_ctx: &Context<'_>, _config: LexglueConfig, _children: Children) -> Result<Self> {
        Ok(Self(PhantomData))
    }
}

impl<T: Task> Reader for LexglueReader<T> {
    fn open(&self, ctx: &Context<'_>, source: &Path) -> Result<Box<dyn ExampleStream>> {
        RecordStream::open(ctx, source, T::make)
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
        let mut scores = metrics::rank_classification(examples, predictions)?;
        for (score, example) in scores.iter_mut().zip(examples) {
            score.group = T::group(example);
        }
        Ok(scores)
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
pub(crate) mod tests;
