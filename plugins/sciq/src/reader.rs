//! The reader.

use std::path::Path;

use deft_core::metrics::{self, ExampleScore, TaskSpec};
use deft_core::prelude::*;
use deft_records::{Record, RecordStream};

use crate::config::SciqConfig;
use crate::prompt;

/// Reads `SciQ`; scores by rank classification.
#[derive(Debug)]
pub(crate) struct SciqReader(SciqConfig);

impl Component for SciqReader {
    type Config = SciqConfig;

    const NAME: &'static str = "sciq";
    const SUMMARY: &'static str = "SciQ: science questions with a paragraph and four answers";

    fn new(_ctx: &Context<'_>, config: SciqConfig, _children: Children) -> Result<Self> {
        Ok(Self(config))
    }
}

impl Reader for SciqReader {
    fn open(&self, ctx: &Context<'_>, source: &Path) -> Result<Box<dyn ExampleStream>> {
        let variant = self.0.variant;
        RecordStream::open(ctx, source, move |record: &Record| prompt::make(record, variant))
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

#[cfg(test)]
#[path = "reader_tests.rs"]
pub(crate) mod tests;
