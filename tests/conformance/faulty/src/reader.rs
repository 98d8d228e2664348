//! Reader `faulty`: lines of a text and `yes` or `no`, parted by a tab; empty lines are left out.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use deft_core::metrics::{ExampleScore, TaskSpec, rank_classification};
use deft_core::prelude::*;

use crate::config::{Calls, Config};

const OPTIONS: [&str; 2] = ["yes", "no"];

#[derive(Debug)]
pub(crate) struct FaultyReader {
    config: Config,
    calls: Arc<Calls>,
}

impl Component for FaultyReader {
    type Config = Config;
    const NAME: &'static str = "faulty";
    const SUMMARY: &'static str = "lines with an answer, with a fault";

    fn check(config: &Config) -> Result<()> {
        config.check()
    }

    fn new(_ctx: &Context<'_>, config: Config, _children: Children) -> Result<Self> {
        Ok(Self { config, calls: Arc::default() })
    }
}

impl Reader for FaultyReader {
    fn call(&self, _ctx: &Context<'_>, name: &str, _json: &str) -> Result<String> {
        self.config.answer(name)
    }

    fn open(&self, _ctx: &Context<'_>, source: &Path) -> Result<Box<dyn ExampleStream>> {
        let has = |fault| self.config.has(fault);
        if has("missing_source") && !source.exists() {
            return Err(Error::new(ErrorKind::Unexpected, "it is not there"));
        }
        let text = std::fs::read_to_string(source).or_io("cannot read the source", source)?;
        if has("empty_source") && text.is_empty() {
            return Err(Error::new(ErrorKind::Data, "the file is empty"));
        }
        let mut lines: Vec<_> = (1..).zip(text.lines().map(str::to_owned)).collect();
        if has("reopened") && self.calls.count() > 0 {
            lines.reverse();
        }
        let (config, calls) = (self.config.clone(), Arc::clone(&self.calls));
        let path = source.to_owned();
        Ok(Box::new(Source { config, calls, path, lines: lines.into_iter(), batches: 0 }))
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
        let mut scores = rank_classification(examples, predictions)?;
        match self.config.fault.as_str() {
            "metrics" => scores.iter_mut().for_each(|score| {
                score.values.pop_last();
            }),
            "perfect" => scores
                .iter_mut()
                .flat_map(|score| score.values.values_mut())
                .for_each(|value| *value = 0.5),
            "poor" => scores
                .iter_mut()
                .flat_map(|score| score.values.values_mut())
                .for_each(|value| *value = 1.0 - *value),
            _ => {}
        }
        Ok(scores)
    }
}

struct Source {
    config: Config,
    calls: Arc<Calls>,
    path: PathBuf,
    lines: std::vec::IntoIter<(u64, String)>,
    batches: usize,
}

impl ExampleStream for Source {
    fn next_batch(&mut self, ctx: &Context<'_>, max: usize) -> Result<Option<Batch>> {
        self.config.look(ctx)?;
        let has = |fault| self.config.has(fault);
        if has("batch_size") && self.batches > 0 {
            // A row is lost between two batches.
            self.lines.next();
        }
        // Every batch of any stream moves on the stream that comes next: a shared position.
        let others = self.calls.count();
        if has("several_open") && self.batches > 0 && others > self.batches {
            self.lines.next();
        }
        let mut batch = Batch::default();
        for (row, line) in self.lines.by_ref().take(max) {
            if line.is_empty() {
                let row = if self.config.has("skipped_rows") { 0 } else { row };
                batch.skipped.push(SkippedRow { row, reason: "empty line".to_owned() });
            } else {
                batch.examples.extend(example(&self.config, &self.path, row, &line)?);
            }
        }
        self.batches += 1;
        Ok((!batch.examples.is_empty() || !batch.skipped.is_empty()).then_some(batch))
    }
}

fn example(config: &Config, path: &Path, row: u64, line: &str) -> Result<Option<Example>> {
    let Some((input, answer)) = line.split_once('\t') else {
        if config.has("bad_row") {
            return Ok(None);
        }
        return Err(Error::new(ErrorKind::Data, "the line has no tab")
            .with_context("file", path.display())
            .with_context("line", row));
    };
    let gold = OPTIONS.iter().position(|option| *option == answer);
    Ok(Some(Example {
        input: input.to_owned(),
        target: Some(answer.to_owned()),
        options: OPTIONS.map(str::to_owned).to_vec(),
        gold: if config.has("examples") { Some(2) } else { gold },
        ..Example::default()
    }))
}
