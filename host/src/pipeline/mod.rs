//! A run: stages over the store, each doing only what is missing.

mod arms;
mod check;
mod compare;
mod doing;
mod evaluate;
mod failures;
mod folders;
mod labelled;
mod limits;
mod mix;
mod model;
mod outputs;
mod owners;
mod plan;
mod prepare;
mod prepared;
mod rebuild;
mod recall;
mod requests;
mod retrieve;
mod schedule;
mod scorable;
mod scoring;
mod select;
mod splits;
mod stages;
pub mod status;
mod train;
mod units;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use deft_core::{Error, ErrorKind, Fingerprint, Kind, Reader, Result, ResultExt};
use serde_json::{Map, Value, json};

use crate::components::{Components, Plan};
use crate::manifest::{Block, Document, Manifest, Task};
use crate::pool::{ReadSource, StoredPool, WantedPool};
use crate::registry::{Registry, SearchPath};
use crate::services::{HostServices, available_threads};
use crate::store::lock::Lock;
use crate::store::{self, HashedSource, Store};

use doing::Doing;
use failures::Failures;
use splits::SourceSplit;
use stages::Stages;

pub use compare::{ArmComparison, ArmDifference};
pub use evaluate::{ArmResult, Results};
pub use limits::{LimitOptions, Limits};
pub use model::{ModelEvaluation, ModelResults, TaskPlace};
pub use plan::{Forecast, StageForecast};
pub use prepared::Prepared;
pub use recall::ArmRecall;
pub use requests::Requests;

/// Name of the lock of a run's folder.
const RUN_LOCK: &str = "run";

/// What progress is told under while sources are hashed.
const HASHING: &str = "hash the sources";

/// The stages of a run, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Read the pool and prepare it for search.
    Index,
    /// Search, and select.
    Retrieve,
    /// Train.
    Train,
    /// Predict and score.
    Evaluate,
}

/// How a manifest is run, beside what it says itself.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// Folder of the run instead of `runs/<name>`.
    pub run: Option<PathBuf>,
    /// Folder of the store instead of the manifest's.
    pub store: Option<PathBuf>,
    /// Folders searched for plugins before all others.
    pub plugin_dirs: Vec<PathBuf>,
    /// Threads to keep busy; 0 for as many as there are.
    pub threads: usize,
    /// Processes that do the units of phases; 0 for this process alone.
    pub workers: usize,
    /// How often a unit that failed is tried again.
    pub retries: u32,
    /// What the run may take of disk and memory.
    pub limits: LimitOptions,
    /// The stage from which on everything is made again.
    pub rebuild: Option<String>,
    /// Stages of the store that the process may use: a worker's, as its host knows them. Without
    /// any it may use all.
    pub expected_stages: Vec<String>,
}

/// One execution of a manifest.
#[derive(Debug)]
pub struct Run {
    manifest: Manifest,
    document: Document,
    registry: Registry,
    components: Components,
    store: Store,
    dir: PathBuf,
    /// The manifest's file and what was set of it: worker processes are given them again.
    path: PathBuf,
    overrides: Vec<String>,
    /// This program's file when the run started: another may take its place later.
    program: Option<PathBuf>,
    options: RunOptions,
    threads: usize,
    progress: Stages,
    splits: Vec<SourceSplit>,
    timings: Vec<(String, f64)>,
}

