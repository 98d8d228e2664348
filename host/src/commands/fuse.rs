//! `deft fuse`: runs of several retrievers become one, as the retriever `fusion` fuses hits.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use deft_core::{Error, Result};
use deft_fuse::{Method, Normalize, Rule};
use indexmap::IndexSet;

use super::print;
use crate::trec::{TrecRun, compare_ids};

/// Arguments of `deft fuse`.
#[derive(Debug, Args)]
pub struct FuseArgs {
    /// A run in the form of TREC: lines of `qid Q0 docid rank score tag`, compressed where the name
    /// ends in `.gz` or `.zst`; give several
    #[arg(long = "run", value_name = "FILE", required = true)]
    runs: Vec<PathBuf>,
    /// What of a hit counts: its ranks, or its scores
    #[arg(long, value_enum, default_value_t)]
    method: MethodName,
    /// What `reciprocal_rank` adds to each rank, 0 to 1000000 [default: 60]
    #[arg(long, allow_negative_numbers = true)]
    constant: Option<f64>,
    /// A weight for each run, with commas between, 0 to 1000000 [default: 1 each]
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true)]
    weights: Option<Vec<f64>>,
    /// What `weighted_sum` does to the scores of each run and query first [default: `min_max`]
    #[arg(long, value_enum)]
    normalize: Option<NormalizeName>,
    /// Hits of each run and query that are fused [default: all]
    #[arg(long, allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..))]
    depth: Option<u32>,
    /// Hits of each query that are written [default: all]
    #[arg(
        short,
        long,
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    k: Option<u32>,
    /// The last field of each line
    #[arg(long, default_value = "deft-fuse")]
    tag: String,
}

/// The methods by the names that manifests have for them.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
#[value(rename_all = "snake_case")]
enum MethodName {
    #[default]
    ReciprocalRank,
    WeightedSum,
}

/// Normalizations by the names that manifests have for them.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum NormalizeName {
    MinMax,
    ZScore,
    None,
}

impl FuseArgs {
    fn rule(&self) -> Result<Rule> {
        let method = match self.method {
            MethodName::ReciprocalRank => Method::ReciprocalRank,
            MethodName::WeightedSum => Method::WeightedSum,
        };
        let normalize = self.normalize.map(|name| match name {
            NormalizeName::MinMax => Normalize::MinMax,
            NormalizeName::ZScore => Normalize::ZScore,
            NormalizeName::None => Normalize::None,
        });
        let rule = Rule::new(method, self.constant, self.weights.clone(), normalize)?;
        rule.check_count(self.runs.len())?;
        Ok(rule)
    }
}

pub(super) fn fuse(args: &FuseArgs) -> Result<()> {
    let rule = args.rule()?;
    if args.tag.is_empty() || args.tag.contains(char::is_whitespace) {
        return Err(Error::option_at("--tag", "it must be one word")
            .with_context("tag", deft_core::excerpt(&args.tag)));
    }
    let runs: Vec<TrecRun> =
        args.runs.iter().map(|path| TrecRun::read(path)).collect::<Result<_>>()?;
    let most = |limit: Option<u32>| limit.map_or(usize::MAX, |limit| limit as usize);
    let mut text = String::new();
    for query in runs.iter().flat_map(TrecRun::queries).collect::<IndexSet<_>>() {
        let cut = |mut hits: Vec<_>| {
            hits.truncate(most(args.depth));
            hits
        };
        let lists: Vec<Vec<(&str, f64)>> = runs.iter().map(|run| cut(run.hits(query))).collect();
        for ((id, score), rank) in ranked(&rule, &lists).iter().take(most(args.k)).zip(1..) {
            let _ = writeln!(text, "{query} Q0 {id} {rank} {score} {}", args.tag);
        }
    }
    print(&text)
}

/// The fused list of a query in the order that `fusion` gives it: scores of 32 bits, ties by docid.
#[expect(clippy::cast_possible_truncation, reason = "a hit's score has 32 bits")]
fn ranked<'a>(rule: &Rule, lists: &[Vec<(&'a str, f64)>]) -> Vec<(&'a str, f32)> {
    let fused = rule.fuse(lists).into_iter();
    let mut fused: Vec<(&str, f32)> = fused.map(|(id, score)| (id, score as f32)).collect();
    fused.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| compare_ids(a.0, b.0)));
    fused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fused_hits_are_best_first_and_ties_go_to_the_smaller_docid() {
        let lists = [vec![("10", 3.0), ("9", 2.0), ("b", 1.0)], vec![("9", 0.2), ("10", 0.1)]];
        let ids = |rule: &Rule| -> Vec<&str> {
            ranked(rule, &lists).into_iter().map(|hit| hit.0).collect()
        };
        assert_eq!(ids(&Rule::default()), ["9", "10", "b"], "9 and 10 tie");
        let weighted = Rule { weights: Some(vec![2.0, 1.0]), ..Rule::default() };
        assert_eq!(ids(&weighted), ["10", "9", "b"]);
    }
}
