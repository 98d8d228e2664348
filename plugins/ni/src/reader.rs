//! The reader: prompts of a source's instances, and what answers are worth.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use deft_core::metrics::{Aggregate, ExampleScore, MetricSpec, TaskSpec};
use deft_core::prelude::*;
use deft_records::Entry;
use deft_splits::PythonRandom;
use serde_json::{Map, Value, json};

use crate::categories::{Categories, is_asked};
use crate::config::{NiConfig, PAPERS_TOKENS};
use crate::limit::Limit;
use crate::metric::{Worth, slug, worth};
use crate::prompt::Prompter;
use crate::source::{Source, is_named};
use crate::task::{self, Instance, Task};
use crate::{draw, report};

const ROUGE: &str = "rouge_l";
const EXACT: &str = "exact_match";
const ROUGE_BY_TASK: &str = "rouge_l_by_task";

/// Examples between two questions whether the user wants to stop.
const EXAMPLES_BETWEEN_CHECKS: usize = 64;

/// Follows instructions: an instance's input under the definition of its task.
#[derive(Debug)]
pub(crate) struct NiReader {
    config: Arc<NiConfig>,
    limit: Option<Arc<Limit>>,
}

impl Component for NiReader {
    type Config = NiConfig;

    const NAME: &'static str = "ni";
    const SUMMARY: &'static str = "tasks of Super-NaturalInstructions, with their instructions";

    fn check(options: &NiConfig) -> Result<()> {
        for (name, value) in [
            ("max_tokens", options.max_tokens.unwrap_or(1)),
            ("instances_per_task", options.instances_per_task.unwrap_or(1)),
        ] {
            if value == 0 {
                return Err(Error::option_at(name, format!("`{name}` must be at least 1")));
            }
        }
        if options.max_tokens.is_some() && options.tokenizer.is_none() {
            let message = "`max_tokens` has no effect without `tokenizer`, which counts the tokens";
            return Err(Error::option_at("max_tokens", message).with_hint(
                "add a `tokenizer` (`google-t5/t5-small` has that of every T5), or leave \
                 `max_tokens` out",
            ));
        }
        Ok(())
    }

    fn new(ctx: &Context<'_>, config: NiConfig, _children: Children) -> Result<Self> {
        let limit = match &config.tokenizer {
            Some(name) => {
                let tokens = config.max_tokens.unwrap_or(PAPERS_TOKENS);
                Some(Arc::new(Limit::open(ctx, name, tokens)?))
            }
            None => None,
        };
        Ok(Self { config: Arc::new(config), limit })
    }
}

impl Reader for NiReader {
    fn open(&self, ctx: &Context<'_>, source: &Path) -> Result<Box<dyn ExampleStream>> {
        Ok(Box::new(NiStream {
            source: Source::open(ctx, source, &self.config)?,
            config: Arc::clone(&self.config),
            limit: self.limit.clone(),
            random: PythonRandom::new(self.config.seed),
            categories: Categories::default(),
            task: Task::default(),
            instances: Vec::new().into_iter(),
            given: 0,
        }))
    }

    fn task(&self) -> TaskSpec {
        let metric =
            |(name, aggregate): (&str, Aggregate)| MetricSpec { name: name.to_owned(), aggregate };
        let metrics = [
            (ROUGE, Aggregate::Mean),
            (EXACT, Aggregate::Mean),
            (ROUGE_BY_TASK, Aggregate::GroupMean),
        ];
        TaskSpec { prediction: PredictionKind::Text, metrics: metrics.map(metric).to_vec() }
    }

    fn score(
        &self,
        ctx: &Context<'_>,
        examples: &[Example],
        predictions: &[Prediction],
    ) -> Result<Vec<ExampleScore>> {
        let mut answers = Vec::with_capacity(examples.len());
        for (example, prediction) in examples.iter().zip(predictions) {
            let Prediction::Text(text) = prediction else {
                let message = "generated text is needed, option scores were given";
                return Err(Error::new(ErrorKind::Unexpected, message));
            };
            answers.push((group(example), judged(example, text)?));
        }
        let by_task = answers.iter().map(|(group, worth)| (group.as_str(), *worth));
        let by_category = by_task.clone().map(|(group, worth)| (category_of(group), worth));
        ctx.info(&format!("by category:\n{}", report::lines(&report::means(by_category))));
        ctx.info(&format!("by task:\n{}", report::lines(&report::means(by_task))));
        Ok(answers.into_iter().map(score).collect())
    }
}

