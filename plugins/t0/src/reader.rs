//! The reader of any task.

use std::marker::PhantomData;
use std::path::Path;

use deft_core::metrics::{self, ExampleScore, TaskSpec};
use deft_core::prelude::*;
use deft_records::{Made, Record, RecordStream, unanswerable};

use crate::config::{T0Config, Variant};
use crate::tasks::{Prompt, Task};

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
    fn open(&self, ctx: &Context<'_>, source: &Path) -> Result<Box<dyn ExampleStream>> {
        let variant = self.variant;
        RecordStream::open(ctx, source, move |record: &Record| make::<T>(record, variant))
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

/// The example of a record. One that nobody could answer is none, but the published code asks all the
/// same.
fn make<T: Task>(record: &Record, variant: Variant) -> Result<Made> {
    let Prompt { input, options, gold } = T::prompt(record, variant)?;
    if variant == Variant::Fixed
        && let Some(reason) = T::flaw(record)?.or_else(|| unanswerable(&options))
    {
        return Ok(Made::Skipped(reason));
    }
    Ok(Made::Examples(vec![Example {
        input,
        target: gold.map(|gold| options[gold].clone()),
        options,
        gold,
        provenance: Provenance { dataset: T::DATASET.to_owned(), template: T::task().to_owned() },
        extra: record.keep(T::KEPT),
    }]))
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
