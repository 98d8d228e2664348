//! A model evaluated on tasks: without a pool, a search or a training.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use deft_core::{Error, ErrorKind, Kind, Predictor, Reader, Result, TrainerInfo};

use super::scoring::{Evaluation, check_has_metric};
use super::splits::Taken;
use super::{ArmResult, Results};
use crate::components::{Components, Plan};
use crate::manifest::{Block, Document, Task, TaskList, TaskSource};
use crate::pool::{SourcePaths, expand_source, is_of_hub, is_there, read_and_tell, relative_to};
use crate::registry::Registry;
use crate::services::HostServices;
use crate::store;

/// Where tasks were named: their paths start there, and their errors say so.
#[derive(Debug)]
pub enum TaskPlace {
    /// In a manifest.
    Manifest(Document),
    /// On the command line, each as it was written there.
    CommandLine(Vec<String>),
}

/// A model, and the tasks that it is evaluated on.
#[derive(Debug)]
pub struct ModelEvaluation {
    /// The tasks; of each its reader and its `evaluation_source`.
    pub list: TaskList,
    /// Where they were named.
    pub place: TaskPlace,
    /// The plugins with every component that is named.
    pub registry: Registry,
    /// What opens the model.
    pub trainer: Block,
    /// The folder that relative paths of the trainer start from.
    pub trainer_base: PathBuf,
    /// The model's folder; without one it is the model that the trainer starts from.
    pub model: Option<PathBuf>,
    /// What the model is called in the results.
    pub name: String,
    /// Whether tasks whose source is not there are left out.
    pub skip_missing: bool,
    /// Folder for `metrics.json` and `predictions.jsonl` of each task.
    pub output: Option<PathBuf>,
    /// Threads to keep busy.
    pub threads: usize,
}

/// What a model comes to on its tasks.
#[derive(Debug, Default)]
pub struct ModelResults {
    /// The results, with the model as the only arm.
    pub results: Results,
    /// Names of the tasks whose source is not there.
    pub missing: Vec<String>,
}

/// A task that can be evaluated.
struct Ready<'a> {
    /// Its place in the list.
    i: usize,
    task: &'a Task,
    source: &'a TaskSource,
    reader: Arc<dyn Reader>,
    paths: SourcePaths,
}

impl TaskPlace {
    fn base(&self) -> &Path {
        match self {
            Self::Manifest(document) => document.dir(),
            Self::CommandLine(_) => Path::new("."),
        }
    }

    /// An error about what an evaluation source names, of whatever kind, with its place.
    fn locate_at(&self, i: usize, error: Error) -> Error {
        let error = error.within_option("evaluation_source");
        match self {
            Self::Manifest(document) if error.option().is_none() => {
                document.locate_at(error, &format!("tasks[{i}].evaluation_source"))
            }
            // Those get it with all errors of the task.
            _ => error,
        }
    }

    /// An error about something in a task, with its place.
    fn locate(&self, i: usize, error: Error) -> Error {
        match self {
            Self::Manifest(document) => {
                document.locate(error.within_option(&format!("tasks[{i}]")))
            }
            Self::CommandLine(texts) => {
                error.with_context("at", format!("--task {}", deft_core::excerpt(&texts[i])))
            }
        }
    }
}

impl ModelEvaluation {
    /// Evaluates the model on one task after the other; memory holds the examples of one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Options`] for a task that is wrong or whose source is missing, before anything
    /// is evaluated; whatever reader and trainer return.
    pub fn run(&self) -> Result<ModelResults> {
        let mut components = Components::default();
        let mut found = ModelResults::default();
        let ready = self.ready(&mut components, &mut found.missing)?;
        let (predictor, info) = self.open(&mut components)?;
        for one in &ready {
            found.results.add(self.evaluate(one, &*predictor, &info)?);
        }
        Ok(found)
    }