/// Name of an example's group: its category and its task.
fn group(example: &Example) -> String {
    let text = |name: &str| example.extra.get(name).and_then(Value::as_str).unwrap_or_default();
    format!("{}/{}", slug(text("category")), text("task"))
}

fn category_of(group: &str) -> &str {
    group.split_once('/').map_or(group, |(category, _)| category)
}

/// What an answer to an example is worth.
fn judged(example: &Example, answer: &str) -> Result<Worth> {
    let references = example.extra.get("references").and_then(Value::as_array);
    let references: Vec<&str> =
        references.into_iter().flatten().filter_map(Value::as_str).collect();
    worth(answer, &references).ok_or_else(|| {
        Error::new(ErrorKind::Data, "the example has no output to be scored against")
            .with_context("input", deft_core::excerpt(&example.input))
    })
}

fn score((group, worth): (String, Worth)) -> ExampleScore {
    let values =
        [(ROUGE, worth.rouge_l), (EXACT, worth.exact_match), (ROUGE_BY_TASK, worth.rouge_l)];
    let values = values.map(|(name, value)| (name.to_owned(), value));
    ExampleScore { group, values: BTreeMap::from(values), ..ExampleScore::default() }
}

/// The examples of a source.
struct NiStream {
    source: Source,
    config: Arc<NiConfig>,
    limit: Option<Arc<Limit>>,
    /// Chooses among outputs, for all instances in one row.
    random: PythonRandom,
    /// Of the tasks read so far.
    categories: Categories,
    task: Task,
    /// Instances of that task still to be given.
    instances: std::vec::IntoIter<Instance>,
    /// Examples given so far.
    given: usize,
}

impl ExampleStream for NiStream {
    fn next_batch(&mut self, ctx: &Context<'_>, max: usize) -> Result<Option<Batch>> {
        ctx.check()?;
        let mut batch = Batch::default();
        while batch.examples.len() < max.max(1) {
            if let Some(instance) = self.instances.next() {
                batch.examples.push(self.example(instance)?);
                if batch.examples.len().is_multiple_of(EXAMPLES_BETWEEN_CHECKS) {
                    ctx.check()?;
                }
            } else if self.advance(&mut batch.skipped)? {
                ctx.check()?;
            } else {
                break;
            }
        }
        if batch.examples.is_empty() && batch.skipped.is_empty() {
            return Ok(None);
        }
        self.given += batch.examples.len();
        ctx.progress(self.given, 0, "examples");
        Ok(Some(batch))
    }
}

impl NiStream {
    /// Goes to the next task or row; whether there was one.
    fn advance(&mut self, skipped: &mut Vec<SkippedRow>) -> Result<bool> {
        let (task, instances) = match &mut self.source {
            Source::Tasks { paths, is_folder } => match paths.next() {
                None => {
                    // Among several sources, a file need not have what another one has.
                    if *is_folder {
                        self.categories.check(&self.config.categories)?;
                    }
                    return Ok(false);
                }
                Some(path) if !is_selected(&self.config, &task::name(&path)) => return Ok(true),
                Some(path) => task::read(&path, &self.config)?,
            },
            Source::Rows(records) => match records.advance()? {
                None => return Ok(false),
                Some(Entry::Skipped(row)) => {
                    skipped.push(row);
                    return Ok(true);
                }
                Some(Entry::Record(record)) => task::of_row(&record, &self.config)?,
            },
        };
        self.categories.note(task.category());
        let has_category = is_asked(task.category(), &self.config.categories);
        if has_category && is_selected(&self.config, &task.name) {
            self.instances = draw::taken(instances, &self.config).into_iter();
            self.task = task;
        }
        Ok(true)
    }

    fn example(&mut self, instance: Instance) -> Result<Example> {
        let prompter =
            Prompter { task: &self.task, config: &self.config, limit: self.limit.as_deref() };
        Ok(Example {
            input: prompter.prompt(&instance.input)?,
            target: self.random.choice(&instance.output).cloned(),
            options: Vec::new(),
            gold: None,
            provenance: Provenance { dataset: self.task.name.clone(), template: String::new() },
            extra: self.extra(instance),
        })
    }

    fn extra(&self, instance: Instance) -> Map<String, Value> {
        Map::from_iter([
            ("id".to_owned(), instance.id.into()),
            ("task".to_owned(), self.task.name_by(self.config.variant).into()),
            ("category".to_owned(), self.task.category().into()),
            ("references".to_owned(), json!(instance.output)),
        ])
    }
}

/// Whether a task is among those named, or none is.
fn is_selected(config: &NiConfig, name: &str) -> bool {
    config.tasks.is_empty() || config.tasks.iter().any(|wanted| is_named(name, wanted))
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
