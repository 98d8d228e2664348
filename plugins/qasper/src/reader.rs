//! The reader: a file's examples, and evidence F1.

use std::collections::VecDeque;
use std::path::Path;

use deft_core::metrics::{self, Aggregate, ExampleScore, MetricSpec, TaskSpec};
use deft_core::prelude::*;
use deft_records::{Forms, SourceFile, SourceStream};
use deft_splits::PythonRandom;

use crate::article::{Article, Articles};
use crate::config::QasperConfig;
use crate::evidence::Evidence;
use crate::judge::{Scored, worths};
use crate::prompt::{Asked, YES};

const F1: &str = "evidence_f1_sum";
const PRECISION: &str = "evidence_precision_sum";
const RECALL: &str = "evidence_recall_sum";

/// Why an article has no example.
const NO_TEXT: &str = "article without text";

/// Asks of each paragraph of a paper whether it has the answer to a question.
#[derive(Debug)]
pub(crate) struct QasperReader(QasperConfig);

impl Component for QasperReader {
    type Config = QasperConfig;

    const NAME: &'static str = "qasper";
    const SUMMARY: &'static str = "Qasper: is a paragraph evidence for a question about its paper";

    fn check(options: &QasperConfig) -> Result<()> {
        if (0.0..=1.0).contains(&options.negative_sample_ratio) {
            return Ok(());
        }
        let message = format!("a share is from 0 to 1, not {}", options.negative_sample_ratio);
        Err(Error::option_at("negative_sample_ratio", message))
    }

    fn new(_ctx: &Context<'_>, config: QasperConfig, _children: Children) -> Result<Self> {
        Ok(Self(config))
    }
}

impl Reader for QasperReader {
    fn open(&self, ctx: &Context<'_>, source: &Path) -> Result<Box<dyn ExampleStream>> {
        let config = self.0;
        SourceStream::open(ctx, source, Forms::DOCUMENTS, move |file: &SourceFile| {
            QasperStream::open(&file.path, config)
        })
    }

    fn task(&self) -> TaskSpec {
        let of_questions =
            |name: &str| MetricSpec { name: name.to_owned(), aggregate: Aggregate::GroupMean };
        let TaskSpec { prediction, metrics } = TaskSpec::rank_classification();
        let first = [F1, PRECISION, RECALL].map(of_questions);
        TaskSpec { prediction, metrics: first.into_iter().chain(metrics).collect() }
    }

    /// Each paragraph gets the numbers of its question, so that the mean over questions is exact.
    fn score(
        &self,
        _ctx: &Context<'_>,
        examples: &[Example],
        predictions: &[Prediction],
    ) -> Result<Vec<ExampleScore>> {
        let mut scores = metrics::rank_classification(examples, predictions)?;
        let judged = examples.iter().map(|example| Scored::of(example, self.0.variant));
        let judged = judged.collect::<Result<Vec<_>>>()?;
        let worths = worths(&judged, scores.iter().map(|score| score.predicted == Some(YES)));
        for ((example, score), one) in examples.iter().zip(&mut scores).zip(&judged) {
            let worth = worths.get(one.question.as_str()).copied().flatten().ok_or_else(|| {
                Error::new(ErrorKind::Data, "nobody answered the question: it cannot be scored")
                    .with_context("question", &one.question)
                    .with_context("input", deft_core::excerpt(&example.input))
            })?;
            score.group.clone_from(&one.question);
            for (name, value) in
                [(F1, worth.f1), (PRECISION, worth.precision), (RECALL, worth.recall)]
            {
                score.values.insert(name.to_owned(), value);
            }
        }
        Ok(scores)
    }
}

/// The examples of a file.
struct QasperStream {
    articles: Articles,
    config: QasperConfig,
    /// Of everything random in this file, in one row as in the published code.
    random: PythonRandom,
    /// Examples still to be given.
    waiting: VecDeque<Example>,
    is_shuffled: bool,
}

impl ExampleStream for QasperStream {
    fn next_batch(&mut self, ctx: &Context<'_>, max: usize) -> Result<Option<Batch>> {
        ctx.check()?;
        let max = max.max(1);
        let wanted = if self.is_shuffled { max } else { usize::MAX };
        let mut batch = Batch::default();
        while self.waiting.len() < wanted && self.read_article(&mut batch.skipped)? {
            ctx.check()?;
        }
        if !self.is_shuffled {
            self.random.shuffle(self.waiting.make_contiguous());
            self.is_shuffled = true;
        }
        let taken = self.waiting.len().min(max);
        batch.examples.extend(self.waiting.drain(..taken));
        if batch.examples.is_empty() && batch.skipped.is_empty() {
            return Ok(None);
        }
        Ok(Some(batch))
    }
}

impl QasperStream {
    fn open(path: &Path, config: QasperConfig) -> Result<Box<dyn ExampleStream>> {
        Ok(Box::new(Self {
            articles: Articles::open(path)?,
            config,
            random: PythonRandom::new(config.seed),
            waiting: VecDeque::new(),
            is_shuffled: !config.shuffle,
        }))
    }

    /// Reads one article; whether there was one.
    fn read_article(&mut self, skipped: &mut Vec<SkippedRow>) -> Result<bool> {
        let Some((paper, article)) = self.articles.advance()? else { return Ok(false) };
        if article.is_empty() {
            let row = self.articles.given;
            skipped.push(SkippedRow { row, reason: NO_TEXT.to_owned() });
        } else {
            self.ask(&paper, &article);
        }
        Ok(true)
    }

    /// Asks every question of an article about every paragraph.
    fn ask(&mut self, paper: &str, article: &Article) {
        let variant = self.config.variant;
        let paragraphs = article.paragraphs(variant);
        for question in &article.qas {
            let evidence = &Evidence::of(question, variant);
            for (place, paragraph) in paragraphs.iter().enumerate() {
                let is_evidence = evidence.holds(paragraph);
                // One number is drawn for each negative, also where all are kept.
                let is_drawn = is_evidence != Some(false)
                    || self.random.random() <= self.config.negative_sample_ratio;
                if is_drawn {
                    let asked = Asked { paper, question, evidence, place, paragraph, is_evidence };
                    self.waiting.push_back(asked.example(variant));
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
