//! The manifest: what a run is made of.
//!
//! [`Document`] knows the text (YAML, positions, variables, overrides); [`Manifest`] is what it
//! means. [`Document::locate`] turns an error's option path into file, line and column.

mod check;
mod document;
mod outline;
mod variables;

use std::path::{Path, PathBuf};

use deft_core::Result;
use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

pub use document::Document;

/// A whole manifest.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the manifest's form: 1.
    pub version: u32,
    /// Name of the run: its results go to `runs/<name>`.
    pub name: String,
    /// What a reader of the results should know; printed with them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Seed of everything random but training.
    #[serde(default)]
    pub seed: u64,
    /// Plugins to load: names on the search path, or paths.
    pub plugins: Vec<String>,
    /// The store's folder.
    #[serde(default = "default_store")]
    pub store: PathBuf,
    /// Pool rows of each part.
    #[serde(default = "default_rows_per_part")]
    pub rows_per_part: usize,
    /// The pool's sources; ids run in this order.
    pub pool: Vec<PoolSource>,
    /// The retriever, where an arm has none of its own.
    #[serde(default)]
    pub retriever: Option<Block>,
    /// The selection, where an arm has none of its own.
    #[serde(default)]
    pub selection: Selection,
    /// The trainer, where an arm has none of its own; without one a run ends with its selections.
    #[serde(default)]
    pub trainer: Option<Block>,
    /// The target tasks.
    pub tasks: Vec<Task>,
    /// Seeds of training: each arm is trained once with each.
    #[serde(default = "default_seeds")]
    pub seeds: Vec<u64>,
    /// The arms that are compared, in the order of the report.
    #[serde(default = "default_arms")]
    pub arms: IndexMap<String, Arm>,
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
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolSource {
    /// How it is read.
    pub reader: Block,
    /// File, folder or glob.
    pub source: String,
    /// Take only this many of its first examples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// A target task.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// The task's name: a folder below the run.
    pub name: String,
    /// How its sources are read, and its metric.
    pub reader: Block,
    /// Where the query inputs are: file, folder or glob. Labels are not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_source: Option<String>,
    /// Where the evaluation examples are; without it the task ends with its model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation_source: Option<String>,
    /// Data sets of the pool (`*` and `?` allowed) that are known to be related to the task: the
    /// report tells their share of each selection. Changes nothing else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<String>,
}

/// One way to a training set.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    /// Instead of the manifest's retriever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retriever: Option<Block>,
    /// Instead of the manifest's selection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection: Option<Selection>,
    /// Instead of the manifest's trainer; `none` evaluates the model as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trainer: Option<Block>,
}

/// Which pool examples are trained on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// The rule.
    #[serde(default)]
    pub policy: Policy,
    /// At most so many query inputs are searched: the first of a seeded shuffle.
    #[serde(default = "default_queries")]
    pub queries: usize,
    /// Hits for each query.
    #[serde(default = "default_neighbors")]
    pub neighbors: usize,
    /// `random`: how many examples. `union`: at most so many, by dropping the last hits of every
    /// query alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
    /// `random`: as many as this arm selects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_as: Option<String>,
}

fn default_queries() -> usize {
    1000
}

fn default_neighbors() -> usize {
    500
}

impl Default for Selection {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            queries: default_queries(),
            neighbors: default_neighbors(),
            size: None,
            same_as: None,
        }
    }
}

/// The rule of a selection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Every example that is a hit of some query: the paper's.
    #[default]
    Union,
    /// Examples drawn at random, without replacement.
    Random,
    /// The whole pool.
    All,
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

impl Manifest {
    /// Reads and checks a manifest, with `overrides` like `retriever.index.ef_search=512`.
    ///
    /// # Errors
    ///
    /// [`deft_core::ErrorKind::Options`] with file, line and column; the first thing wrong.
    pub fn load(path: &Path, overrides: &[String]) -> Result<(Self, Document)> {
        let document = Document::read(path, overrides)?;
        let manifest = deft_core::options::parse(document.value())
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
