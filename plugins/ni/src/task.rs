//! Tasks in the schema of Super-NaturalInstructions.

use std::path::Path;

use deft_core::prelude::*;
use deft_records::Record;
use serde::Deserializer;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config::{NiConfig, Variant};

/// Fields of a task that a prompt or a choice may need.
const DEFINITION: &str = "Definition";
const CATEGORIES: &str = "Categories";
const POSITIVE: &str = "Positive Examples";
const NEGATIVE: &str = "Negative Examples";

const SCHEMA: &str = "wanted is the schema of Super-NaturalInstructions; see the plugin's README";

/// What all instances of a task share.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Task {
    /// The name of the file without its ending, or the field `Task` of a row.
    #[serde(default, rename = "Task")]
    pub(crate) name: String,
    #[serde(default, rename = "Source", deserialize_with = "one_or_many")]
    pub(crate) source: Vec<String>,
    #[serde(default, rename = "Categories", deserialize_with = "one_or_many")]
    pub(crate) categories: Vec<String>,
    #[serde(rename = "Definition", deserialize_with = "one_or_many")]
    pub(crate) definition: Vec<String>,
    #[serde(default, rename = "Positive Examples", deserialize_with = "or_none")]
    pub(crate) positive: Vec<Shown>,
    #[serde(default, rename = "Negative Examples", deserialize_with = "or_none")]
    pub(crate) negative: Vec<Shown>,
}

/// An example that a prompt may show.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Shown {
    pub(crate) input: String,
    pub(crate) output: String,
    pub(crate) explanation: Option<String>,
}

/// An input with its answers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) input: String,
    /// None where they are withheld.
    #[serde(default, deserialize_with = "one_or_many")]
    pub(crate) output: Vec<String>,
}

impl Task {
    /// The category that the evaluation counts the task to: the first.
    pub(crate) fn category(&self) -> &str {
        self.categories.first().map_or("", String::as_str)
    }

    /// The name by whose rules it is told: to the paper the long one, which its evaluation calls
    /// `task_id`.
    pub(crate) fn name_by(&self, variant: Variant) -> String {
        match variant {
            Variant::Paper => self.long_name(),
            Variant::Fixed => self.name.clone(),
        }
    }

    /// The name as the published loader changes it: number, sources and category.
    fn long_name(&self) -> String {
        if self.source.is_empty() {
            return self.name.clone();
        }
        let number = self.name.split('_').next().unwrap_or_default();
        let category = crate::metric::slug(self.category());
        format!("{number}_{}_{category}", self.source.join("_").to_lowercase())
    }
}

/// A task and its instances, from a file of its own.
pub(crate) fn read(path: &Path, config: &NiConfig) -> Result<(Task, Vec<Instance>)> {
    let mut value = deft_records::json_value(path)?;
    let wrong = |message: String| {
        Error::new(ErrorKind::Data, message).with_context("file", path.display()).with_hint(SCHEMA)
    };
    let Some(Value::Array(instances)) = value.get_mut("Instances").map(Value::take) else {
        return Err(wrong("the file has no list `Instances`: it is no task".to_owned()));
    };
    let task = checked(value, config, wrong)?;
    let instance = |(row, value): (u64, Value)| {
        parsed::<Instance>(value, |message| wrong(message).with_context("row", row))
    };
    let instances = (1..).zip(instances).map(instance).collect::<Result<_>>()?;
    Ok((Task { name: name(path), ..task }, instances))
}

/// A task and its one instance, from a row as the published loader gives it: the fields of a task,
/// and `Instance` in place of `Instances`.
pub(crate) fn of_row(record: &Record, config: &NiConfig) -> Result<(Task, Vec<Instance>)> {
    let wrong = |message: String| record.error(message).with_hint(SCHEMA);
    let Some(instance) = record.get("Instance") else {
        return Err(wrong("the row has no `Instance`".to_owned()));
    };
    let task = checked(Value::Object(record.fields().clone()), config, wrong)?;
    let instance = parsed(instance.clone(), wrong)?;
    Ok((task, vec![instance]))
}

/// A task that has what prompts need, and what the options ask for.
fn checked(
    mut value: Value,
    config: &NiConfig,
    wrong: impl Fn(String) -> Error + Copy,
) -> Result<Task> {
    let asked = [
        (CATEGORIES, "categories", !config.categories.is_empty()),
        (POSITIVE, "positive_examples", config.positive_examples > 0),
        (NEGATIVE, "negative_examples", config.negative_examples > 0),
    ];
    for (field, option, is_asked) in asked {
        if is_asked && value.get(field).is_none_or(Value::is_null) {
            let message = format!("the task has no `{field}`, which the option `{option}` needs");
            return Err(wrong(message).with_context("field", field));
        }
    }
    without_dashes(&mut value);
    let task: Task = parsed(value, wrong)?;
    if task.definition.first().is_none_or(|text| text.trim().is_empty()) {
        return Err(
            wrong("the task has no definition".to_owned()).with_context("field", DEFINITION)
        );
    }
    Ok(task)
}

/// Takes away `-` among a task's examples: so the benchmark writes that there are none.
fn without_dashes(task: &mut Value) {
    for field in [POSITIVE, NEGATIVE] {
        match task.get_mut(field) {
            Some(Value::Array(shown)) => shown.retain(|one| one.as_str() != Some("-")),
            Some(value) if value.as_str() == Some("-") => *value = Value::Null,
            _ => {}
        }
    }
}

