//! The manifest: what a run is made of.
//!
//! [`Document`] knows the text (YAML, positions, variables, overrides); [`Manifest`] is what it
//! means. [`Document::locate`] turns an error's option path into file, line and column.

mod check;
mod contamination;
mod document;
mod either;
mod mix;
mod outline;
mod pool_source;
mod selection;
mod selection_check;
mod shape;
mod source;
mod tasks;
#[cfg(test)]
mod testing;
mod variables;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use deft_core::Result;
use deft_core::schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

pub use contamination::{ContaminationAction, ContaminationCheck};
pub use document::Document;
pub use mix::{MixPart, NamedPart, OwnPart, PartSource};
pub(crate) use pool_source::NamedSource;
pub use pool_source::{EntrySource, SourceList};
pub use selection::{BelowMinRecall, Duplicates, Policy, Selection};
pub use source::{End, Generator, SourcePart, TaskSource};
pub use tasks::TaskList;

/// A whole manifest.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "deft_core::schemars")]
pub struct Manifest {
    /// Form of the manifest: 1.
    #[schemars(range(min = 1, max = 1))]
    pub version: u32,
    /// Name of the run; its results go to the folder of this name in `runs`, beside the manifest.
    pub name: String,
    /// What a reader of the results should know; printed below the table. Changes nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Seed of everything random but training: the draw of queries, policies `random`, `balanced` and
    /// `coreset`, bootstrap intervals, a component's own draws.
    #[serde(default)]
    pub seed: u64,
    /// Plugins to load: names on the search path; a text with a `/` is a path.
    pub plugins: Vec<String>,
    /// Folder of pool, vectors and indexes; runs share it.
    #[serde(default = "default_store")]
    pub store: PathBuf,
    /// Pool rows of each part. Another value makes another pool.
    #[schemars(range(min = 1))]
    #[serde(default = "default_rows_per_part")]
    pub rows_per_part: usize,
    /// Sources of the pool, at least one; ids run in this order.
    pub pool: Vec<PoolSource>,
    /// The retriever, where an arm has none of its own.
    #[serde(default)]
    #[schemars(schema_with = "retriever_schema")]
    pub retriever: Option<Block>,
    /// The selection, where an arm has none of its own.
    #[serde(default)]
    pub selection: Selection,
    /// The trainer, where an arm has none of its own; without one a run ends with its selections.
    #[serde(default)]
    #[schemars(schema_with = "trainer_schema")]
    pub trainer: Option<Block>,
    /// The target tasks.
    pub tasks: Vec<Task>,
    /// Seeds of training: each arm is trained once with each.
    #[serde(default = "default_seeds")]
    pub seeds: Vec<u64>,
    /// The arms that are compared, in the order of the report.
    #[serde(default = "default_arms")]
    #[schemars(with = "BTreeMap<String, Arm>")]
    pub arms: IndexMap<String, Arm>,
}

fn reader_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "$ref": "#/$defs/reader" })
}

fn retriever_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "$ref": "#/$defs/retriever" })
}

fn trainer_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "$ref": "#/$defs/trainer" })
}

fn default_store() -> PathBuf {
    PathBuf::from("runs/.store")
}

fn default_rows_per_part() -> usize {
    100_000
}

fn default_seeds() -> Vec<u64> {
    vec![1]
}

fn default_arms() -> IndexMap<String, Arm> {
    IndexMap::from([("retrieved".to_owned(), Arm::default())])
}

/// One source of the pool.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "deft_core::schemars")]
pub struct PoolSource {
    /// Reads the source.
    #[schemars(schema_with = "reader_schema")]
    pub reader: Block,
    /// File, folder or glob, here or in a data set of the Hugging Face Hub
    /// (`hf://datasets/ORG/NAME@REVISION/PATH`), or a map that names a list of such.
    pub source: EntrySource,
    /// Take only the first so many examples of this entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// A target task.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "deft_core::schemars")]
pub struct Task {
    /// A folder below the run; no two tasks share one.
    pub name: String,
    /// Reads the task's sources and has the metric.
    #[schemars(schema_with = "reader_schema")]
    pub reader: Block,
    /// Reads `query_source` in its place, where queries have another prompt than what is evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "reader_schema")]
    pub query_reader: Option<Block>,
    /// File, folder or glob with inputs that the pool is searched with, here or in a data set of the
    /// Hugging Face Hub (`hf://datasets/…`), or a map that takes a part of one. Labels in it are not
    /// used. Required where an arm's policy searches the pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_source: Option<TaskSource>,
    /// The same with labelled examples of the task itself, for arms that `train_on` them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training_source: Option<TaskSource>,
    /// The same with labelled examples that a training is watched with; none of them is trained
    /// on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_source: Option<TaskSource>,
    /// The same with labelled examples. Without it the task ends with its models, and selections are
    /// compared with nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation_source: Option<TaskSource>,
    /// Whether the pool may be searched with examples that are evaluated on: otherwise the two
    /// sources must have none in common.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub evaluate_on_queries: bool,
    /// Data sets of the pool (`*` and `?` allowed) that are known to be related to the task: the
    /// report tells their share of each selection. Changes nothing else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<String>,
}

/// One way to a training set.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "deft_core::schemars")]
pub struct Arm {
    /// Instead of the manifest's retriever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "retriever_schema")]
    pub retriever: Option<Block>,
    /// Instead of the manifest's selection, as a whole: keys left out have their own defaults, not
    /// the manifest's values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection: Option<Selection>,
    /// Instead of the manifest's trainer. `none`: nothing is selected and nothing trained; what is
    /// evaluated is the model as the manifest's trainer finds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "trainer_schema")]
    pub trainer: Option<Block>,
    /// What is trained on: parts that are mixed evenly, each `selection` (the arm's own selection),
    /// `task` (the task's own `training_source`) or a map. Without it, the arm's own selection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_on: Option<Vec<MixPart>>,
}

/// A component as a manifest names it: `use`, options and children, or a bare name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Block {
    /// The component's name.
    #[serde(rename = "use")]
    pub component: String,
    /// Everything beside `use`.
    #[serde(flatten)]
    pub options: Map<String, Value>,
}