    /// The tasks that can be evaluated, with readers and files found.
    fn ready<'a>(
        &'a self,
        components: &mut Components,
        missing: &mut Vec<String>,
    ) -> Result<Vec<Ready<'a>>> {
        let mut ready = Vec::new();
        for (i, task) in self.list.tasks.iter().enumerate() {
            let Some(source) = &task.evaluation_source else {
                log::info!("{}: has no `evaluation_source`, and is left out", task.name);
                continue;
            };
            let one = self.reader(components, task).and_then(|reader| {
                let (name, base) = (source.source(), self.place.base());
                if self.skip_missing && !is_there(name, base) {
                    return Ok(None);
                }
                let services = HostServices::new(base, "find the source", self.threads);
                let paths = expand_source(name, base, &services.context(self.list.seed))
                    .map_err(|error| self.explain_missing(i, name, error))?;
                Ok(Some(Ready { i, task, source, reader, paths }))
            });
            match one.map_err(|error| self.place.locate(i, error))? {
                Some(one) => ready.push(one),
                None => missing.push(task.name.clone()),
            }
        }
        if ready.is_empty() {
            let error = Error::new(ErrorKind::Data, "no task can be evaluated");
            return Err(if missing.is_empty() {
                error.with_hint("give a task its `evaluation_source`")
            } else {
                error.with_context("not available", missing.join(", "))
            });
        }
        Ok(ready)
    }

    fn reader(&self, components: &mut Components, task: &Task) -> Result<Arc<dyn Reader>> {
        let plan = Plan::new(&self.registry, Kind::Reader, &task.reader, "reader")?;
        let services = HostServices::new(self.place.base(), "open", self.threads);
        let reader = components.reader(&plan, &services.context(self.list.seed))?;
        check_has_metric(&*reader, task)?;
        Ok(reader)
    }

    /// An error about an evaluation source, with the way around where nothing is there.
    fn explain_missing(&self, i: usize, source: &str, error: Error) -> Error {
        let base = self.place.base();
        if is_of_hub(source) {
            return self.place.locate_at(i, error);
        }
        let error = error.within_option("evaluation_source");
        if is_there(source, base) {
            return error;
        }
        let hint = format!("{}; `--skip-missing` leaves such tasks out", relative_to(base));
        error.with_hint(hint)
    }

    /// Opens the model, and tells what the trainer says of itself.
    fn open(&self, components: &mut Components) -> Result<(Box<dyn Predictor>, TrainerInfo)> {
        let plan = Plan::new(&self.registry, Kind::Trainer, &self.trainer, "trainer")?;
        let services = HostServices::new(&self.trainer_base, "open the model", self.threads);
        let ctx = services.context(self.list.seed);
        let trainer = components.trainer(&plan, &ctx)?;
        Ok((trainer.open(&ctx, self.model.as_deref())?, trainer.info()))
    }

    fn evaluate(
        &self,
        one: &Ready<'_>,
        predictor: &dyn Predictor,
        info: &TrainerInfo,
    ) -> Result<ArmResult> {
        let name = &one.task.name;
        let evaluation = self.read(one).map_err(|error| self.place.locate(one.i, error))?;
        let dir = self.output.as_ref().map(|dir| dir.join(name));
        if let Some(dir) = &dir {
            store::make_dir(dir)?;
        }
        let services =
            HostServices::new(self.place.base(), &format!("evaluate {name}"), self.threads);
        let ctx = services.context(self.list.seed);
        let lines = dir.as_ref().map(|dir| dir.join("predictions.jsonl"));
        let scored = evaluation.score(predictor, &ctx, lines.as_deref(), self.list.seed)?;
        let result = ArmResult {
            task: name.clone(),
            arm: self.name.clone(),
            seed: self.list.seed,
            evaluated: evaluation.count(),
            trained_on: 0,
            steps: 0,
            related: None,
            metrics: scored.metrics,
            groups: scored.groups,
            baselines: scored.baselines,
            predicted: scored.predicted,
            // What a trainer notes is about the model that it starts from.
            notes: if self.model.is_none() { info.notes.clone() } else { Vec::new() },
        };
        if let Some(dir) = &dir {
            store::write_json(&dir.join("metrics.json"), &result)?;
        }
        Ok(result)
    }

    fn read(&self, one: &Ready<'_>) -> Result<Evaluation> {
        let name = &one.task.name;
        let services = HostServices::new(self.place.base(), &format!("read {name}"), self.threads);
        let ctx = services.context(self.list.seed);
        let examples = read_and_tell(name, "evaluation", &*one.reader, &one.paths, &ctx)?;
        let taken = Taken::of(one.source, examples)
            .map_err(|error| error.within_option("evaluation_source"))?;
        if let Some(part) = one.source.part() {
            let (count, how) = (taken.positions.len(), part.describe());
            log::info!("{name}: {count} of them are evaluated ({how})");
        }
        Evaluation::new(Arc::clone(&one.reader), &ctx, taken, one.source)
    }
}
