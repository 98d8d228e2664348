//! Examples: the records that are searched, trained on and evaluated.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Result;

/// One training or evaluation record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// The rendered prompt: what is encoded, searched and given to the model.
    pub input: String,
    /// The wanted output; `None` for an unlabelled example.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The answers to choose from; empty where the task is free generation.
    #[serde(default, rename = "answer_choices", skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// Position of the right answer in `options`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gold: Option<usize>,
    /// Where the example comes from.
    #[serde(flatten)]
    pub provenance: Provenance,
    /// Whatever else a reader knows; a metric may need it (a query id, say).
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
}

/// Where an example comes from, as far as its source says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The data set (`super_glue`, `amazon_polarity`); empty if unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub dataset: String,
    /// The prompt template within the data set; empty if unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub template: String,
}

/// Examples that can be had by position: a pool, a selection, an evaluation set.
///
/// - Positions run from 0 to `len() - 1` and always mean the same example.
/// - `get` may be called from several threads at once.
/// - Asking for neighbouring positions in one call is cheap; the whole need not fit in memory.
pub trait Examples: Send + Sync {
    /// Number of examples.
    fn len(&self) -> usize;

    /// The examples at these positions, in the order asked for.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::Io`] or [`crate::ErrorKind::Data`] when stored examples cannot be read,
    /// [`crate::ErrorKind::Unexpected`] when a position is out of range.
    fn get(&self, positions: &[usize]) -> Result<Vec<Example>>;

    /// The inputs alone of the examples at these positions: all that an encoder or a text index
    /// needs, and a column by itself where examples are stored.
    ///
    /// # Errors
    ///
    /// Those of [`Examples::get`].
    fn inputs(&self, positions: &[usize]) -> Result<Vec<String>> {
        Ok(self.get(positions)?.into_iter().map(|example| example.input).collect())
    }

    /// Whether there is no example at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Examples for Vec<Example> {
    fn len(&self) -> usize {
        self.as_slice().len()
    }

    fn get(&self, positions: &[usize]) -> Result<Vec<Example>> {
        let at = |&position: &usize| {
            self.as_slice().get(position).cloned().ok_or_else(|| {
                crate::Error::new(crate::ErrorKind::Unexpected, "no example at this position")
                    .with_context("position", position)
                    .with_context("examples", self.as_slice().len())
            })
        };
        positions.iter().map(at).collect()
    }
}
