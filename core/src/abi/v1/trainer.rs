//! [`Trainer`] and [`Predictor`] across the boundary.

use std::path::Path;
use std::sync::Arc;

use abi_stable::sabi_trait;
use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::std_types::{RArc, RBox, ROption, RStr, RString, RVec};
use serde::{Deserialize, Serialize};

use super::data::{
    FfiExample, FfiResult, export_examples, export_path, from_json, import_examples, to_json,
};
use super::examples::{ExamplesExport, ExamplesImport, FfiExamplesRef};
use super::guard::{Guarded, guard};
use super::origin::Origin;
use super::running::Method;
use super::services::{FfiContext, with_exported};
use crate::{
    Context, Error, ErrorKind, Example, Examples, Prediction, PredictionKind, Predictor, Result,
    TrainReport, Trainer, TrainerInfo, Training, TrainingFolders,
};

#[sabi_trait]
pub trait FfiTrainer: Send + Sync + 'static {
    fn call(&self, ctx: FfiContext<'_>, name: RStr<'_>, json: RStr<'_>) -> FfiResult<RString>;
    fn info(&self) -> FfiResult<RString>;
    /// `folders`: [`FfiFolders`] as JSON.
    fn train(
        &self,
        ctx: FfiContext<'_>,
        examples: FfiExamplesRef<'_>,
        validation: ROption<FfiExamplesRef<'_>>,
        folders: RStr<'_>,
    ) -> FfiResult<RString>;
    #[sabi(last_prefix_field)]
    fn open(&self, ctx: FfiContext<'_>, model: ROption<RStr<'_>>) -> FfiResult<FfiPredictorBox>;
}

#[sabi_trait]
pub trait FfiPredictor: Send + Sync + 'static {
    #[sabi(last_prefix_field)]
    fn predict(
        &self,
        ctx: FfiContext<'_>,
        examples: RVec<FfiExample>,
        kind: RStr<'_>,
    ) -> FfiResult<RString>;
}

pub type FfiTrainerArc = FfiTrainer_TO<RArc<()>>;
pub type FfiPredictorBox = FfiPredictor_TO<RBox<()>>;

/// The folders of a training, as JSON: more of them can be told later.
#[derive(Serialize, Deserialize)]
struct FfiFolders {
    out: String,
    scratch: String,
    logs: String,
}

impl FfiFolders {
    fn new(folders: TrainingFolders<'_>) -> Result<Self> {
        let path = |path| Ok::<_, Error>(export_path(path)?.to_owned());
        let TrainingFolders { out, scratch, logs } = folders;
        Ok(Self { out: path(out)?, scratch: path(scratch)?, logs: path(logs)? })
    }

    fn as_folders(&self) -> TrainingFolders<'_> {
        let Self { out, scratch, logs } = self;
        let (out, scratch, logs) = (Path::new(out), Path::new(scratch), Path::new(logs));
        TrainingFolders { out, scratch, logs }
    }
}

pub(crate) struct TrainerExport(pub(crate) Guarded<Arc<dyn Trainer>>);

impl FfiTrainer for TrainerExport {
    fn call(&self, ctx: FfiContext<'_>, name: RStr<'_>, json: RStr<'_>) -> FfiResult<RString> {
        ctx.guarded(|ctx| Ok(self.0.call(ctx, name.as_str(), json.as_str())?.into()))
    }

    fn info(&self) -> FfiResult<RString> {
        guard(|| Ok(to_json(&self.0.info())))
    }

    fn train(
        &self,
        ctx: FfiContext<'_>,
        examples: FfiExamplesRef<'_>,
        validation: ROption<FfiExamplesRef<'_>>,
        folders: RStr<'_>,
    ) -> FfiResult<RString> {
        ctx.guarded(|ctx| {
            let examples = ExamplesImport::new(examples)?;
            let validation = validation.into_option().map(ExamplesImport::new).transpose()?;
            let folders: FfiFolders = from_json(folders.as_str())?;
            let training = Training {
                examples: &examples,
                validation: validation.as_ref().map(|examples| examples as &dyn Examples),
                folders: folders.as_folders(),
            };
            Ok(to_json(&self.0.train(ctx, &training)?))
        })
    }

