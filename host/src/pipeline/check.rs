//! What can be known of a manifest before anything runs.

use deft_core::{Error, ErrorKind, Kind, Result, ResultExt};
use serde_json::Value;

use super::Run;
use crate::components::Components;
use crate::manifest::{Arm, Block, Policy};
use crate::pool::{SourcePaths, expand_source};
use crate::selection::check_ids;

impl Run {
    /// Checks every block and source of the manifest, without reading or building anything.
    pub(super) fn check(&self) -> Result<()> {
        self.completed_manifest()?;
        for (i, source) in self.manifest.pool.iter().enumerate() {
            self.expand(&source.source, &format!("pool[{i}].source"))?;
        }
        for (i, task) in self.manifest.tasks.iter().enumerate() {
            for (name, source) in task.sources() {
                if matches!(name, "training_source" | "validation_source") {
                    self.check_opens(i, name, source.source())?;
                } else {
                    self.expand(source.source(), &format!("tasks[{i}].{name}"))?;
                }
            }
            self.check_sources_apart(task)?;
        }
        self.manifest.arms.keys().try_for_each(|arm| self.check_selection(arm))
    }

    /// What an arm's selection is made of, which is looked at only after all that is searched.
    fn check_selection(&self, arm: &str) -> Result<()> {
        let rule = self.manifest.selection_of(arm);
        if let Some(ids) = &rule.ids {
            let path = format!("{}.ids", self.manifest.selection_path(arm));
            let lists = self.expand(ids, &path)?;
            for list in lists.iter() {
                check_ids(list).map_err(|error| self.at_option(error, &path))?;
            }
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

    /// Has a task's reader open a source, which is read only after the search: what it would refuse
    /// should not show hours later.
    fn check_opens(&self, task: usize, name: &str, source: &str) -> Result<()> {
        let path = format!("tasks[{task}].{name}");
        let files = self.expand(source, &path)?;
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

    /// An error about something else than the manifest, with the place in it that names this.
    pub(super) fn at_option(&self, error: Error, option: &str) -> Error {
        let place = self.document.locate(Error::option_at(option, ""));
        error.with_context("at", place.context("at").unwrap_or_default())
    }

    pub(super) fn expand(&self, source: &str, path: &str) -> Result<SourcePaths> {
        expand_source(source, self.document.dir())
            .map_err(|error| self.document.locate(error.within_option(path)))
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
