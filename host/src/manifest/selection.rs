//! Which pool examples are trained on: an arm's `selection`.

use deft_core::schemars::JsonSchema;
use deft_core::{Error, Result};
use serde::{Deserialize, Serialize};

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
    /// `union`: the largest selection, by dropping the last hits of every query alike. `random`: the
    /// number of examples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
    /// Name of an arm. `random`: as many examples as that arm selects for the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_as: Option<String>,
    /// `union`: with so many of the queries (all, if there are fewer) it is measured how much of the
    /// nearest an approximate retriever finds, by comparing them with every example of the pool. 0
    /// measures nothing, and what is exact needs no measurement. Changes no hits of itself.
    #[serde(default = "default_recall_queries")]
    pub recall_queries: usize,
    /// `union`: the least share of the nearest, from 0 to 1, that is to be found, as a mean over the
    /// queries measured. Without it any will do.
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
            same_as: None,
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
    /// Examples drawn at random, without replacement.
    Random,
    /// The whole pool.
    All,
}

impl Selection {
    /// The recall below which every query is compared with every example; none where that is not
    /// wanted.
    pub fn scanned_below(&self) -> Option<f64> {
        self.min_recall.filter(|_| self.below_min_recall == BelowMinRecall::Exact)
    }

    pub(super) fn check(&self) -> Result<()> {
        let at = Error::option_at;
        match self.policy {
            Policy::Union => {
                for (name, value) in [("queries", self.queries), ("neighbors", self.neighbors)] {
                    if value == 0 {
                        return Err(at(name, "must be at least 1"));
                    }
                }
                if self.same_as.is_some() {
                    return Err(at("same_as", "is for policy `random`; `union` takes `size`"));
                }
                return self.check_recall();
            }
            Policy::Random | Policy::All if self.min_recall.is_some() => {
                return Err(at("min_recall", "is for policy `union`: no other searches the pool"));
            }
            Policy::Random if self.size.is_some() == self.same_as.is_some() => {
                return Err(at("policy", "`random` needs either `size` or `same_as`"));
            }
            Policy::All if self.size.is_some() || self.same_as.is_some() => {
                return Err(at("policy", "`all` takes neither `size` nor `same_as`"));
            }
            Policy::Random | Policy::All => {}
        }
        Ok(())
    }

    fn check_recall(&self) -> Result<()> {
        let Some(least) = self.min_recall else {
            if self.below_min_recall == BelowMinRecall::Refuse {
                return Ok(());
            }
            return Err(Error::option_at("below_min_recall", "needs `min_recall`")
                .with_hint("say how much is to be found: `min_recall: 0.95`"));
        };
        if !(0.0..=1.0).contains(&least) {
            let message = format!("must be from 0 to 1 (min_recall: {least})");
            let error = Error::option_at("min_recall", message);
            return Err(error.with_hint("it is a share: 0.95 for 95 %"));
        }
        if self.recall_queries == 0 {
            return Err(Error::option_at("min_recall", "needs `recall_queries` of at least 1")
                .with_hint("without queries to measure with, nobody knows what is found"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{HEAD, load};

    #[test]
    fn what_is_said_of_recall_is_checked_with_its_place() {
        let refused = |options: &str, place: &str, message: &str| {
            let text = format!("{HEAD}selection: {{ {options} }}\n");
            let error = load(&text).unwrap_err();
            let column = text.lines().last().unwrap().find(place).unwrap() + 1;
            let at = error.context("at").unwrap();
            assert!(at.ends_with(&format!("m.yaml:7:{column}")), "{error} for {options}");
            assert!(error.message().contains(message), "{error} for {options}");
            error
        };
        for value in ["1.01", "-0.5", "95"] {
            refused(&format!("min_recall: {value}"), "min_recall", "must be from 0 to 1");
        }
        refused("below_min_recall: exact", "below_min", "needs `min_recall`");
        refused("min_recall: 1, recall_queries: 0", "min_recall", "`recall_queries`");
        refused("policy: all, min_recall: 0.9", "min_recall", "is for policy `union`");
        let misspelt = refused("below_min_recall: exat", "below_min", "unknown value `exat`");
        assert!(misspelt.hint().unwrap().starts_with("did you mean `exact`?"), "{misspelt}");
        let misspelt = refused("recall_querys: 3", "recall_querys", "unknown option");
        assert!(misspelt.hint().unwrap().starts_with("did you mean `recall_queries`?"));
        for options in ["min_recall: 0", "min_recall: 1.0, below_min_recall: exact", "queries: 3"] {
            let (manifest, _) = load(&format!("{HEAD}selection: {{ {options} }}\n")).unwrap();
            // What a run writes down can be read again.
            let written = serde_yaml::to_string(&manifest).unwrap();
            assert_eq!(load(&written).unwrap().0.selection, manifest.selection);
        }
    }
}