/// A value in its type, or an error about its place, which also names the field.
fn parsed<T: DeserializeOwned>(value: Value, wrong: impl Fn(String) -> Error) -> Result<T> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let what = error.inner().to_string();
        let wrong = wrong(format!("the task is of another form: {what}"));
        // A missing field is named by the message, where the path ends with what lacks it.
        let missing = what.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
        match (error.path().to_string(), missing) {
            (root, None) if root == "." => wrong,
            (root, Some(missing)) if root == "." => wrong.with_context("field", missing),
            (path, Some(missing)) => wrong.with_context("field", format!("{path}.{missing}")),
            (path, None) => wrong.with_context("field", path),
        }
    })
}

/// The name of a task's file, without `.json` and what it is compressed by.
pub(crate) fn name(path: &Path) -> String {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    file.split_once(".json").map_or(file.as_ref(), |(name, _)| name).to_owned()
}

/// A list; null is none.
fn or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Shown>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A string, or a list of strings; null is none.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a string or a list of strings")]
    enum Texts {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Option::deserialize(deserializer)? {
        None => Vec::new(),
        Some(Texts::One(text)) => vec![text],
        Some(Texts::Many(texts)) => texts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read_json(name: &str, content: &Value) -> Result<(Task, Vec<Instance>)> {
        read_by(name, content, &NiConfig::default())
    }

    fn read_by(name: &str, content: &Value, config: &NiConfig) -> Result<(Task, Vec<Instance>)> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, content.to_string()).unwrap();
        read(&path, config)
    }

    #[test]
    fn a_task_has_the_name_of_its_file_and_lists_may_be_single_texts() {
        let content = json!({
            "Definition": "Do it.", "Categories": ["Text Matching", "x"], "Source": ["A", "b"],
            "Positive Examples": [{"input": "i", "output": "o", "explanation": "e", "more": 1}],
            "Instances": [{"id": "t-1", "input": "x", "output": "y"}, {"id": "", "input": "z"}],
        });
        let (task, instances) = read_json("task7_a_b.json", &content).unwrap();
        assert_eq!((task.name.as_str(), task.category()), ("task7_a_b", "Text Matching"));
        assert_eq!(task.long_name(), "task7_a_b_text_matching");
        assert_eq!((task.definition, task.positive.len()), (vec!["Do it.".to_owned()], 1));
        assert_eq!(instances[0].output, ["y"]);
        assert!(instances[1].output.is_empty() && instances[1].id.is_empty());
    }

    #[test]
    fn what_is_wrong_is_named_by_file_row_and_field() {
        let of = |instances: Value| {
            let content = json!({"Definition": "d", "Instances": instances});
            read_json("a.json", &content).unwrap_err()
        };
        let good = json!({"id": "i", "input": "x"});
        let error = of(json!([good, {"id": "i", "input": "x", "output": [1]}]));
        assert_eq!((error.context("row"), error.context("field")), (Some("2"), Some("output")));
        assert!(error.message().ends_with("expected a string or a list of strings"), "{error}");
        assert!(error.context("file").unwrap().ends_with("a.json"));
        for (lacking, field) in [(json!({"id": "i"}), "input"), (json!({"input": "x"}), "id")] {
            let error = of(json!([good, lacking]));
            let message = format!("the task is of another form: missing field `{field}`");
            assert_eq!(error.message(), message);
            assert_eq!((error.context("row"), error.context("field")), (Some("2"), Some(field)));
        }
        let error = read_json("a.json", &json!({"Instances": []})).unwrap_err();
        assert_eq!(error.message(), "the task is of another form: missing field `Definition`");
        let error = read_json("a.json", &json!([])).unwrap_err();
        assert_eq!(error.message(), "the file has no list `Instances`: it is no task");
    }

    #[test]
    fn a_task_with_an_empty_definition_is_refused() {
        for definition in [json!(null), json!([]), json!(""), json!([" "])] {
            let content = json!({"Definition": definition, "Instances": []});
            let error = read_json("a.json", &content).unwrap_err();
            assert_eq!(error.message(), "the task has no definition", "{definition}");
            assert_eq!(error.context("field"), Some("Definition"));
            assert!(error.context("file").unwrap().ends_with("a.json"));
        }
    }

    #[test]
    fn a_field_may_be_missing_unless_an_option_asks_for_it() {
        let content = json!({"Definition": "d", "Negative Examples": null, "Instances": []});
        assert!(read_json("a.json", &content).is_ok());
        let plain = NiConfig::default;
        for (config, field) in [
            (NiConfig { positive_examples: 1, ..plain() }, POSITIVE),
            (NiConfig { negative_examples: 1, ..plain() }, NEGATIVE),
            (NiConfig { categories: vec!["x".to_owned()], ..plain() }, CATEGORIES),
        ] {
            let error = read_by("a.json", &content, &config).unwrap_err();
            assert_eq!(error.context("field"), Some(field));
            assert!(error.message().contains(field), "{error}");
            assert!(error.context("file").unwrap().ends_with("a.json"));
        }
    }

    #[test]
    fn a_dash_stands_for_no_examples() {
        let shown = json!({"input": "i", "output": "o"});
        for (dash, count) in [(json!("-"), 0), (json!(["-"]), 0), (json!([shown, "-"]), 1)] {
            let content = json!({"Definition": "d", "Negative Examples": dash, "Instances": []});
            let config = NiConfig { negative_examples: 2, ..NiConfig::default() };
            let (task, _) = read_by("a.json", &content, &config).unwrap();
            assert_eq!(task.negative.len(), count);
        }
    }
}
