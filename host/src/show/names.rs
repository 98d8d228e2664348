//! The names in the manifest that a run has in its folder.

use std::fs;
use std::path::Path;

use deft_core::{Error, ErrorKind, Result, ResultExt};
use serde_json::Value;

/// The file's name.
const FILE: &str = "manifest.yaml";

/// Where a run's folder is.
const FOLDER: &str = "a run's folder is runs/NAME beside its manifest, or what --run named";

/// The names in a run's manifest, in its order.
#[derive(Debug, PartialEq)]
pub(super) struct Names {
    pub(super) tasks: Vec<String>,
    pub(super) arms: Vec<String>,
}

impl Names {
    /// Reads the manifest in a run's folder.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Options`] for what is no run's folder; [`ErrorKind::Data`] for a damaged manifest;
    /// [`ErrorKind::Io`].
    pub(super) fn read(run: &Path) -> Result<Self> {
        let path = run.join(FILE);
        if !path.is_file() {
            return Err(Error::new(ErrorKind::Options, "this is no folder of a run")
                .with_context("path", run.display())
                .with_context("missing", FILE)
                .with_hint(FOLDER));
        }
        let text = fs::read_to_string(&path).or_io("cannot read the run's manifest", &path)?;
        let manifest: Value = serde_yaml::from_str(&text).map_err(|e| damaged(&path, &e))?;
        Self::of(&manifest).map_err(|found| {
            let message = "this is no manifest.yaml of a run: it must have `tasks`, each with a \
                           `name`, and `arms`";
            Error::new(ErrorKind::Options, message)
                .with_context("file", path.display())
                .with_context("found", found)
                .with_hint(format!("{FOLDER}; if it is one, the next `deft run` writes it again"))
        })
    }

    /// The names, or what is there instead.
    fn of(manifest: &Value) -> Result<Self, String> {
        if !manifest.is_object() {
            return Err(kind(manifest).to_owned());
        }
        let found = |key: &str| match &manifest[key] {
            Value::Null => format!("no `{key}`"),
            other => format!("{} at `{key}`", kind(other)),
        };
        let tasks = manifest["tasks"].as_array().ok_or_else(|| found("tasks"))?;
        let arms = manifest["arms"].as_object().ok_or_else(|| found("arms"))?;
        let mut names = Self { tasks: Vec::new(), arms: arms.keys().cloned().collect() };
        for (place, task) in tasks.iter().enumerate() {
            let name = task["name"].as_str();
            let name = name.ok_or_else(|| format!("no name at `tasks[{place}]`"))?;
            names.tasks.push(name.to_owned());
        }
        Ok(names)
    }
}

/// What a value is, in words.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

fn damaged(path: &Path, error: &serde_yaml::Error) -> Error {
    let message = error.to_string();
    // The position goes to the context; what follows it is another one.
    let why = message.split_once(" at line ").map_or(message.as_str(), |(why, _)| why);
    let damaged = Error::new(ErrorKind::Data, format!("the run's manifest is no YAML: {why}"))
        .with_context("file", path.display());
    let damaged = match error.location() {
        Some(at) => damaged.with_context("line", at.line()).with_context("column", at.column()),
        None => damaged,
    };
    damaged.with_hint("the next `deft run` writes it again")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(manifest: &str) -> Result<Names> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), manifest).unwrap();
        Names::read(dir.path())
    }

    #[test]
    fn names_come_in_the_manifests_order() {
        let names =
            read("tasks: [{name: z}, {name: a}]\narms: {second: {}, first: null}\nseed: 3\n");
        let of = |names: [&str; 2]| names.map(str::to_owned).to_vec();
        assert_eq!(names.unwrap(), Names { tasks: of(["z", "a"]), arms: of(["second", "first"]) });
    }

    #[test]
    fn what_is_no_runs_manifest_is_told_with_what_was_found() {
        for (manifest, found) in [
            ("", "nothing"),
            ("- a\n", "a list"),
            ("version: 1\n", "no `tasks`"),
            ("tasks: 3\n", "a number at `tasks`"),
            ("tasks: [{name: rte}]\n", "no `arms`"),
            ("tasks: [{name: rte}]\narms: [a]\n", "a list at `arms`"),
            ("tasks: [{name: rte}, {}]\narms: {a: {}}\n", "no name at `tasks[1]`"),
            ("tasks: [rte]\narms: {a: {}}\n", "no name at `tasks[0]`"),
        ] {
            let error = read(manifest).unwrap_err();
            assert_eq!((error.kind(), error.context("found")), (ErrorKind::Options, Some(found)));
            assert!(error.context("file").unwrap().ends_with(FILE), "{error}");
            assert!(!error.to_string().contains("Names"), "words of the parser: {error}");
            assert!(error.hint().unwrap().contains("runs/NAME"), "{error}");
        }
    }

    #[test]
    fn what_is_no_yaml_is_named_with_line_and_column() {
        let error = read("version: 1\ntasks: [\n").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.message().starts_with("the run's manifest is no YAML: "), "{error}");
        assert!(error.context("line").is_some() && error.context("column").is_some(), "{error}");
    }
}
