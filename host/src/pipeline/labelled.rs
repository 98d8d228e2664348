//! Labelled examples of the tasks themselves: to train on, and to watch a training with.

use std::collections::{BTreeMap, BTreeSet};

use deft_core::{Error, ErrorKind, Example, Fingerprint, Result};

use super::splits::Taken;
use super::{Run, arms};
use crate::manifest::{PartSource, SourcePart, Task, TaskSource};
use crate::pool::read_and_tell;
use crate::store::HashedSource;

/// The examples of one source, in memory.
#[derive(Debug)]
pub(super) struct Labelled {
    pub(super) examples: Vec<Example>,
    /// Of the files' content and the reader.
    pub(super) fingerprint: String,
}

/// Labelled sources by task.
#[derive(Debug, Default)]
pub(super) struct LabelledSources {
    training: BTreeMap<String, Labelled>,
    validation: BTreeMap<String, Labelled>,
}

impl LabelledSources {
    /// What is trained on of a task's own.
    pub(super) fn training(&self, task: &str) -> Option<&Labelled> {
        self.training.get(task)
    }

    /// What a task's trainings are watched with.
    pub(super) fn validation(&self, task: &str) -> Option<&Labelled> {
        self.validation.get(task)
    }
}

impl Run {
    /// Reads every labelled source that some training needs.
    pub(super) fn read_labelled(&mut self) -> Result<LabelledSources> {
        let mut sources = LabelledSources::default();
        let trained_on = self.tasks_trained_on();
        let trains = self.manifest.arms.keys().any(|arm| arms::has_model(&self.manifest, arm));
        for task in self.manifest.tasks.clone() {
            if let Some(source) = &task.training_source
                && trained_on.contains(&task.name)
            {
                let labelled = self.read_targets(&task, "training", source)?;
                sources.training.insert(task.name.clone(), labelled);
            }
            if let Some(source) = task.validation_source.as_ref().filter(|_| trains) {
                let labelled = self.read_targets(&task, "validation", source)?;
                sources.validation.insert(task.name.clone(), labelled);
            }
        }
        Ok(sources)
    }

    /// The tasks on whose own examples some arm trains.
    fn tasks_trained_on(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for arm in self.manifest.arms.keys().filter(|arm| arms::has_model(&self.manifest, arm)) {
            for part in self.manifest.parts_of(arm) {
                for task in &self.manifest.tasks {
                    if let PartSource::Task(name) = part.source(arm, &task.name) {
                        names.insert(name.to_owned());
                    }
                }
            }
        }
        names
    }

    /// Reads a source of some use, `training` for instance, all of whose examples need a target.
    fn read_targets(&mut self, task: &Task, usage: &str, source: &TaskSource) -> Result<Labelled> {
        let (Taken { examples, positions }, fingerprint) = self.read_source(task, usage, source)?;
        check_targets(&examples, &positions).map_err(|error| {
            let key = format!("{usage}_source");
            error.with_context(key, source.source()).with_context("task", &task.name)
        })?;
        Ok(Labelled { examples, fingerprint: fingerprint.short() })
    }

    /// Reads a task's source of some use, with the fingerprint of its content and reader.
    pub(super) fn read_source(
        &mut self,
        task: &Task,
        usage: &str,
        source: &TaskSource,
    ) -> Result<(Taken, Fingerprint)> {
        let i = self.task_index(task);
        let key = format!("{usage}_source");
        let (reader, identity) = self.task_reader(task, &key)?;
        let paths = self.expand(source.source(), &format!("tasks[{i}].{key}"))?;
        let services = self.services(&format!("read the {usage} examples"));
        let ctx = services.context(self.manifest.seed);
        let (hash, hashed) = self.hash_files(&paths)?;
        let examples = read_and_tell(&task.name, usage, &*reader, &paths, &ctx)?;
        hashed.iter().try_for_each(HashedSource::check_unchanged)?;
        paths.check_unchanged()?;
        let mut fingerprint = Fingerprint::new().with(identity.to_string()).with(hash);
        if let Some(part) = source.part().map(SourcePart::identity) {
            fingerprint = fingerprint.with(part);
        }
        Ok((self.take(task, &key, source, examples)?, fingerprint))
    }
}

/// Refuses an example without target; it is named by its position in the source.
fn check_targets(examples: &[Example], positions: &[usize]) -> Result<()> {
    match examples.iter().position(|example| example.target.is_none()) {
        None => Ok(()),
        Some(one) => Err(Error::new(ErrorKind::Data, "an example has no target")
            .with_context("position", positions[one])
            .with_context("input", deft_core::excerpt(&examples[one].input))
            .with_hint("positions count from 0; look at the source with `deft read`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_without_target_is_named_by_its_position_in_the_source() {
        let example = |target: &str| Example {
            input: format!("say {target}"),
            target: Some(target.to_owned()),
            ..Example::default()
        };
        let mut examples = vec![example("a"), example("b"), example("c")];
        check_targets(&examples, &[0, 1, 2]).unwrap();
        examples[1].target = None;
        let error = check_targets(&examples, &[4, 7, 2]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        assert_eq!(error.context("position"), Some("7"));
        assert_eq!(error.context("input"), Some("say b"));
    }
}
