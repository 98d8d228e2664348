//! How lists become one, as a user says it.

use std::hash::Hash;

use deft_core::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Normalize, reciprocal_rank, weighted_sum};

/// The largest constant and the largest weight: sums stay within what a hit's score can be.
const MOST: f64 = 1e6;

/// What of a hit counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Its rank in each list.
    #[default]
    ReciprocalRank,
    /// Its score in each list.
    WeightedSum,
}

/// How lists become one.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// What of a hit counts.
    pub method: Method,
    /// What [`reciprocal_rank`] adds to each rank, 0 to 1,000,000.
    pub constant: f64,
    /// A weight for each list, 0 to 1,000,000 and not all 0; without them each counts 1.
    pub weights: Option<Vec<f64>>,
    /// What [`weighted_sum`] does to the scores of a list.
    pub normalize: Normalize,
}

impl Default for Rule {
    fn default() -> Self {
        let (method, normalize) = (Method::default(), Normalize::default());
        Self { method, constant: Self::CONSTANT, weights: None, normalize }
    }
}

impl Rule {
    /// The constant that Cormack, Clarke and Büttcher found to do well, and that others use since.
    pub const CONSTANT: f64 = 60.0;

    /// A rule of what a user says; what is left out has its default.
    ///
    /// # Errors
    ///
    /// [`deft_core::ErrorKind::Options`] at `constant`, `weights`, `weights[i]` or `normalize`: for a
    /// value that cannot be, and for an option of the other method, which nothing would read.
    pub fn new(
        method: Method,
        constant: Option<f64>,
        weights: Option<Vec<f64>>,
        normalize: Option<Normalize>,
    ) -> Result<Self> {
        match method {
            Method::ReciprocalRank if normalize.is_some() => {
                return Err(of_the_other("normalize", "weighted_sum", "reciprocal_rank"));
            }
            Method::WeightedSum if constant.is_some() => {
                return Err(of_the_other("constant", "reciprocal_rank", "weighted_sum"));
            }
            _ => {}
        }
        let (constant, normalize) =
            (constant.unwrap_or(Self::CONSTANT), normalize.unwrap_or_default());
        let rule = Self { method, constant, weights, normalize };
        rule.check()?;
        Ok(rule)
    }

    /// Checks the constant and each weight.
    fn check(&self) -> Result<()> {
        check_range("constant", "`constant`", self.constant)?;
        let Some(weights) = &self.weights else { return Ok(()) };
        for (i, weight) in weights.iter().enumerate() {
            check_range(&format!("weights[{i}]"), "a weight", *weight)?;
        }
        if !weights.is_empty() && weights.iter().all(|weight| *weight == 0.0) {
            let message = format!("one of `weights` must be above 0 (weights: {weights:?})");
            return Err(
                Error::option_at("weights", message).with_hint("what has weight 0 does not count")
            );
        }
        Ok(())
    }

    /// Checks that there is a weight for each of so many lists.
    ///
    /// # Errors
    ///
    /// [`deft_core::ErrorKind::Options`] at `weights`.
    pub fn check_count(&self, lists: usize) -> Result<()> {
        match &self.weights {
            Some(weights) if weights.len() != lists => {
                let message = format!(
                    "`weights` must have one for each list (weights: {}, lists: {lists})",
                    weights.len()
                );
                Err(Error::option_at("weights", message)
                    .with_hint("they stand in the order of the lists; left out, each counts 1"))
            }
            _ => Ok(()),
        }
    }

    /// Fuses the lists of one query: each best first, with no id twice. The result is in no order.
    pub fn fuse<I: Copy + Eq + Hash>(&self, lists: &[Vec<(I, f64)>]) -> Vec<(I, f64)> {
        let weights = self.weights.clone().unwrap_or_else(|| vec![1.0; lists.len()]);
        match self.method {
            Method::ReciprocalRank => reciprocal_rank(lists, &weights, self.constant),
            Method::WeightedSum => weighted_sum(lists, &weights, self.normalize),
        }
    }
}

/// An option that the method chosen does not have.
fn of_the_other(option: &str, has_it: &str, chosen: &str) -> Error {
    let message = format!("`{option}` has no effect with the method `{chosen}`: `{has_it}` has it");
    Error::option_at(option, message)
        .with_hint(format!("leave it out, or choose the method `{has_it}`"))
}

