//! Which examples of its sources a task takes, and that none is evaluated on that the pool was
//! searched with.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use deft_core::{Error, Example, Result};
use serde::Serialize;

use super::{Run, Stage, arms};
use crate::manifest::{SourcePart, Task, TaskSource};
use crate::pool::{Skipped, SourcePaths, read_paths};

/// The examples of a source that are taken, in the order in which they are.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) examples: Vec<Example>,
    /// The position of each among the examples of its source.
    pub(super) positions: Vec<usize>,
}

impl Taken {
    /// Takes what a source says of all examples in it.
    pub(super) fn of(source: &TaskSource, mut examples: Vec<Example>) -> Result<Self> {
        let Some(part) = source.part() else {
            let positions = (0..examples.len()).collect();
            return Ok(Self { examples, positions });
        };
        let positions = part.positions(examples.len())?;
        let take = |&position: &usize| std::mem::take(&mut examples[position]);
        let taken = positions.iter().map(take).collect();
        Ok(Self { examples: taken, positions })
    }
}

/// What is taken of a source, for `run.json`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct SourceSplit {
    task: String,
    /// The key that names the source: `query_source`.
    of: &'static str,
    taken: usize,
    examples: usize,
    how: String,
}

impl Run {
    /// Tells what is taken of the sources that are not taken whole, and refuses queries that are
    /// evaluated on, before anything takes long.
    pub(super) fn split_sources(&mut self, last: Stage) -> Result<Vec<SourceSplit>> {
        let mut splits = Vec::new();
        for task in self.manifest.tasks.clone() {
            for (key, source) in task.sources() {
                if source.part().is_some() && self.uses(key, last) {
                    splits.push(self.split_source(&task, key, source)?);
                }
            }
            if last == Stage::Evaluate {
                self.check_queries_apart(&task)?;
            }
        }
        Ok(splits)
    }

    /// Whether stages up to `last` read the sources of this key.
    fn uses(&self, key: &str, last: Stage) -> bool {
        match key {
            "query_source" => last >= Stage::Retrieve && self.searches(),
            "evaluation_source" => last == Stage::Evaluate,
            _ => last >= Stage::Train,
        }
    }

    fn searches(&self) -> bool {
        self.manifest.arms.keys().any(|arm| self.needs_hits(arm))
    }

    fn split_source(
        &mut self,
        task: &Task,
        key: &'static str,
        source: &TaskSource,
    ) -> Result<SourceSplit> {
        let examples = self.count_examples(task, key, source)?;
        let taken = self.positions(task, key, source, examples)?.len();
        let how = source.part().map(SourcePart::describe).unwrap_or_default();
        let what = match key {
            "query_source" => "queries",
            "training_source" => "training examples",
            "validation_source" => "validation examples",
            _ => "evaluation examples",
        };
        log::info!("{}: {taken} of {examples} examples as {what} ({how})", task.name);
        Ok(SourceSplit { task: task.name.clone(), of: key, taken, examples, how })
    }

    /// How many examples there are in a task's source.
    fn count_examples(&mut self, task: &Task, key: &str, source: &TaskSource) -> Result<usize> {
        let i = self.task_index(task);
        let (reader, _) = self.task_reader(task, key)?;
        let paths = self.expand(source.source(), &format!("tasks[{i}].{key}"))?;
        let services = self.services("count the examples");
        let ctx = services.context(self.manifest.seed);
        let mut count = 0;
        let mut take = |examples: Vec<Example>| {
            count += examples.len();
            Ok(())
        };
        read_paths(&*reader, &paths, None, &ctx, &mut take, &mut Skipped::default())?;
        Ok(count)
    }

    /// The positions that are taken of a source with so many examples.
    fn positions(
        &self,
        task: &Task,
        key: &str,
        source: &TaskSource,
        examples: usize,
    ) -> Result<Vec<usize>> {
        match source.part() {
            None => Ok((0..examples).collect()),
            Some(part) => {
                let found = part.positions(examples);
                found.map_err(|error| self.in_source(task, key, error))
            }
        }
    }

