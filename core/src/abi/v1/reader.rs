//! [`Reader`] and [`ExampleStream`] across the boundary.

use std::path::Path;
use std::sync::Arc;

use abi_stable::StableAbi;
use abi_stable::sabi_trait;
use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::std_types::{RArc, RBox, ROption, RStr, RString, RVec};

use super::data::{
    FfiExample, FfiResult, FfiSkippedRow, export_examples, export_path, from_json, import_examples,
    to_json, to_usize,
};
use super::guard::{Guarded, guard};
use super::origin::Origin;
use super::running::Method;
use super::services::{FfiContext, with_exported};
use crate::metrics::{ExampleScore, TaskSpec};
use crate::{Batch, Context, Error, ErrorKind, Example, ExampleStream, Prediction, Reader, Result};

#[repr(C)]
#[derive(StableAbi)]
pub struct FfiBatch {
    examples: RVec<FfiExample>,
    skipped: RVec<FfiSkippedRow>,
    /// JSON object for what is to come, or nothing at all.
    extra: RString,
}

#[sabi_trait]
pub trait FfiReader: Send + Sync + 'static {
    fn call(&self, ctx: FfiContext<'_>, name: RStr<'_>, json: RStr<'_>) -> FfiResult<RString>;
    fn open(&self, ctx: FfiContext<'_>, source: RStr<'_>) -> FfiResult<FfiStreamBox>;
    fn task(&self) -> FfiResult<RString>;
    #[sabi(last_prefix_field)]
    fn score(
        &self,
        ctx: FfiContext<'_>,
        examples: RVec<FfiExample>,
        predictions: RStr<'_>,
    ) -> FfiResult<RString>;
}

#[sabi_trait]
pub trait FfiStream: Send + 'static {
    #[sabi(last_prefix_field)]
    fn next_batch(&mut self, ctx: FfiContext<'_>, max: u64) -> FfiResult<ROption<FfiBatch>>;
}

pub type FfiReaderArc = FfiReader_TO<RArc<()>>;
pub type FfiStreamBox = FfiStream_TO<RBox<()>>;

pub(crate) struct ReaderExport(pub(crate) Guarded<Arc<dyn Reader>>);

impl FfiReader for ReaderExport {
    fn call(&self, ctx: FfiContext<'_>, name: RStr<'_>, json: RStr<'_>) -> FfiResult<RString> {
        ctx.guarded(|ctx| Ok(self.0.call(ctx, name.as_str(), json.as_str())?.into()))
    }

    fn open(&self, ctx: FfiContext<'_>, source: RStr<'_>) -> FfiResult<FfiStreamBox> {
        ctx.guarded(|ctx| {
            let stream = self.0.open(ctx, Path::new(source.as_str()))?;
            Ok(FfiStream_TO::from_ptr(RBox::new(StreamExport(self.0.made(stream))), TD_Opaque))
        })
    }

    fn task(&self) -> FfiResult<RString> {
        guard(|| Ok(to_json(&self.0.task())))
    }

    fn score(
        &self,
        ctx: FfiContext<'_>,
        examples: RVec<FfiExample>,
        predictions: RStr<'_>,
    ) -> FfiResult<RString> {
        ctx.guarded(|ctx| {
            let predictions: Vec<Prediction> = from_json(predictions.as_str())?;
            Ok(to_json(&self.0.score(ctx, &import_examples(examples)?, &predictions)?))
        })
    }
}

struct StreamExport(Guarded<Box<dyn ExampleStream>>);

impl FfiStream for StreamExport {
    fn next_batch(&mut self, ctx: FfiContext<'_>, max: u64) -> FfiResult<ROption<FfiBatch>> {
        ctx.guarded(|ctx| {
            let batch = self.0.next_batch(ctx, to_usize(max)?)?;
            let export = |batch: Batch| FfiBatch {
                examples: export_examples(batch.examples),
                skipped: batch.skipped.into_iter().map(FfiSkippedRow::from).collect(),
                extra: RString::new(),
            };
            Ok(batch.map(export).into())
        })
    }
}

pub(crate) struct ReaderImport {
    remote: FfiReaderArc,
    task: TaskSpec,
    origin: Origin,
}

impl ReaderImport {
    pub(crate) fn new(remote: FfiReaderArc, origin: Origin) -> Result<Self> {
        let task = origin.call(Method::Task, || Ok(remote.task().into_result()?))?;
        Ok(Self { remote, task: from_json(&task)?, origin })
    }
}

impl Reader for ReaderImport {
    fn call(&self, ctx: &Context<'_>, name: &str, json: &str) -> Result<String> {
        self.origin.call(Method::Call, || {
            with_exported(ctx, |ctx| {
                Ok(self.remote.call(ctx, name.into(), json.into()).into_result()?.into())
            })
        })
    }

    fn open(&self, ctx: &Context<'_>, source: &Path) -> Result<Box<dyn ExampleStream>> {
        let source = export_path(source)?;
        let stream = self.origin.call(Method::Open, || {
            with_exported(ctx, |ctx| Ok(self.remote.open(ctx, source.into()).into_result()?))
        })?;
        Ok(Box::new(StreamImport { remote: stream, origin: self.origin.clone() }))
    }

    fn task(&self) -> TaskSpec {
        self.task.clone()
    }

    fn score(
        &self,
        ctx: &Context<'_>,
        examples: &[Example],
        predictions: &[Prediction],
    ) -> Result<Vec<ExampleScore>> {
        let exported = export_examples(examples.to_vec());
        let predictions = to_json(&predictions);
        let scores: Vec<ExampleScore> = self.origin.call(Method::Score, || {
            with_exported(ctx, |ctx| {
                let scores = self.remote.score(ctx, exported, predictions.as_rstr());
                from_json(&scores.into_result()?)
            })
        })?;
        if scores.len() != examples.len() {
            let error = Error::new(ErrorKind::Plugin, "the reader did not score every example")
                .with_context("examples", examples.len())
                .with_context("scores", scores.len());
            return self.origin.on(Err(error));
        }
        Ok(scores)
    }
}

struct StreamImport {
    remote: FfiStreamBox,
    origin: Origin,
}

impl ExampleStream for StreamImport {
    fn next_batch(&mut self, ctx: &Context<'_>, max: usize) -> Result<Option<Batch>> {
        let batch = self.origin.call(Method::NextBatch, || {
            with_exported(ctx, |ctx| Ok(self.remote.next_batch(ctx, max as u64).into_result()?))
        })?;
        let import = |batch: FfiBatch| {
            Ok(Batch {
                examples: import_examples(batch.examples)?,
                skipped: batch.skipped.into_iter().map(Into::into).collect(),
            })
        };
        self.origin.on(batch.into_option().map(import).transpose())
    }
}
