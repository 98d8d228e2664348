//! What can be known of a manifest before anything runs.

use std::path::Path;

use deft_core::{Error, ErrorKind, Kind, Result, ResultExt};
use serde_json::Value;

use super::Run;
use crate::components::Components;
use crate::manifest::{Arm, Block, EntrySource, Policy, Task};
use crate::pool::{self, SourcePaths, expand_source, is_of_hub, known_source};
use crate::selection::check_ids;

impl Run {
    /// Checks every block and source of the manifest, without reading or building anything, and
    /// without a connection.
    pub(super) fn check(&self) -> Result<()> {
        self.completed_manifest()?;
        (0..self.manifest.pool.len()).try_for_each(|i| self.check_entry(i))?;
        for (i, task) in self.manifest.tasks.iter().enumerate() {
            self.check_task(i, task)?;
        }
        self.manifest.arms.keys().try_for_each(|arm| self.check_selection(arm))
    }

    /// Looks for what an entry of the pool is read from.
    fn check_entry(&self, i: usize) -> Result<()> {
        let path = format!("pool[{i}].source");
        match &self.manifest.pool[i].source {
            EntrySource::One(source) => self.known(source, &path).map(drop),
            EntrySource::Listed(listed) => {
                let look = |source: &str, base: &Path| known_source(source, base).map(drop);
                pool::each_source(&listed.list, self.document.dir(), look)
                    .map_err(|error| self.document.locate_at(error, &format!("{path}.list")))
            }
        }
    }

    fn check_task(&self, i: usize, task: &Task) -> Result<()> {
        let mut all_here = true;
        for (name, source) in task.sources() {
            let found = self.known(source.source(), &format!("tasks[{i}].{name}"))?;
            all_here &= found.is_some();
            if let Some(files) = found
                && matches!(name, "training_source" | "validation_source")
            {
                self.check_opens(i, name, &files)?;
            }
        }
        // What is still to be downloaded is looked at when it is there.
        if all_here { self.check_sources_apart(task) } else { Ok(()) }
    }

    /// Refuses sources that are still to be downloaded, which takes as long as it takes.
    pub(super) fn check_downloaded(&self) -> Result<()> {
        let is_here = |source: &str| -> Result<()> {
            if !pool::needs_download(source)? {
                return Ok(());
            }
            let message = format!("`{source}` is not in Hugging Face's cache");
            Err(Error::new(ErrorKind::Data, message)
                .with_hint("a plan downloads no data: `deft fetch MANIFEST` does"))
        };
        for (named, option) in self.manifest.named_sources() {
            pool::each_named(named, self.document.dir(), |source, _| is_here(source))
                .map_err(|error| self.document.locate_at(error, &option))?;
        }
        Ok(())
    }

    /// What an arm's selection is made of, which is looked at only after all that is searched.
    fn check_selection(&self, arm: &str) -> Result<()> {
        let rule = self.manifest.selection_of(arm);
        if let Some(ids) = &rule.ids {
            self.check_list(ids, &format!("{}.ids", self.manifest.selection_path(arm)))?;
        }
        if rule.policy != Policy::Coreset || !self.manifest.selects(arm) {
            return Ok(());
        }
        let Some((block, path)) = self.manifest.retriever_of(arm) else { return Ok(()) };
        if self.plan(Kind::Retriever, block, &path)?.keeps_vectors() {
            return Ok(());
        }
        Err(self.document.locate(self.no_vectors(arm)))
    }

    fn check_list(&self, ids: &str, option: &str) -> Result<()> {
        if is_of_hub(ids) {
            let error = Error::option_at(option, "a list of ids is a local file");
            return Err(self.document.locate(error));
        }
        check_ids(&self.document.dir().join(ids)).map_err(|error| self.at_option(error, option))
    }

    /// Has a task's reader open a source, which is read only after the search: what it would refuse
    /// should not show hours later.
    fn check_opens(&self, task: usize, name: &str, files: &SourcePaths) -> Result<()> {
        let path = format!("tasks[{task}].{name}");
        let block = &self.manifest.tasks[task].reader;
        let plan = self.plan(Kind::Reader, block, &format!("tasks[{task}].reader"))?;
        let services = self.services("open the sources");
        let ctx = services.context(self.manifest.seed);
        let reader = Components::default().reader(&plan, &ctx)?;
        for file in files.iter() {
            reader.open(&ctx, file).map_err(|error| self.at_option(error, &path))?;
        }
        Ok(())
    }

    /// An error about something else than the manifest, with the place in it that names this; one
    /// about an option has a place of its own.
    pub(super) fn at_option(&self, error: Error, option: &str) -> Error {
        if error.option().is_some() {
            return self.document.locate(error);
        }
        let place = self.document.locate(Error::option_at(option, ""));
        error.with_context("at", place.context("at").unwrap_or_default())
    }

    /// What a source of the manifest names; of the hub, downloaded where the cache has it not.
    pub(super) fn expand(&self, source: &str, path: &str) -> Result<SourcePaths> {
        let services = self.services("find the sources");
        expand_source(source, self.document.dir(), &services.context(self.manifest.seed))
            .map_err(|error| self.at_source(error, source, path))
    }

    /// The same without a connection; none where something is still to be downloaded.
    fn known(&self, source: &str, path: &str) -> Result<Option<SourcePaths>> {
        known_source(source, self.document.dir())
            .map_err(|error| self.at_source(error, source, path))
    }

    /// What an entry of the pool names.
    pub(super) fn expand_entry(&self, i: usize) -> Result<SourcePaths> {
        let path = format!("pool[{i}].source");
        match &self.manifest.pool[i].source {
            EntrySource::One(source) => self.expand(source, &path),
            EntrySource::Listed(listed) => {
                let services = self.services("find the sources");
                let ctx = services.context(self.manifest.seed);
                pool::expand_list(&listed.list, self.document.dir(), &ctx)
                    .map_err(|error| self.document.locate_at(error, &format!("{path}.list")))
            }
        }
    }

    fn at_source(&self, error: Error, source: &str, path: &str) -> Error {
        if is_of_hub(source) {
            return self.document.locate_at(error, path);
        }
        self.document.locate(error.within_option(path))
    }

    /// The manifest with every default filled in, those of components too.
    pub(super) fn completed_manifest(&self) -> Result<Value> {
        let mut value = serde_json::to_value(&self.manifest)
            .or_error(ErrorKind::Unexpected, "the manifest is no JSON")?;
        for (i, source) in self.manifest.pool.iter().enumerate() {
            let plan = self.plan(Kind::Reader, &source.reader, &format!("pool[{i}].reader"))?;
            value["pool"][i]["reader"] = plan.completed();
        }
        for (i, task) in self.manifest.tasks.iter().enumerate() {
            let plan = self.plan(Kind::Reader, &task.reader, &format!("tasks[{i}].reader"))?;
            value["tasks"][i]["reader"] = plan.completed();
            if let Some(block) = &task.query_reader {
                let plan = self.plan(Kind::Reader, block, &format!("tasks[{i}].query_reader"))?;
                value["tasks"][i]["query_reader"] = plan.completed();
            }
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
}