    /// Takes what a task's source says of all examples in it.
    pub(super) fn take(
        &self,
        task: &Task,
        key: &str,
        source: &TaskSource,
        examples: Vec<Example>,
    ) -> Result<Taken> {
        Taken::of(source, examples).map_err(|error| self.in_source(task, key, error))
    }

    /// An error about a task's source, with its place in the manifest.
    fn in_source(&self, task: &Task, key: &str, error: Error) -> Error {
        let path = format!("tasks[{}].{key}", self.task_index(task));
        self.document.locate(error.within_option(&path))
    }

    /// Refuses a task whose queries are among its evaluation examples, as far as this is known
    /// without reading them.
    pub(super) fn check_sources_apart(&self, task: &Task) -> Result<()> {
        match self.sources_overlap(task)? {
            Overlap::None | Overlap::ByPosition(..) => Ok(()),
            Overlap::Certain(file) => Err(self.refuse_overlap(task, &file, None)),
            Overlap::Unknown(file) => {
                let message =
                    "this source and `query_source` have a file in common, and others not";
                let error =
                    Error::option_at("", message).with_context("file", file.display()).with_hint(
                        "name the same files in both, so that their examples can be told apart",
                    );
                Err(self.in_source(task, "evaluation_source", error))
            }
        }
    }

    /// The same, by the positions of the examples.
    fn check_queries_apart(&mut self, task: &Task) -> Result<()> {
        let Overlap::ByPosition(file, queries, evaluation) = self.sources_overlap(task)? else {
            return self.check_sources_apart(task);
        };
        let count = self.count_examples(task, "query_source", queries)?;
        let positions = self.positions(task, "query_source", queries, count)?;
        let searched: HashSet<usize> = positions.into_iter().collect();
        let evaluated = self.positions(task, "evaluation_source", evaluation, count)?;
        match evaluated.iter().filter(|position| searched.contains(position)).count() {
            0 => Ok(()),
            both => Err(self.refuse_overlap(task, &file, Some((both, evaluated.len())))),
        }
    }

    fn refuse_overlap(&self, task: &Task, file: &Path, counts: Option<(usize, usize)>) -> Error {
        let mut error = Error::option_at("", "examples are evaluated on that are queries, too")
            .with_context("file", file.display());
        if let Some((both, all)) = counts {
            error = error.with_context("in both", format!("{both} of {all}"));
        }
        let hint = "take other examples for one of them: `{ source: FILE, shuffle: 42, take: 1000 \
                    }` and `skip: 1000`; or say in the task that this is wanted: \
                    `evaluate_on_queries: true`";
        self.in_source(task, "evaluation_source", error.with_hint(hint))
    }

    /// What the query source and the evaluation source of a task have in common, if both count.
    fn sources_overlap<'a>(&self, task: &'a Task) -> Result<Overlap<'a>> {
        let evaluates = |arm: &String| arms::is_evaluated(&self.manifest, arm);
        let (Some(queries), Some(evaluation)) = (&task.query_source, &task.evaluation_source)
        else {
            return Ok(Overlap::None);
        };
        if task.evaluate_on_queries || !self.searches() || !self.manifest.arms.keys().any(evaluates)
        {
            return Ok(Overlap::None);
        }
        let i = self.task_index(task);
        let searched = self.expand(queries.source(), &format!("tasks[{i}].query_source"))?;
        let predicted =
            self.expand(evaluation.source(), &format!("tasks[{i}].evaluation_source"))?;
        Ok(Overlap::of((queries, &searched), (evaluation, &predicted)))
    }
}

/// What two sources have in common.
#[derive(Debug, PartialEq)]
enum Overlap<'a> {
    /// No file.
    None,
    /// Examples, whatever there are.
    Certain(PathBuf),
    /// All files: the positions that are taken tell.
    ByPosition(PathBuf, &'a TaskSource, &'a TaskSource),
    /// Some of the files, and not all examples of them.
    Unknown(PathBuf),
}