impl Block {
    /// A component without options.
    pub fn named(component: &str) -> Self {
        Self { component: component.to_owned(), options: Map::new() }
    }

    /// Whether this is the word `none` where a trainer could be.
    pub fn is_none(&self) -> bool {
        self.component == "none"
    }
}

impl<'de> Deserialize<'de> for Block {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        match Value::deserialize(deserializer)? {
            Value::String(component) => Ok(Self::named(&component)),
            Value::Object(mut options) => match options.remove("use") {
                Some(Value::String(component)) => Ok(Self { component, options }),
                Some(_) => Err(D::Error::custom("`use` must be the name of a component")),
                None => Err(D::Error::missing_field("use")),
            },
            _ => Err(D::Error::custom("expected a component: its name, or a map with `use`")),
        }
    }
}

impl Task {
    /// Its sources by the key that names them.
    pub fn sources(&self) -> impl Iterator<Item = (&'static str, &TaskSource)> {
        [
            ("query_source", &self.query_source),
            ("training_source", &self.training_source),
            ("validation_source", &self.validation_source),
            ("evaluation_source", &self.evaluation_source),
        ]
        .into_iter()
        .filter_map(|(key, source)| Some((key, source.as_ref()?)))
    }

    /// The patterns of its related data sets.
    ///
    /// # Errors
    ///
    /// [`deft_core::ErrorKind::Options`] for one that is none, within the task.
    pub fn related_patterns(&self) -> Result<Vec<glob::Pattern>> {
        let pattern = |(i, text): (usize, &String)| {
            glob::Pattern::new(text).map_err(|error| {
                let message = format!("`{text}` is no pattern: {error}");
                deft_core::Error::option_at(format!("related[{i}]"), message)
            })
        };
        self.related.iter().enumerate().map(pattern).collect()
    }
}

impl Manifest {
    /// Reads and checks a manifest, with `overrides` like `retriever.index.ef_search=512`.
    ///
    /// # Errors
    ///
    /// [`deft_core::ErrorKind::Options`] with file, line and column; the first thing wrong.
    pub fn load(path: &Path, overrides: &[String]) -> Result<(Self, Document)> {
        let document = Document::read(path, overrides)?;
        let manifest = shape::check(document.value())
            .and_then(|()| deft_core::options::parse(document.value()))
            .and_then(|manifest: Self| {
                manifest.check()?;
                Ok(manifest)
            })
            .map_err(|error| document.locate(error))?;
        Ok((manifest, document))
    }

    /// An arm's selection: its own, or the manifest's.
    pub fn selection_of(&self, arm: &str) -> &Selection {
        self.arms[arm].selection.as_ref().unwrap_or(&self.selection)
    }

    /// The path of an arm's selection in the manifest.
    pub fn selection_path(&self, arm: &str) -> String {
        match self.arms[arm].selection {
            Some(_) => format!("arms.{arm}.selection"),
            None => "selection".to_owned(),
        }
    }

    /// An arm's retriever with its path in the manifest: its own, or the manifest's.
    pub fn retriever_of(&self, arm: &str) -> Option<(&Block, String)> {
        match &self.arms[arm].retriever {
            Some(block) => Some((block, format!("arms.{arm}.retriever"))),
            None => Some((self.retriever.as_ref()?, "retriever".to_owned())),
        }
    }

    /// An arm's trainer with its path: its own, or the manifest's. `none` is kept.
    pub fn trainer_of(&self, arm: &str) -> Option<(&Block, String)> {
        match &self.arms[arm].trainer {
            Some(block) => Some((block, format!("arms.{arm}.trainer"))),
            None => Some((self.trainer.as_ref()?, "trainer".to_owned())),
        }
    }
}
