//! The reader: records in, examples out; and the metric that goes with them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use deft_core::metrics::{self, Aggregate, ExampleScore, MetricSpec, TaskSpec};
use deft_core::prelude::*;
use deft_records::{Made, Record, RecordStream};

use crate::config::JsonlConfig;
use crate::rules::Rules;
use crate::templates::Templates;

const EXACT: &str = "exact_match";

/// Makes examples of records by the templates of the manifest.
#[derive(Debug)]
pub(crate) struct JsonlReader(Arc<Rules>);

impl Component for JsonlReader {
    type Config = JsonlConfig;

    const NAME: &'static str = "jsonl";
    const SUMMARY: &'static str = "any file of records, by templates in the manifest";

    fn check(options: &JsonlConfig) -> Result<()> {
        options.check()?;
        Templates::compile(options)?;
        Ok(())
    }

    fn new(_ctx: &Context<'_>, config: JsonlConfig, _children: Children) -> Result<Self> {
        Ok(Self(Arc::new(Rules::new(config)?)))
    }
}

impl Reader for JsonlReader {
    fn open(&self, ctx: &Context<'_>, source: &Path) -> Result<Box<dyn ExampleStream>> {
        let rules = Arc::clone(&self.0);
        RecordStream::open(ctx, source, move |record: &Record| {
            Ok(Made::Examples(vec![rules.example(record)?]))
        })
    }

    fn task(&self) -> TaskSpec {
        let config = self.0.config();
        match (config.is_labelled(), &config.options) {
            (false, _) => TaskSpec::default(),
            (true, Some(_)) => TaskSpec::rank_classification(),
            (true, None) => {
                let metric = MetricSpec { name: EXACT.to_owned(), aggregate: Aggregate::Mean };
                TaskSpec { prediction: PredictionKind::Text, metrics: vec![metric] }
            }
        }
    }

    fn score(
        &self,
        _ctx: &Context<'_>,
        examples: &[Example],
        predictions: &[Prediction],
    ) -> Result<Vec<ExampleScore>> {
        if self.0.config().options.is_some() {
            return metrics::rank_classification(examples, predictions)
                .map_err(|error| self.explained(error));
        }
        examples.iter().zip(predictions).map(|(e, p)| exact_match(e, p)).collect()
    }
}

impl JsonlReader {
    /// Says of an example without right answer that `gold` may name a field that no record has: such
    /// records are read as unlabelled.
    fn explained(&self, error: Error) -> Error {
        match &self.0.config().gold {
            Some(gold) if error.kind() == ErrorKind::Data => error.with_hint(format!(
                "evaluation needs labels, which the test splits of many data sets lack: take the \
                 validation split; or `gold: {gold}` names a field that is not there"
            )),
            _ => error,
        }
    }
}

/// Whether a generated text is the target, white space at the ends aside.
fn exact_match(example: &Example, prediction: &Prediction) -> Result<ExampleScore> {
    let target = example.target.as_ref().ok_or_else(|| {
        Error::new(ErrorKind::Data, "the example has no target to be scored against")
            .with_context("input", deft_core::excerpt(&example.input))
    })?;
    let Prediction::Text(text) = prediction else {
        let message = "generated text is needed, option scores were given";
        return Err(Error::new(ErrorKind::Unexpected, message));
    };
    let is_match = f64::from(u8::from(text.trim() == target.trim()));
    let values = BTreeMap::from([(EXACT.to_owned(), is_match)]);
    Ok(ExampleScore { values, ..ExampleScore::default() })
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
