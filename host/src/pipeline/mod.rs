//! A run: stages over the store, each doing only what is missing.

mod evaluate;
mod prepare;
mod retrieve;
mod select;
mod train;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use deft_core::{Error, ErrorKind, Fingerprint, Kind, Reader, Result, ResultExt};
use serde_json::{Map, Value, json};

use crate::components::{Components, Plan};
use crate::manifest::{Arm, Block, Document, Manifest, Task};
use crate::pool::{ReadSource, StoredPool, expand_source};
use crate::registry::{Registry, SearchPath};
use crate::services::{HostServices, available_threads};
use crate::store::{self, Store};

pub use evaluate::{ArmResult, Results};
pub use prepare::Prepared;

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

/// Where a run finds and leaves things, beside what its manifest says.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// Folder of the run instead of `runs/<name>`.
    pub run: Option<PathBuf>,
    /// Folder of the store instead of the manifest's.
    pub store: Option<PathBuf>,
    /// Folders searched for plugins before all others.
    pub plugin_dirs: Vec<PathBuf>,
    /// Threads to keep busy; 0 for as many as there are.
    pub threads: usize,
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
    threads: usize,
    timings: Vec<(String, f64)>,
}

impl Run {
    /// Loads the manifest and its plugins, and checks every block.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Options`] with file, line and column; [`ErrorKind::Plugin`].
    pub fn open(path: &Path, overrides: &[String], places: &Places) -> Result<Self> {
        let (manifest, document) = Manifest::load(path, overrides)?;
        let base = document.dir().to_owned();
        let mut registry = Registry::new(SearchPath::new(&places.plugin_dirs, Some(&base)));
        for (i, name) in manifest.plugins.iter().enumerate() {
            registry.load(name, &base).map_err(|error| {
                // The place in the manifest helps where the name is wrong, not where the file is.
                let place = document.locate(Error::option_at(format!("plugins[{i}]"), ""));
                error.with_context("at", place.context("at").unwrap_or_default())
            })?;
        }
        let store = places.store.clone().unwrap_or_else(|| base.join(&manifest.store));
        let dir = places.run.clone().unwrap_or_else(|| base.join("runs").join(&manifest.name));
        let run = Self {
            store: Store::new(&store),
            components: Components::default(),
            threads: available_threads(places.threads),
            timings: Vec::new(),
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
        std::fs::create_dir_all(&self.dir).or_io("cannot make the run's folder", &self.dir)?;
        self.write_manifest()?;
        let pool = self.timed("pool", Self::read_pool)?;
        let mut results = Results::default();
        if last == Stage::Index {
            self.timed("index", |run| run.prepare_all(&pool))?;
        } else {
            self.timed("retrieve", |run| run.retrieve_all(&pool))?;
            let selections = self.timed("select", |run| run.select_all(&pool))?;
            // Models are about to need the memory that indexes hold.
            self.components.clear();
            if last >= Stage::Train {
                results = self.timed("train and evaluate", |run| {
                    run.train_all(&pool, &selections, last == Stage::Evaluate)
                })?;
            }
        }
        self.write_summary(&pool)?;
        Ok(results)
    }

    fn timed<T>(&mut self, stage: &str, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
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

    /// Checks every block and source of the manifest, without reading or building anything.
    fn check(&self) -> Result<()> {
        self.completed_manifest()?;
        for (i, source) in self.manifest.pool.iter().enumerate() {
            self.expand(&source.source, &format!("pool[{i}].source"))?;
        }
        for (i, task) in self.manifest.tasks.iter().enumerate() {
            for (name, source) in [
                ("query_source", &task.query_source),
                ("evaluation_source", &task.evaluation_source),
            ] {
                if let Some(source) = source {
                    self.expand(source, &format!("tasks[{i}].{name}"))?;
                }
            }
        }
        Ok(())
    }

    fn expand(&self, source: &str, path: &str) -> Result<Vec<PathBuf>> {
        expand_source(source, self.document.dir())
            .map_err(|error| self.document.locate(error.within_option(path)))
    }

    /// The manifest with every default filled in, those of components too.
    fn completed_manifest(&self) -> Result<Value> {
        let mut value = serde_json::to_value(&self.manifest)
            .or_error(ErrorKind::Unexpected, "the manifest is no JSON")?;
        for (i, source) in self.manifest.pool.iter().enumerate() {
            let plan = self.plan(Kind::Reader, &source.reader, &format!("pool[{i}].reader"))?;
            value["pool"][i]["reader"] = plan.completed();
        }
        for (i, task) in self.manifest.tasks.iter().enumerate() {
            let plan = self.plan(Kind::Reader, &task.reader, &format!("tasks[{i}].reader"))?;
            value["tasks"][i]["reader"] = plan.completed();
        }
        let own = |block: &Option<Block>| block.clone().filter(|block| !block.is_none());
        if let Some(block) = own(&self.manifest.retriever) {
            value["retriever"] = self.plan(Kind::Retriever, &block, "retriever")?.completed();
        }
        if let Some(block) = own(&self.manifest.trainer) {
            value["trainer"] = self.plan(Kind::Trainer, &block, "trainer")?.completed();
        }
        for (name, arm) in &self.manifest.arms {
            self.complete_arm(name, arm, &mut value["arms"][name.as_str()])?;
        }
        Ok(value)
    }

    fn complete_arm(&self, name: &str, arm: &Arm, value: &mut Value) -> Result<()> {
        for (key, kind, block) in [
            ("retriever", Kind::Retriever, &arm.retriever),
            ("trainer", Kind::Trainer, &arm.trainer),
        ] {
            if let Some(block) = block.as_ref().filter(|block| !block.is_none()) {
                let path = format!("arms.{name}.{key}");
                value[key] = self.plan(kind, block, &path)?.completed();
            }
        }
        Ok(())
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
    fn write_summary(&self, pool: &StoredPool) -> Result<()> {
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
        });
        store::write_json(&self.dir.join("run.json"), &summary)
    }

    fn reader(&mut self, block: &Block, path: &str) -> Result<(Arc<dyn Reader>, Value)> {
        let plan = self.plan(Kind::Reader, block, path)?;
        let services = self.services("open");
        let ctx = services.context(self.manifest.seed);
        Ok((self.components.reader(&plan, &ctx)?, plan.identity()))
    }

    fn read_pool(&mut self) -> Result<StoredPool> {
        let mut sources = Vec::new();
        for (i, source) in self.manifest.pool.clone().into_iter().enumerate() {
            let (reader, identity) = self.reader(&source.reader, &format!("pool[{i}].reader"))?;
            let paths = self.expand(&source.source, &format!("pool[{i}].source"))?;
            sources.push(ReadSource { reader, identity, paths, limit: source.limit });
        }
        let services = self.services("read the pool");
        let ctx = services.context(self.manifest.seed);
        let pool = crate::pool::ensure(&self.store, &sources, self.manifest.rows_per_part, &ctx)?;
        log::info!("pool: {} examples ({})", pool.card().rows, pool.dir().display());
        Ok(pool)
    }

    fn task_index(&self, task: &Task) -> usize {
        self.manifest.tasks.iter().position(|other| other.name == task.name).unwrap_or(0)
    }

    fn arm_dir(&self, task: &Task, arm: &str) -> PathBuf {
        self.dir.join("tasks").join(&task.name).join(arm)
    }

    /// Content hash of some files, for fingerprints.
    fn hash_files(&self, paths: &[PathBuf]) -> Result<String> {
        let mut fingerprint = Fingerprint::new();
        for path in paths {
            fingerprint = fingerprint.with(self.store.hash_source(path)?);
        }
        Ok(fingerprint.short())
    }
}

/// Notes in a run's folder which outputs are up to date: fingerprint by name.
#[derive(Debug)]
struct Outputs {
    path: PathBuf,
    done: Map<String, Value>,
}

impl Outputs {
    fn open(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir).or_io("cannot make the folder", dir)?;
        store::remove_stale(dir)?;
        let path = dir.join("card.json");
        let done = store::read_json(&path).unwrap_or_default();
        Ok(Self { path, done })
    }

    /// Whether an output was made from exactly this.
    fn has(&self, name: &str, fingerprint: &str) -> bool {
        self.done.get(name).is_some_and(|known| known == fingerprint)
    }

    /// Says that an output will be made again, if there is an older one.
    fn announce(&self, name: &str) {
        if self.done.contains_key(name) {
            let dir = self.path.parent().unwrap_or(&self.path).display();
            log::info!("{dir}: {name} was made from something else and is made again");
        }
    }

    fn note(&mut self, name: &str, fingerprint: &str) -> Result<()> {
        self.done.insert(name.to_owned(), fingerprint.into());
        store::write_json(&self.path, &self.done)
    }
}