impl<'a> Overlap<'a> {
    fn of(
        (one, one_paths): (&'a TaskSource, &SourcePaths),
        (other, other_paths): (&'a TaskSource, &SourcePaths),
    ) -> Self {
        // A folder has every file below it.
        let meet = |a: &PathBuf, b: &PathBuf| a.starts_with(b) || b.starts_with(a);
        let in_both = |one: &[PathBuf], other: &[PathBuf]| {
            other.iter().find(|b| one.iter().any(|a| meet(a, b))).cloned()
        };
        // As they are named, too: in the hub's cache the files of a folder are links that lead out
        // of it.
        let named = in_both(one_paths, other_paths);
        let (one_paths, other_paths) = (resolved(one_paths), resolved(other_paths));
        let Some(file) = in_both(&one_paths, &other_paths).or(named) else { return Self::None };
        let identity = |source: &TaskSource| source.part().map(SourcePart::identity);
        if one_paths == other_paths {
            return if identity(one) == identity(other) {
                Self::Certain(file)
            } else {
                Self::ByPosition(file, one, other)
            };
        }
        if one.part().is_none() && other.part().is_none() {
            return Self::Certain(file);
        }
        Self::Unknown(file)
    }
}

/// Paths without links, where the system can tell.
fn resolved(paths: &[PathBuf]) -> Vec<PathBuf> {
    paths.iter().map(|path| path.canonicalize().unwrap_or_else(|_| path.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> TaskSource {
        serde_yaml::from_str(text).unwrap()
    }

    fn examples(count: usize) -> Vec<Example> {
        let example = |i| Example { input: format!("text {i}"), ..Example::default() };
        (0..count).map(example).collect()
    }

    #[test]
    fn what_is_taken_knows_its_place_in_the_source() {
        let part = source("{ source: f, shuffle: 42, take: 2, from: end }");
        let taken = Taken::of(&part, examples(10)).unwrap();
        assert_eq!(taken.positions, [1, 8]);
        let inputs: Vec<&str> = taken.examples.iter().map(|one| one.input.as_str()).collect();
        assert_eq!(inputs, ["text 1", "text 8"]);
        let whole = Taken::of(&source("f"), examples(2)).unwrap();
        assert_eq!((whole.positions, whole.examples), (vec![0, 1], examples(2)));
        let error = Taken::of(&source("{ source: f, skip: 3 }"), examples(3)).unwrap_err();
        assert_eq!(error.option(), Some("skip"));
    }

    #[test]
    fn sources_are_held_against_each_other_by_their_files_and_then_by_their_parts() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        std::os::unix::fs::symlink(dir.path().join("a"), dir.path().join("link")).unwrap();
        let paths = |names: &[&str]| {
            let paths: Vec<PathBuf> = names.iter().map(|name| dir.path().join(name)).collect();
            SourcePaths::from(paths)
        };
        let (whole, first) = (source("f"), source("{ source: f, take: 3 }"));
        let rest = source("{ source: f, skip: 3 }");
        let of = |one: &[&str], one_source, other: &[&str], other_source| match Overlap::of(
            (one_source, &paths(one)),
            (other_source, &paths(other)),
        ) {
            Overlap::None => "none",
            Overlap::Certain(_) => "certain",
            Overlap::ByPosition(..) => "by position",
            Overlap::Unknown(_) => "unknown",
        };
        assert_eq!(of(&["a"], &whole, &["b"], &whole), "none");
        assert_eq!(of(&["a"], &whole, &["a"], &whole), "certain");
        assert_eq!(of(&["a"], &whole, &["link"], &whole), "certain");
        assert_eq!(of(&["a"], &whole, &["a", "b"], &whole), "certain");
        assert_eq!(of(&["."], &whole, &["a"], &whole), "certain", "a file of the folder");
        // As in the hub's cache: what a folder has are links that lead out of it.
        std::fs::create_dir(dir.path().join("set")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("b"), dir.path().join("set/b")).unwrap();
        assert_eq!(of(&["set"], &whole, &["set/b"], &whole), "certain");
        assert_eq!(of(&["a"], &first, &["a"], &first), "certain");
        assert_eq!(of(&["a"], &first, &["a"], &rest), "by position");
        assert_eq!(of(&["a"], &first, &["a"], &whole), "by position");
        assert_eq!(of(&["a"], &first, &["a", "b"], &rest), "unknown");
    }
}