    fn open(&self, ctx: FfiContext<'_>, model: ROption<RStr<'_>>) -> FfiResult<FfiPredictorBox> {
        ctx.guarded(|ctx| {
            let model = model.into_option();
            let model = model.as_ref().map(|dir| Path::new(dir.as_str()));
            let predictor = self.0.open(ctx, model)?;
            Ok(FfiPredictor_TO::from_ptr(
                RBox::new(PredictorExport(self.0.made(predictor))),
                TD_Opaque,
            ))
        })
    }
}

struct PredictorExport(Guarded<Box<dyn Predictor>>);

impl FfiPredictor for PredictorExport {
    fn predict(
        &self,
        ctx: FfiContext<'_>,
        examples: RVec<FfiExample>,
        kind: RStr<'_>,
    ) -> FfiResult<RString> {
        ctx.guarded(|ctx| {
            let kind: PredictionKind = from_json(kind.as_str())?;
            Ok(to_json(&self.0.predict(ctx, &import_examples(examples)?, kind)?))
        })
    }
}

pub(crate) struct TrainerImport {
    remote: FfiTrainerArc,
    info: TrainerInfo,
    origin: Origin,
}

impl TrainerImport {
    pub(crate) fn new(remote: FfiTrainerArc, origin: Origin) -> Result<Self> {
        let info = origin.call(Method::Info, || Ok(remote.info().into_result()?))?;
        let mut info: TrainerInfo = from_json(&info)?;
        info.fingerprint = origin.fingerprint(info.fingerprint);
        Ok(Self { remote, info, origin })
    }
}

impl Trainer for TrainerImport {
    fn call(&self, ctx: &Context<'_>, name: &str, json: &str) -> Result<String> {
        self.origin.call(Method::Call, || {
            with_exported(ctx, |ctx| {
                Ok(self.remote.call(ctx, name.into(), json.into()).into_result()?.into())
            })
        })
    }

    fn info(&self) -> TrainerInfo {
        self.info.clone()
    }

    fn train(&self, ctx: &Context<'_>, training: &Training<'_>) -> Result<TrainReport> {
        let folders = to_json(&FfiFolders::new(training.folders)?);
        let examples = ExamplesExport(training.examples);
        let validation = training.validation.map(ExamplesExport);
        self.origin.call(Method::Train, || {
            with_exported(ctx, |ctx| {
                let validation = validation.as_ref().map(ExamplesExport::lend);
                let (examples, folders) = (examples.lend(), folders.as_rstr());
                let report = self.remote.train(ctx, examples, validation.into(), folders);
                from_json(&report.into_result()?)
            })
        })
    }

    fn open(&self, ctx: &Context<'_>, model: Option<&Path>) -> Result<Box<dyn Predictor>> {
        let model = model.map(export_path).transpose()?.map(RStr::from);
        let predictor = self.origin.call(Method::Open, || {
            with_exported(ctx, |ctx| Ok(self.remote.open(ctx, model.into()).into_result()?))
        })?;
        Ok(Box::new(PredictorImport { remote: predictor, origin: self.origin.clone() }))
    }
}

/// Refuses scores that do not fit an example's options.
fn check(example: &Example, prediction: &Prediction) -> Result<()> {
    let Prediction::OptionScores { log_probs, tokens } = prediction else { return Ok(()) };
    let options = example.options.len();
    if log_probs.len() == options && tokens.len() == options {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Plugin, "a prediction does not fit its example's options")
        .with_context("options", options)
        .with_context("scores", log_probs.len())
        .with_context("token counts", tokens.len()))
}

struct PredictorImport {
    remote: FfiPredictorBox,
    origin: Origin,
}

impl Predictor for PredictorImport {
    fn predict(
        &self,
        ctx: &Context<'_>,
        examples: &[Example],
        kind: PredictionKind,
    ) -> Result<Vec<Prediction>> {
        let exported = export_examples(examples.to_vec());
        let kind = to_json(&kind);
        let predictions: Vec<Prediction> = self.origin.call(Method::Predict, || {
            with_exported(ctx, |ctx| {
                from_json(&self.remote.predict(ctx, exported, kind.as_rstr()).into_result()?)
            })
        })?;
        if predictions.len() != examples.len() {
            let error = Error::new(ErrorKind::Plugin, "not every example got a prediction")
                .with_context("examples", examples.len())
                .with_context("predictions", predictions.len());
            return self.origin.on(Err(error));
        }
        let checked = examples.iter().zip(&predictions).try_for_each(|(e, p)| check(e, p));
        self.origin.on(checked.map(|()| predictions))
    }
}
