//! Which pool examples are trained on: an arm's `selection`.

use deft_core::schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::contamination::{ContaminationCheck, word_or_map_schema};
use super::either::text_or_map;
use crate::console::whole_number;

/// Which pool examples are trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(crate = "deft_core::schemars")]
pub struct Selection {
    /// The rule.
    #[serde(default)]
    pub policy: Policy,
    /// At most so many inputs of the task are searched with: the first of a seeded shuffle.
    #[schemars(range(min = 1))]
    #[serde(default = "default_queries")]
    pub queries: usize,
    /// Hits for each query; no more than the pool has examples.
    #[schemars(range(min = 1))]
    #[serde(default = "default_neighbors")]
    pub neighbors: usize,
    /// The number of examples. `union`: the largest selection, by dropping the last hits of every
    /// query alike.
    #[schemars(range(min = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
    /// The number of examples as a share of the pool, above 0 and at most 1; rounded down, and at
    /// least one.
    #[schemars(range(max = 1), extend("exclusiveMinimum" = 0))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// Not for `union`: examples are taken until their targets together have so many words,
    /// separated by white space. The last may go beyond.
    #[schemars(range(min = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_words: Option<usize>,
    /// Not for `union`: name of an arm; as many examples as that arm selects for the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_as: Option<String>,
    /// `ids`: a file with one id on each line, or a `selection.jsonl` of this pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids: Option<String>,
    /// The most examples of one data set; the next ones of others take the place of more.
    #[schemars(range(min = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_per_dataset: Option<usize>,
    /// What is done with an example whose input was taken before.
    #[serde(default)]
    pub duplicates: Duplicates,
    /// What is done with examples that contain an input of the task's `evaluation_source`: `drop`,
    /// `keep` or `fail`, or a map with this `action` and how it is found out.
    #[schemars(schema_with = "word_or_map_schema")]
    #[serde(default, deserialize_with = "text_or_map")]
    pub contamination: ContaminationCheck,
    /// Where the pool is searched: with so many of the queries (all, if there are fewer) it is
    /// measured how much of the nearest an approximate retriever finds, by comparing them with every
    /// example of the pool. 0 measures nothing, and what is exact needs no measurement. Changes no
    /// hits of itself.
    #[serde(default = "default_recall_queries")]
    pub recall_queries: usize,
    /// Where the pool is searched: the least share of the nearest, from 0 to 1, that is to be found,
    /// as a mean over the queries measured. Without it any will do.
    #[schemars(range(min = 0, max = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_recall: Option<f64>,
    /// What is done where less than `min_recall` is found.
    #[serde(default)]
    pub below_min_recall: BelowMinRecall,
}

/// What is done where a search finds too little.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(crate = "deft_core::schemars")]
pub enum BelowMinRecall {
    /// The run ends before anything is selected; what was built stays.
    #[default]
    Refuse,
    /// Every query is compared with every example of the pool, and those hits are used.
    Exact,
}

/// What is done with an example whose input was taken before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(crate = "deft_core::schemars")]
pub enum Duplicates {
    /// It is taken, too.
    #[default]
    Keep,
    /// It is left out where the inputs are equal but for case and white space.
    Exact,
    /// It is left out, too, where the inputs are nearly the same: one example under several prompts.
    Near,
}

fn default_queries() -> usize {
    1000
}

fn default_neighbors() -> usize {
    500
}

fn default_recall_queries() -> usize {
    32
}

impl Default for Selection {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            queries: default_queries(),
            neighbors: default_neighbors(),
            size: None,
            share: None,
            target_words: None,
            same_as: None,
            ids: None,
            max_per_dataset: None,
            duplicates: Duplicates::default(),
            contamination: ContaminationCheck::default(),
            recall_queries: default_recall_queries(),
            min_recall: None,
            below_min_recall: BelowMinRecall::default(),
        }
    }
}

/// The rule of a selection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(crate = "deft_core::schemars")]
pub enum Policy {
    /// Every example that is a hit of some query: the paper's.
    #[default]
    Union,
    /// In turn, each query gives its next best hit that is not taken yet.
    RoundRobin,
    /// The examples that are hits of the most queries.
    Frequency,
    /// The examples with the best scores.
    TopScore,
    /// Hits that are far from each other: k-means++ over the vectors.
    Coreset,
    /// Examples drawn at random, without replacement.
    Random,
    /// Drawn at random: a data set, one of its templates, one of its examples.
    Balanced,
    /// The whole pool.
    All,
    /// The examples of a list.
    Ids,
}

impl Policy {
    /// The word for it in a manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::Union => "union",
            Self::RoundRobin => "round_robin",
            Self::Frequency => "frequency",
            Self::TopScore => "top_score",
            Self::Coreset => "coreset",
            Self::Random => "random",
            Self::Balanced => "balanced",
            Self::All => "all",
            Self::Ids => "ids",
        }
    }

    /// Whether it chooses among hits: the pool is searched for it.
    pub fn needs_hits(self) -> bool {
        match self {
            Self::Union | Self::RoundRobin | Self::Frequency | Self::TopScore | Self::Coreset => {
                true
            }
            Self::Random | Self::Balanced | Self::All | Self::Ids => false,
        }
    }
}

impl Selection {
    /// The recall below which every query is compared with every example; none where that is not
    /// wanted.
    pub fn scanned_below(&self) -> Option<f64> {
        self.min_recall.filter(|_| self.below_min_recall == BelowMinRecall::Exact)
    }

    /// Examples that are wanted of a pool of so many, where it is said by `size` or `share`.
    pub fn examples(&self, rows: usize) -> Option<usize> {
        // 29 % of 100 are 29, though 0.29 is a little less.
        let share_of = |share: f64| whole_number((share * rows as f64 + 1e-9).floor());
        let share = self.share.map(share_of);
        self.size.or(share.map(|count| usize::try_from(count).unwrap_or(usize::MAX).max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_pool_is_rounded_down_and_never_nothing() {
        let of = |share: f64, rows| {
            Selection { share: Some(share), ..Selection::default() }.examples(rows)
        };
        assert_eq!(of(0.02, 10_000), Some(200));
        assert_eq!(of(0.29, 100), Some(29));
        assert_eq!(of(0.029, 100), Some(2));
        assert_eq!(of(0.001, 100), Some(1));
        assert_eq!(Selection::default().examples(100), None);
        let sized = Selection { size: Some(7), ..Selection::default() };
        assert_eq!(sized.examples(5), Some(7), "that there are fewer is seen where they are taken");
    }

    #[test]
    fn a_policy_has_the_name_that_a_manifest_gives_it() {
        for policy in [
            Policy::Union,
            Policy::RoundRobin,
            Policy::Frequency,
            Policy::TopScore,
            Policy::Coreset,
            Policy::Random,
            Policy::Balanced,
            Policy::All,
            Policy::Ids,
        ] {
            assert_eq!(serde_json::to_value(policy).unwrap(), policy.name());
        }
    }
}
