//! `deft evaluate`: the arms of a manifest, or any model on any tasks.

use std::path::{Path, PathBuf};

use clap::Args;
use deft_core::{Error, Kind, Result};

use super::run::{HowArgs, run_stages};
use super::{PlaceArgs, print, single};
use crate::manifest::{Block, Task, TaskList};
use crate::pipeline::{ModelEvaluation, Stage, TaskPlace};
use crate::registry::{Registry, SearchPath};
use crate::report;
use crate::services::available_threads;

/// What `deft run` takes and an evaluation of a model does not.
const OF_RUNS: [&str; 7] = ["run", "store", "workers", "retries", "rebuild", "disk", "memory"];

/// Arguments of `deft evaluate`.
#[derive(Debug, Args)]
pub struct EvaluateArgs {
    /// The manifest: its arms are evaluated or, with `--model` or `--trainer`, that model on its
    /// tasks
    #[arg(required_unless_present = "tasks")]
    manifest: Option<PathBuf>,
    /// Evaluate this model, a folder or `org/name`, and no arms
    #[arg(long, value_name = "DIR", conflicts_with_all = OF_RUNS)]
    model: Option<String>,
    /// What opens the model, as in a manifest: `t5`, which gets the model as its option `model`, or
    /// `{use: t5, model: DIR}` [default: the manifest's]
    #[arg(long, value_name = "BLOCK", conflicts_with_all = OF_RUNS)]
    trainer: Option<String>,
    /// A task instead of a manifest's, `{name: rte, reader: t0/rte, evaluation_source: FILE}`; may be
    /// given several times
    #[arg(long = "task", value_name = "TASK", conflicts_with_all = ["manifest", "overrides"])]
    #[arg(conflicts_with_all = OF_RUNS)]
    tasks: Vec<String>,
    /// Leave out the model's tasks whose source is not there, and tell their names
    #[arg(long)]
    skip_missing: bool,
    /// Folder for the model's results: TASK/metrics.json and TASK/predictions.jsonl
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    how: HowArgs,
}

impl EvaluateArgs {
    /// Whether a model is evaluated, and not a manifest's arms.
    fn is_of_model(&self) -> bool {
        self.model.is_some() || self.trainer.is_some() || !self.tasks.is_empty()
    }

    /// Whether what was finished stays when the command is stopped, and the same command goes on.
    pub fn is_resumable(&self) -> bool {
        !self.is_of_model()
    }
}

pub(super) fn evaluate(args: &EvaluateArgs) -> Result<()> {
    match &args.manifest {
        Some(manifest) if !args.is_of_model() => {
            check_no_model(args)?;
            run_stages(manifest, &args.place, &args.how, Stage::Evaluate)
        }
        _ => evaluate_model(args),
    }
}

/// Refuses what means something for a model alone.
fn check_no_model(args: &EvaluateArgs) -> Result<()> {
    let flag = match (args.skip_missing, &args.output) {
        (true, _) => "--skip-missing",
        (_, Some(_)) => "--output",
        (false, None) => return Ok(()),
    };
    Err(Error::option_at("", format!("`{flag}` is for the evaluation of a model"))
        .with_hint("give `--model DIR`; the results of a manifest's arms are in the run's folder"))
}

fn evaluate_model(args: &EvaluateArgs) -> Result<()> {
    let (list, place) = tasks(args)?;
    let services = single::services("find the model", &args.place.common);
    let ctx = services.context(list.seed);
    let model = args.model.as_deref().map(|name| ctx.resolve(name)).transpose()?;
    let (mut trainer, trainer_base) = trainer(args, &list, &place)?;
    let registry = registry(args, &list, &place, &trainer)?;
    if let Some(dir) = &model {
        name_model(&mut trainer, &registry, dir);
    }
    let evaluation = ModelEvaluation {
        name: args.model.clone().unwrap_or_else(|| trainer.component.clone()),
        list,
        place,
        registry,
        trainer,
        trainer_base,
        model,
        skip_missing: args.skip_missing,
        output: args.output.clone(),
        threads: available_threads(args.place.common.threads),
    };
    let found = evaluation.run()?;
    print(&if args.how.markdown {
        report::markdown(&found.results, None)
    } else {
        report::overview(&found.results)
    })?;
    if !found.missing.is_empty() {
        print(&format!("\nnot available: {}\n", found.missing.join(", ")))?;
    }
    if let Some(dir) = &args.output {
        log::info!("results: {}", dir.display());
    }
    Ok(())
}

/// The tasks, and where they were named.
fn tasks(args: &EvaluateArgs) -> Result<(TaskList, TaskPlace)> {
    if let Some(manifest) = &args.manifest {
        let (list, document) = TaskList::load(manifest, &args.place.overrides)?;
        return Ok((list, TaskPlace::Manifest(document)));
    }
    let parse = |text: &String| single::parse::<Task>(text, "--task");
    let list = TaskList::of(args.tasks.iter().map(parse).collect::<Result<_>>()?)?;
    Ok((list, TaskPlace::CommandLine(args.tasks.clone())))
}

/// What opens the model, and where its relative paths start.
fn trainer(args: &EvaluateArgs, list: &TaskList, place: &TaskPlace) -> Result<(Block, PathBuf)> {
    match (&args.trainer, &list.trainer, place) {
        (Some(text), _, _) => Ok((single::parse(text, "--trainer")?, PathBuf::from("."))),
        (None, Some(block), TaskPlace::Manifest(document)) => {
            Ok((block.clone(), document.dir().to_owned()))
        }
        _ => Err(Error::option_at("", "nothing says what opens the model")
            .with_hint("name its trainer: `--trainer t5`")),
    }
}

/// Gives a trainer that is made for some model, and has none of its own, this one.
fn name_model(trainer: &mut Block, registry: &Registry, dir: &Path) {
    let plugin = registry.find(Kind::Trainer, &trainer.component);
    let info = plugin.and_then(|plugin| plugin.component(Kind::Trainer, &trainer.component));
    let takes_one = info.is_some_and(|info| info.options["properties"]["model"].is_object());
    if takes_one && !trainer.options.contains_key("model") {
        trainer.options.insert("model".to_owned(), dir.display().to_string().into());
    }
}

/// Loads the manifest's plugins, and those of components that they do not have.
fn registry(
    args: &EvaluateArgs,
    list: &TaskList,
    place: &TaskPlace,
    trainer: &Block,
) -> Result<Registry> {
    let mut registry = match place {
        TaskPlace::CommandLine(_) => single::registry(&args.place.common),
        TaskPlace::Manifest(document) => {
            let base = document.dir();
            let search_path = SearchPath::new(&args.place.common.plugin_dirs, Some(base));
            let mut registry = Registry::new(search_path);
            for name in &list.plugins {
                registry.load(name, base)?;
            }
            registry
        }
    };
    single::load_for(&mut registry, Kind::Trainer, trainer)?;
    for task in &list.tasks {
        single::load_for(&mut registry, Kind::Reader, &task.reader)?;
    }
    Ok(registry)
}
