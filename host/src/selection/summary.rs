//! What a selection is, in short: `selection.json`.

use std::collections::BTreeMap;

use deft_core::{Example, Provenance};
use serde::{Deserialize, Serialize};

use super::take::words_of;

/// A selection in short.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SelectionSummary {
    /// Fingerprint of the pool that it was selected from.
    #[serde(default)]
    pub pool: String,
    /// The rule.
    pub policy: String,
    /// How much was asked for, as the manifest says it; nothing where all is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<String>,
    /// Examples selected.
    pub size: usize,
    /// Words of their targets, separated by white space.
    pub target_words: u64,
    /// Examples that were left out, by reason.
    pub dropped: Dropped,
    /// How it was compared with the task's evaluation inputs; nothing where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contamination: Option<ContaminationSummary>,
    /// Examples by data set, and by template within it.
    pub mix: Mix,
}

impl SelectionSummary {
    /// Counts an example of the selection for what is told of all.
    pub fn count(&mut self, example: &Example) {
        self.target_words += words_of(example);
        let Provenance { dataset, template } = &example.provenance;
        let templates = self.mix.entry(dataset.clone()).or_default();
        *templates.entry(template.clone()).or_default() += 1;
    }
}

/// Examples by data set, and by template within it.
pub type Mix = BTreeMap<String, BTreeMap<String, usize>>;

/// Examples that were left out, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Their data set had given its share (`max_per_dataset`).
    pub cap: usize,
    /// Their input was taken before.
    pub exact_duplicate: usize,
    /// An input that is nearly the same was taken before.
    pub near_duplicate: usize,
    /// They contain an evaluation input of the task.
    pub contaminated: usize,
}

/// How a selection was compared with the task's evaluation inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContaminationSummary {
    /// What was done with examples that contain one.
    pub action: String,
    /// Words of the runs that were compared.
    pub ngram: usize,
    /// The share of an evaluation input's runs from which on an example counts.
    pub threshold: f64,
    /// Evaluation inputs compared with.
    pub evaluation_inputs: usize,
    /// Those of them that have too few words of their own to be compared with.
    pub too_short: usize,
    /// Examples found; each has a line in `contamination.jsonl`.
    pub found: usize,
}
