//! Sources: which files have the tasks.

use std::path::{Path, PathBuf};

use deft_core::options::nearest;
use deft_core::prelude::*;
use deft_records::{Forms, Records, source_files};

use crate::config::NiConfig;

/// How the name of a list of tasks ends.
const LIST: &str = "_tasks.txt";

/// Where instances come from.
pub(crate) enum Source {
    /// Files of one task each, in order: those of a folder, or one.
    Tasks {
        /// The files still to be read.
        paths: std::vec::IntoIter<PathBuf>,
        /// Whether they are all tasks of a folder, among which there must be those that are named.
        is_folder: bool,
    },
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
            return Ok(Self::Tasks { paths: tasks.into_iter(), is_folder: true });
        }
        if config.split.is_some() {
            let message = "`split` chooses among the tasks of a folder, and the source is a file";
            return Err(Error::option_at("split", message)
                .with_context("source", path.display())
                .with_hint("give the benchmark's folder, or leave `split` out"));
        }
        if is_task(path) {
            let paths = vec![path.to_owned()].into_iter();
            return Ok(Self::Tasks { paths, is_folder: false });
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
    let splits = path.join("splits");
    let list = splits.join(&config.splits).join(format!("{}{LIST}", split.as_str()));
    let names = std::fs::read_to_string(&list)
        .or_io("cannot read the list of tasks", &list)
        .map_err(|error| error.with_hint(hint_of_lists(&splits)))?;
    let names = names.lines().map(str::trim).filter(|name| !name.is_empty());
    Ok(names.map(|name| tasks.join(format!("{name}.json"))).collect())
}

/// What a folder `splits` has to choose from, which the options `splits` and `split` do.
fn hint_of_lists(splits: &Path) -> String {
    let mut lists = Vec::new();
    for folder in names_in(splits) {
        let of_folder = names_in(&splits.join(&folder)).into_iter();
        let of_folder = of_folder.filter(|name| name.ends_with(LIST));
        lists.extend(of_folder.map(|name| format!("{folder}/{name}")));
    }
    lists.sort();
    if lists.is_empty() {
        return "the source has no lists `splits/…/test_tasks.txt`: give the benchmark's folder, or \
                leave `split` out"
            .to_owned();
    }
    format!("`splits` names a folder, and `split` a list in it; there are {}", lists.join(", "))
}

/// The names in a folder; none where it cannot be listed.
fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
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
            let form = "a task is named by its number, `task937`, or as its file is";
            let hint = match nearest(wanted, stems.iter().map(String::as_str)) {
                Some(name) => format!("did you mean `{name}`? {form}"),
                None => form.to_owned(),
            };
            return Err(Error::option_at(format!("tasks[{place}]"), message)
                .with_context("tasks", stems.len())
                .with_hint(hint));
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
            Source::Tasks { paths, .. } => Ok(paths.map(|path| crate::task::name(&path)).collect()),
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
    fn a_list_that_is_not_there_is_answered_with_those_that_are() {
        let dir = benchmark();
        let of = |splits: &str, split| NiConfig {
            splits: splits.to_owned(),
            split: Some(split),
            ..NiConfig::default()
        };
        for wrong in [of("nosuch", SplitName::Test), of("default", SplitName::Train)] {
            let error = names(dir.path(), &wrong).unwrap_err();
            let hint = error.hint().unwrap();
            assert!(hint.ends_with("there are default/test_tasks.txt"), "{hint}");
        }
        let tasks = dir.path().join("tasks");
        let error = names(&tasks, &of("default", SplitName::Test)).unwrap_err();
        assert!(error.hint().unwrap().starts_with("the source has no lists"), "{error}");
    }

    #[test]
    fn a_split_of_one_file_is_refused() {
        let dir = benchmark();
        let rows = dir.path().join("rows.jsonl");
        fs::write(&rows, "").unwrap();
        let test = NiConfig { split: Some(SplitName::Test), ..NiConfig::default() };
        for file in [dir.path().join("tasks/task1_a.json"), rows] {
            let error = names(&file, &test).unwrap_err();
            assert_eq!(error.option(), Some("split"));
            assert_eq!(error.context("source"), Some(&*file.display().to_string()));
        }
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
        assert!(error.hint().unwrap().starts_with("did you mean `task10_c`?"), "{error}");
        let error = names(dir.path(), &of("translation")).unwrap_err();
        assert!(error.hint().unwrap().starts_with("a task is named by"), "{error}");
    }

    #[test]
    fn a_folder_without_tasks_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let error = names(dir.path(), &NiConfig::default()).unwrap_err();
        assert_eq!(error.message(), "the folder holds no file of a known form");
        assert!(error.hint().unwrap().starts_with("wanted are files `task….json`"), "{error}");
    }
}
