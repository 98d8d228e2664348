//! The tasks of a manifest alone: what a model is evaluated on.

use std::path::Path;

use deft_core::{Error, Result};
use serde::Deserialize;

use super::check::check_tasks;
use super::{Block, Document, Task};

/// What of a manifest it takes to evaluate a model on its tasks. Other keys may be there or not: a
/// whole manifest will do, and so will a list of tasks.
#[derive(Debug, Clone, Deserialize)]
pub struct TaskList {
    /// Plugins to load, beside those that have the components needed.
    #[serde(default)]
    pub plugins: Vec<String>,
    /// Seed of the bootstrap intervals, and of the components.
    #[serde(default)]
    pub seed: u64,
    /// What opens the model, if nothing else is said.
    #[serde(default)]
    pub trainer: Option<Block>,
    /// The tasks.
    pub tasks: Vec<Task>,
}

impl TaskList {
    /// Reads the tasks of a manifest, with `overrides` like `tasks[0].reader=t0/rte`.
    ///
    /// # Errors
    ///
    /// [`deft_core::ErrorKind::Options`] with file, line and column; the first thing wrong.
    pub fn load(path: &Path, overrides: &[String]) -> Result<(Self, Document)> {
        let document = Document::read(path, overrides)?;
        let list = super::shape::check(document.value())
            .and_then(|()| deft_core::options::parse(document.value()))
            .and_then(|list: Self| {
                list.check()?;
                Ok(list)
            })
            .map_err(|error| document.locate(error))?;
        Ok((list, document))
    }

    /// Tasks as they were given on the command line.
    ///
    /// # Errors
    ///
    /// [`deft_core::ErrorKind::Options`] with the number of the task, from 0.
    pub fn of(tasks: Vec<Task>) -> Result<Self> {
        let list = Self { plugins: Vec::new(), seed: 0, trainer: None, tasks };
        list.check()?;
        Ok(list)
    }

    fn check(&self) -> Result<()> {
        check_tasks(&self.tasks)?;
        if self.tasks.is_empty() {
            return Err(Error::option_at("tasks", "there is no task to evaluate on"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<TaskList> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.yaml");
        std::fs::write(&path, text).unwrap();
        TaskList::load(&path, &[]).map(|(list, _)| list)
    }

    #[test]
    fn a_list_of_tasks_needs_neither_pool_nor_plugins_and_a_whole_manifest_will_do() {
        let tasks = "tasks:\n  - { name: t, reader: p3, evaluation_source: e }\n";
        assert_eq!(load(tasks).unwrap().tasks[0].name, "t");
        let whole = format!("version: 1\nname: x\nplugins: [p3]\npool: []\nseed: 7\n{tasks}");
        let list = load(&whole).unwrap();
        assert_eq!((list.plugins, list.seed), (vec!["p3".to_owned()], 7));
    }

    #[test]
    fn tasks_are_checked_as_those_of_a_run_are() {
        for (text, option) in [
            ("tasks: []", "tasks"),
            ("tasks: [{ name: a/b, reader: p3 }]", "tasks[0].name"),
            ("tasks: [{ name: a, reader: p3 }, { name: a, reader: p3 }]", "tasks[1].name"),
            ("tasks: [{ name: a, reader: p3, evaluation_sorce: e }]", "tasks[0].evaluation_sorce"),
            (
                "tasks: [{ name: a, reader: p3, evaluation_source: { source: e, take: 0 } }]",
                "tasks[0].evaluation_source.take",
            ),
        ] {
            let error = load(text).unwrap_err();
            assert_eq!(error.option(), Some(option), "{error}");
            assert!(error.context("at").unwrap().contains("m.yaml:1:"), "{error}");
        }
        assert!(load("version: 1").unwrap_err().message().contains("`tasks` is missing"));
    }
}