impl Run {
    /// Loads the manifest and its plugins, and checks every block.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Options`] with file, line and column; [`ErrorKind::Plugin`].
    pub fn open(path: &Path, overrides: &[String], options: &RunOptions) -> Result<Self> {
        let (manifest, document) = Manifest::load(path, overrides)?;
        let base = document.dir().to_owned();
        let mut registry = Registry::new(SearchPath::new(&options.plugin_dirs, Some(&base)));
        for (i, name) in manifest.plugins.iter().enumerate() {
            registry.load(name, &base).map_err(|error| {
                // The place in the manifest helps where the name is wrong, not where the file is.
                let place = document.locate(Error::option_at(format!("plugins[{i}]"), ""));
                error.with_context("at", place.context("at").unwrap_or_default())
            })?;
        }
        let store = options.store.clone().unwrap_or_else(|| base.join(&manifest.store));
        let dir = options.run.clone().unwrap_or_else(|| base.join("runs").join(&manifest.name));
        let run = Self {
            store: Store::new(&store).expecting(&options.expected_stages),
            components: Components::default(),
            threads: available_threads(options.threads),
            progress: Stages::of_run(&dir),
            splits: Vec::new(),
            timings: Vec::new(),
            path: path.to_owned(),
            overrides: overrides.to_vec(),
            program: std::env::current_exe().ok(),
            options: options.clone(),
            manifest,
            document,
            registry,
            dir,
        };
        run.check()?;
        Ok(run)
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The run's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Does every stage up to `last`.
    ///
    /// # Errors
    ///
    /// The first thing that goes wrong; what was finished before stays.
    pub fn execute(&mut self, last: Stage) -> Result<Results> {
        self.check_rebuild().map_err(|error| self.document.locate(error))?;
        store::make_dir(&self.dir)?;
        let doing = self.lock_run()?;
        store::remove_stale(&self.dir);
        Failures::of_run(&self.dir).remove_stale();
        self.write_manifest()?;
        if self.rebuilds() {
            self.timed(&doing, "rebuild", Self::forget)?;
        }
        self.splits = self.timed(&doing, "split", |run| run.split_sources(last))?;
        let pool = self.timed(&doing, "pool", Self::read_pool)?;
        let mut results = Results::default();
        if last == Stage::Index {
            self.timed(&doing, "index", |run| run.prepare_all(&pool).map(drop))?;
        } else {
            let recalls = self.timed(&doing, "retrieve", |run| run.retrieve_all(&pool))?;
            let selections = self.timed(&doing, "select", |run| run.select_all(&pool))?;
            // Models are about to need the memory that indexes hold.
            self.components.clear();
            if last >= Stage::Train {
                results = self.timed(&doing, "train and evaluate", |run| {
                    run.train_all(&pool, &selections, last == Stage::Evaluate)
                })?;
            }
            results.set_recalls(recalls);
        }
        self.write_summary(&pool, &results)?;
        Ok(results)
    }

    /// Takes the run's folder for this process alone.
    fn lock_run(&self) -> Result<Doing> {
        let services = self.services("wait");
        let what = format!(
            "works in {}; `--run DIR` gives this run a folder of its own",
            self.dir.display()
        );
        let lock = Lock::wait(&self.dir, RUN_LOCK, &what, &services.context(self.manifest.seed))?;
        Ok(Doing::through(lock))
    }

    fn timed<T>(
        &mut self,
        doing: &Doing,
        stage: &str,
        work: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        doing.begin(stage);
        let start = Instant::now();
        let done = work(self).map_err(|error| self.document.locate(error));
        self.timings.push((stage.to_owned(), start.elapsed().as_secs_f64()));
        done
    }

    /// Services for one stage, with paths relative to the manifest.
    fn services(&self, label: &str) -> HostServices {
        HostServices::new(self.document.dir(), label, self.threads)
    }

    /// A block's plan, with errors located in the manifest.
    fn plan(&self, kind: Kind, block: &Block, path: &str) -> Result<Plan> {
        Plan::new(&self.registry, kind, block, path).map_err(|error| self.document.locate(error))
    }

    fn write_manifest(&self) -> Result<()> {
        let yaml = serde_yaml::to_string(&self.completed_manifest()?)
            .or_error(ErrorKind::Unexpected, "the manifest is no YAML")?;
        let base = self.document.dir();
        let base = base.canonicalize().or_io("cannot resolve the manifest's folder", base)?;
        let text = format!(
            "# As run, every default filled in. Relative paths start at {}\n{yaml}",
            base.display()
        );
        store::write_file(&self.dir.join("manifest.yaml"), text.as_bytes())
    }

    /// `run.json`: what was used and how long it took. Never read again.
    fn write_summary(&self, pool: &StoredPool, results: &Results) -> Result<()> {
        let plugins: Vec<Value> = self
            .registry
            .plugins()
            .iter()
            .map(|plugin| {
                json!({
                    "name": plugin.descriptor.name,
                    "version": plugin.descriptor.version,
                    "path": plugin.path,
                    "sha256": plugin.sha256,
                })
            })
            .collect();
        let seconds: Map<_, _> = self.timings.iter().map(|(s, t)| (s.clone(), json!(t))).collect();
        let summary = json!({
            "deft": env!("CARGO_PKG_VERSION"),
            "plugins": plugins,
            "pool": pool.dir(),
            "threads": self.threads,
            "seconds": seconds,
            "splits": self.splits,
            "recall": results.recalls(),
            "arms": results.comparisons(),
        });
        store::write_json(&self.dir.join("run.json"), &summary)
    }

    /// The reader of one of a task's sources, with everything about it that can change examples.
    fn task_reader(&mut self, task: &Task, source: &str) -> Result<(Arc<dyn Reader>, Value)> {
        let path = |key: &str| format!("tasks[{}].{key}", self.task_index(task));
        match &task.query_reader {
            Some(block) if source == "query_source" => self.reader(block, &path("query_reader")),
            _ => self.reader(&task.reader, &path("reader")),
        }
    }

    fn reader(&mut self, block: &Block, path: &str) -> Result<(Arc<dyn Reader>, Value)> {
        let plan = self.plan(Kind::Reader, block, path)?;
        let services = self.services("open");
        let ctx = services.context(self.manifest.seed);
        Ok((self.components.reader(&plan, &ctx)?, plan.identity()))
    }

    fn pool_sources(&mut self) -> Result<Vec<ReadSource>> {
        let mut sources = Vec::new();
        for (i, source) in self.manifest.pool.clone().into_iter().enumerate() {
            let (reader, identity) = self.reader(&source.reader, &format!("pool[{i}].reader"))?;
            let paths = self.expand_entry(i)?;
            sources.push(ReadSource { reader, identity, paths, limit: source.limit });
        }
        Ok(sources)
    }

    fn find_pool<'a>(&self, sources: &'a [ReadSource]) -> Result<WantedPool<'a>> {
        let services = self.services(HASHING);
        let ctx = services.context(self.manifest.seed);
        WantedPool::find(&self.store, sources, self.manifest.rows_per_part, &ctx)
    }

    fn read_pool(&mut self) -> Result<StoredPool> {
        let sources = self.pool_sources()?;
        let wanted = self.find_pool(&sources)?;
        self.progress.set_pool(wanted.dir())?;
        let services = self.services("read the pool");
        let ctx = services.context(self.manifest.seed);
        let pool = wanted.read(&self.store, &ctx)?;
        log::info!("pool: {} examples ({})", pool.card().rows, pool.dir().display());
        Ok(pool)
    }

    fn task_index(&self, task: &Task) -> usize {
        self.manifest.tasks.iter().position(|other| other.name == task.name).unwrap_or(0)
    }

    fn arm_dir(&self, task: &Task, arm: &str) -> PathBuf {
        self.dir.join("tasks").join(&task.name).join(arm)
    }

    /// Content hashes of some files: one for fingerprints, and each to check after reading.
    fn hash_files(&self, paths: &[PathBuf]) -> Result<(String, Vec<HashedSource>)> {
        let services = self.services(HASHING);
        let hashed = self.store.hash_sources(paths, &services.context(self.manifest.seed))?;
        let fingerprint = hashed.iter().fold(Fingerprint::new(), |sum, one| sum.with(&one.hash));
        Ok((fingerprint.short(), hashed))
    }
}
