//! Sources: which files have the tasks.

use std::path::{Path, PathBuf};

use deft_core::prelude::*;
use deft_records::{Forms, Records, source_files};

use crate::config::NiConfig;

/// Where instances come from.
pub(crate) enum Source {
    /// Files of one task each, in order.
    Tasks(std::vec::IntoIter<PathBuf>),
    /// A file of rows, each of which has its task's fields and one instance.
    Rows(Box<Records>),
}

impl Source {
    /// Opens a folder, a task's file or a file of rows.
    pub(crate) fn open(ctx: &Context<'_>, path: &Path, config: &NiConfig) -> Result<Self> {
        let metadata = std::fs::metadata(path).or_io("cannot open the source", path)?;
        if metadata.is_dir() {
            let tasks = folder(ctx, path, config)?;
            check_names(&tasks, config)?;
            return Ok(Self::Tasks(tasks.into_iter()));
        }
        if is_task(path) {
            return Ok(Self::Tasks(vec![path.to_owned()].into_iter()));
        }
        Ok(Self::Rows(Box::new(Records::open(path)?)))
    }
}

fn is_task(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    [".json", ".json.gz", ".json.zst"].iter().any(|ending| name.ends_with(ending))
}

/// The task files of a folder: by the list of a split, or all of them, sorted by bytes.
fn folder(ctx: &Context<'_>, path: &Path, config: &NiConfig) -> Result<Vec<PathBuf>> {
    let tasks = path.join("tasks");
    let tasks = if tasks.is_dir() { tasks } else { path.to_owned() };
    let Some(split) = config.split else { return all(ctx, &tasks) };
    let list = path.join("splits").join(&config.splits);
    let list = list.join(format!("{}_tasks.txt", split.as_str()));
    let names = std::fs::read_to_string(&list).or_io("cannot read the list of tasks", &list)?;
    let names = names.lines().map(str::trim).filter(|name| !name.is_empty());
    Ok(names.map(|name| tasks.join(format!("{name}.json"))).collect())
}

fn all(ctx: &Context<'_>, folder: &Path) -> Result<Vec<PathBuf>> {
    let files =
        source_files(ctx, folder, Forms::DOCUMENTS).map_err(|error| match error.kind() {
            ErrorKind::Data if error.context("folder").is_some() => error
                .with_hint("wanted are files `task….json`, in the folder itself or in its `tasks`"),
            _ => error,
        })?;
    Ok(files.into_iter().map(|file| file.path).collect())
}

/// Refuses names that no task of a folder has: a misspelt one would only make a smaller set.
fn check_names(tasks: &[PathBuf], config: &NiConfig) -> Result<()> {
    let stems: Vec<_> = tasks.iter().map(|path| crate::task::name(path)).collect();
    for (place, wanted) in config.tasks.iter().enumerate() {
        if !stems.iter().any(|name| is_named(name, wanted)) {
            let message = format!("no task of the source is called `{wanted}`");
            return Err(Error::option_at(format!("tasks[{place}]"), message)
                .with_context("tasks", stems.len())
                .with_hint("a task is named by its number, `task937`, or as its file is"));
        }
    }
    Ok(())
}

/// Whether a task's name is the one wanted: in full, or by its number.
pub(crate) fn is_named(name: &str, wanted: &str) -> bool {
    name.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SplitName;
    use deft_core::NoServices;
    use std::fs;

    /// A folder in the layout of the benchmark.
    fn benchmark() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let lists = dir.path().join("splits/default");
        fs::create_dir_all(&lists).unwrap();
        fs::create_dir(dir.path().join("tasks")).unwrap();
        for name in ["task2_b.json", "task10_c.json", "task1_a.json", "README.md"] {
            fs::write(dir.path().join("tasks").join(name), "{}").unwrap();
        }
        fs::write(lists.join("test_tasks.txt"), "task2_b\n\ntask1_a \n").unwrap();
        dir
    }

    fn names(path: &Path, config: &NiConfig) -> Result<Vec<String>> {
        match Source::open(&Context::new(&NoServices, 0, 1), path, config)? {
            Source::Tasks(tasks) => Ok(tasks.map(|path| crate::task::name(&path)).collect()),
            Source::Rows(_) => panic!("rows"),
        }
    }

    #[test]
    fn a_folder_is_read_by_the_list_of_a_split_or_whole() {
        let dir = benchmark();
        let whole = NiConfig::default();
        let sorted = ["task10_c", "task1_a", "task2_b"];
        assert_eq!(names(dir.path(), &whole).unwrap(), sorted);
        assert_eq!(names(&dir.path().join("tasks"), &whole).unwrap(), sorted);
        let test = NiConfig { split: Some(SplitName::Test), ..NiConfig::default() };
        assert_eq!(names(dir.path(), &test).unwrap(), ["task2_b", "task1_a"]);
        let train = NiConfig { split: Some(SplitName::Train), ..NiConfig::default() };
        let error = names(dir.path(), &train).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.context("path").unwrap().ends_with("train_tasks.txt"));
    }

    #[test]
    fn a_name_that_no_task_has_is_refused() {
        let dir = benchmark();
        let of = |task: &str| NiConfig { tasks: vec![task.to_owned()], ..NiConfig::default() };
        for known in ["task1", "task10_c"] {
            assert!(names(dir.path(), &of(known)).is_ok());
        }
        let error = names(dir.path(), &of("task10_")).unwrap_err();
        assert_eq!(error.option(), Some("tasks[0]"));
        assert_eq!(error.message(), "no task of the source is called `task10_`");
    }

    #[test]
    fn a_folder_without_tasks_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let error = names(dir.path(), &NiConfig::default()).unwrap_err();
        assert_eq!(error.message(), "the folder holds no file of a known form");
        assert!(error.hint().unwrap().starts_with("wanted are files `task….json`"), "{error}");
    }
}
