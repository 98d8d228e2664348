//! The reader, and the stream of an official file's examples.

use std::collections::BTreeMap;
use std::path::Path;

use deft_core::metrics::{Aggregate, ExampleScore, MetricSpec, TaskSpec};
use deft_core::prelude::*;
use deft_records::{Forms, Record, RecordStream, SourceFile, SourceStream};

use crate::config::{DropConfig, Variant};
use crate::official::{self, Passages};
use crate::{metric, question, rows};

/// Names of the metrics.
const F1: &str = "f1";
const EXACT_MATCH: &str = "exact_match";

/// Reads DROP; scores generated texts by its official metric.
#[derive(Debug)]
pub(crate) struct DropReader(DropConfig);

impl Component for DropReader {
    type Config = DropConfig;

    const NAME: &'static str = "drop";
    const SUMMARY: &'static str =
        "DROP: questions about a passage that want counting and adding up";

    fn new(_ctx: &Context<'_>, config: DropConfig, _children: Children) -> Result<Self> {
        Ok(Self(config))
    }
}

impl Reader for DropReader {
    fn open(&self, ctx: &Context<'_>, source: &Path) -> Result<Box<dyn ExampleStream>> {
        let variant = self.0.variant;
        SourceStream::open(ctx, source, Forms::RECORDS, move |file: &SourceFile| {
            open_file(file, variant)
        })
    }

    fn task(&self) -> TaskSpec {
        let mean = |name: &str| MetricSpec { name: name.to_owned(), aggregate: Aggregate::Mean };
        TaskSpec { prediction: PredictionKind::Text, metrics: vec![mean(F1), mean(EXACT_MATCH)] }
    }

    /// The group of a score is the kind of answer.
    fn score(
        &self,
        _ctx: &Context<'_>,
        examples: &[Example],
        predictions: &[Prediction],
    ) -> Result<Vec<ExampleScore>> {
        examples.iter().zip(predictions).map(|(example, one)| score(example, one)).collect()
    }
}

/// The examples of an official file, or of one with rows.
fn open_file(file: &SourceFile, variant: Variant) -> Result<Box<dyn ExampleStream>> {
    if official::is_official(&file.path) {
        let passages = Passages::open(&file.path)?;
        return Ok(Box::new(OfficialStream { passages, variant, waiting: Vec::new().into_iter() }));
    }
    RecordStream::of_file(file, move |record: &Record| rows::make(record, variant))
}

fn score(example: &Example, prediction: &Prediction) -> Result<ExampleScore> {
    let Prediction::Text(text) = prediction else {
        return Err(Error::new(
            ErrorKind::Unexpected,
            "a text is needed, option scores were given",
        ));
    };
    let score = metric::score(&[text.as_str()], &question::answers(example)?);
    Ok(ExampleScore {
        group: score.kind.map(|kind| kind.as_str().to_owned()).unwrap_or_default(),
        values: BTreeMap::from([
            (F1.to_owned(), score.f1),
            (EXACT_MATCH.to_owned(), score.exact_match),
        ]),
        ..ExampleScore::default()
    })
}

/// The examples of an official file.
struct OfficialStream {
    passages: Passages,
    variant: Variant,
    /// What the last passage's questions became, as far as it is still to be given.
    waiting: std::vec::IntoIter<Result<Example, &'static str>>,
}

impl ExampleStream for OfficialStream {
    fn next_batch(&mut self, ctx: &Context<'_>, max: usize) -> Result<Option<Batch>> {
        let mut batch = Batch::default();
        ctx.check()?;
        while batch.examples.len() + batch.skipped.len() < max.max(1) {
            match self.waiting.next() {
                Some(Ok(example)) => batch.examples.push(example),
                Some(Err(reason)) => {
                    let (row, reason) = (self.passages.row(), reason.to_owned());
                    batch.skipped.push(SkippedRow { row, reason });
                }
                None => {
                    ctx.check()?;
                    let Some((id, passage)) = self.passages.advance()? else { break };
                    self.waiting = official::examples(&id, passage, self.variant).into_iter();
                }
            }
        }
        let rows = batch.examples.len() + batch.skipped.len();
        if rows == 0 {
            return Ok(None);
        }
        Ok(Some(batch))
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
pub(crate) mod tests;