fn check_range(path: &str, what: &str, value: f64) -> Result<()> {
    if (0.0..=MOST).contains(&value) {
        return Ok(());
    }
    let message = format!("{what} must be from 0 to {MOST} ({path}: {value})");
    Err(Error::option_at(path, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_weights(weights: &[f64]) -> Rule {
        Rule { weights: Some(weights.to_vec()), ..Rule::default() }
    }

    #[test]
    fn weights_and_constant_that_cannot_be_are_named() {
        for (rule, option) in [
            (with_weights(&[1.0, -0.5]), "weights[1]"),
            (with_weights(&[f64::NAN]), "weights[0]"),
            (with_weights(&[f64::INFINITY]), "weights[0]"),
            (with_weights(&[0.0, 0.0]), "weights"),
            (Rule { constant: -1.0, ..Rule::default() }, "constant"),
        ] {
            let error = rule.check().expect_err(option);
            assert_eq!(error.option(), Some(option), "{error}");
        }
        with_weights(&[0.0, 2.5]).check().expect("one counts");
        Rule { constant: 0.0, ..Rule::default() }.check().expect("the smallest");
    }

    #[test]
    fn an_option_of_the_other_method_is_refused_with_the_method_that_has_it() {
        let (ranks, scores) = (Method::ReciprocalRank, Method::WeightedSum);
        let constant = Rule::new(scores, Some(60.0), None, None).expect_err("it looks at scores");
        let normalize = Some(Normalize::MinMax);
        let normalize = Rule::new(ranks, None, None, normalize).expect_err("it looks at ranks");
        for (error, option, has_it) in
            [(constant, "constant", "reciprocal_rank"), (normalize, "normalize", "weighted_sum")]
        {
            assert_eq!(error.option(), Some(option), "the default, too, if it is given");
            assert!(error.message().contains(&format!("`{has_it}` has it")), "{error}");
            assert!(error.hint().is_some_and(|hint| hint.contains(has_it)), "{error}");
        }
        assert_eq!(Rule::new(ranks, None, None, None).expect("the defaults"), Rule::default());
        let rule = Rule::new(scores, None, None, Some(Normalize::ZScore)).expect("its own");
        assert_eq!(rule.normalize, Normalize::ZScore);
        let negative = Rule::new(ranks, Some(-1.0), None, None).expect_err("values are checked");
        assert_eq!(negative.option(), Some("constant"));
    }

    #[test]
    fn there_is_a_weight_for_each_list_or_none_at_all() {
        for wrong in [&[1.0][..], &[1.0, 1.0, 1.0], &[]] {
            let error = with_weights(wrong).check_count(2).expect_err("two lists");
            assert_eq!(error.option(), Some("weights"));
            assert!(error.message().contains(&format!("weights: {}, lists: 2", wrong.len())));
        }
        with_weights(&[1.0, 2.0]).check_count(2).expect("they fit");
        Rule::default().check_count(7).expect("each counts 1");
    }

    #[test]
    fn a_rule_without_weights_is_one_with_equal_ones() {
        let lists = [vec![(7, 9.0), (3, 8.0)], vec![(3, 0.2), (5, 0.1)]];
        for method in [Method::ReciprocalRank, Method::WeightedSum] {
            let plain = Rule { method, ..Rule::default() };
            let equal = Rule { weights: Some(vec![1.0, 1.0]), ..plain.clone() };
            assert_eq!(plain.fuse(&lists), equal.fuse(&lists));
        }
        let ranks = Rule::default().fuse(&lists);
        assert_eq!(ranks, reciprocal_rank(&lists, &[1.0, 1.0], 60.0));
    }

    #[test]
    fn names_are_those_of_the_manifest() {
        let name = |value: serde_json::Value| value.as_str().map(str::to_owned);
        let methods = [Method::ReciprocalRank, Method::WeightedSum];
        let found = methods.map(|method| name(serde_json::json!(method)).expect("a name"));
        assert_eq!(found, ["reciprocal_rank", "weighted_sum"]);
        let all = [Normalize::MinMax, Normalize::ZScore, Normalize::None];
        let found = all.map(|one| name(serde_json::json!(one)).expect("a name"));
        assert_eq!(found, ["min_max", "z_score", "none"]);
    }
}
