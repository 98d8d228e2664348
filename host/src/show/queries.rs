//! Queries to which nothing in the pool is near, as far as their hits tell.

use serde::{Deserialize, Serialize};

/// Queries with hits from which on scores are compared.
const ENOUGH: usize = 8;

/// How far below the first quartile a score is far, in distances between the quartiles.
const FENCE: f64 = 1.5;

/// The queries of an arm.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Queries {
    /// How many there are.
    pub queries: usize,
    /// The most hits that one of them has.
    pub most_hits: usize,
    /// The score below which a best hit counts as far, by the quartiles of all best scores (Tukey's
    /// fence): `first - 1.5 * (third - first)`, or `first * (first / third)^1.5`, the same of their
    /// logarithms, where the first quartile is above 0. Not told of fewer than eight queries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low_score: Option<f64>,
    /// Those without near neighbours, in the order of the file.
    pub without_near: Vec<FarQuery>,
}

/// A query without near neighbours.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FarQuery {
    /// Its position among the examples of its source, as in `hits.jsonl`.
    pub query: usize,
    /// Its hits.
    pub hits: usize,
    /// The score of the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best: Option<f64>,
    /// What tells.
    pub why: Why,
}

/// What tells that nothing is near to a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It has no hit at all.
    NoHits,
    /// It has fewer than half as many as the query with the most.
    FewHits,
    /// Its best score is far below those of the others.
    LowScore,
}

impl Why {
    /// In words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::NoHits => "no hits",
            Self::FewHits => "few hits",
            Self::LowScore => "low score",
        }
    }
}

/// A line of `hits.jsonl`, as far as it is looked at.
#[derive(Debug, Deserialize)]
pub(super) struct HitsLine {
    query: usize,
    /// The best first.
    scores: Vec<f64>,
}

/// What is kept of a query.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    query: usize,
    hits: usize,
    best: Option<f64>,
}

impl From<HitsLine> for Seen {
    fn from(line: HitsLine) -> Self {
        Self { query: line.query, hits: line.scores.len(), best: line.scores.first().copied() }
    }
}

/// The queries without near neighbours among those of an arm.
pub(super) fn judge(seen: &[Seen]) -> Queries {
    let most_hits = seen.iter().map(|one| one.hits).max().unwrap_or(0);
    let mut best: Vec<f64> = seen.iter().filter_map(|one| one.best).collect();
    let low_score = low_score(&mut best);
    let why = |one: &Seen| {
        let is_low = one.best.zip(low_score).is_some_and(|(best, low)| best < low);
        match one.hits {
            0 => Some(Why::NoHits),
            hits if 2 * hits < most_hits => Some(Why::FewHits),
            _ => is_low.then_some(Why::LowScore),
        }
    };
    let far = |one: &Seen| {
        let Seen { query, hits, best } = *one;
        why(one).map(|why| FarQuery { query, hits, best, why })
    };
    let without_near = seen.iter().filter_map(far).collect();
    Queries { queries: seen.len(), most_hits, low_score, without_near }
}

/// The score below which the best score of a query is far below the others.
///
/// Scores above 0 are compared by ratios. Those of `bm25` grow with the length of a query, so that
/// they are skewed, and lie as far apart as they are large: a bound by differences would be below 0,
/// which none of them can be.
fn low_score(best: &mut [f64]) -> Option<f64> {
    if best.len() < ENOUGH {
        return None;
    }
    best.sort_by(f64::total_cmp);
    let (first, third) = (quartile(best, 1), quartile(best, 3));
    let by_ratio = || first * (first / third).powf(FENCE);
    Some(if first > 0.0 { by_ratio() } else { first - FENCE * (third - first) })
}

/// A quartile of numbers in order, between two of them where it falls there.
fn quartile(sorted: &[f64], number: usize) -> f64 {
    let (place, part) = ((sorted.len() - 1) * number / 4, (sorted.len() - 1) * number % 4);
    let next = sorted.get(place + 1).unwrap_or(&sorted[place]);
    sorted[place] + (next - sorted[place]) * part as f64 / 4.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(hits: &[(usize, f64)]) -> Vec<Seen> {
        let one = |(query, &(hits, best)): (usize, &(usize, f64))| Seen {
            query,
            hits,
            best: (hits > 0).then_some(best),
        };
        hits.iter().enumerate().map(one).collect()
    }

    fn why(queries: &Queries) -> Vec<(usize, Why)> {
        queries.without_near.iter().map(|far| (far.query, far.why)).collect()
    }

    #[test]
    fn queries_without_hits_with_few_and_with_low_scores_are_told() {
        let mut hits: Vec<(usize, f64)> = (0..10).map(|i| (10, -f64::from(i))).collect();
        hits.extend([(0, 0.0), (4, 0.0), (5, 0.0), (10, -40.0)]);
        let found = judge(&seen(&hits));
        assert_eq!((found.queries, found.most_hits), (14, 10));
        assert_eq!(why(&found), [(10, Why::NoHits), (11, Why::FewHits), (13, Why::LowScore)]);
        assert_eq!(found.without_near[0].best, None);
    }

    #[test]
    fn quartiles_lie_between_numbers_and_few_queries_have_none() {
        let mut numbers = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        assert_eq!((quartile(&numbers, 1), quartile(&numbers, 3)), (2.75, 6.25));
        assert_eq!(low_score(&mut numbers.map(|number| -number)), Some(-6.25 - 1.5 * 3.5));
        assert_eq!(low_score(&mut numbers), Some(2.75 * (2.75_f64 / 6.25).powf(1.5)));
        let hits: Vec<(usize, f64)> = vec![(3, 1.0), (3, 1.0), (3, -1e9)];
        let found = judge(&seen(&hits));
        assert_eq!((found.low_score, why(&found)), (None, vec![]));
        assert_eq!(judge(&[]).queries, 0);
    }

    #[test]
    fn a_query_is_far_whether_scores_are_above_0_and_skewed_or_below_it() {
        // As of `bm25`: 12.0 is of a short query, 1.5 of one that shares a common word at most.
        let words = [12.0, 60.0, 15.0, 25.0, 1.5, 18.0, 45.0, 20.0, 38.0, 30.0];
        // Squared distances.
        let distances = [-0.9, -1.1, -0.7, -1.0, -4.0, -0.8, -1.3, -0.6, -1.2, 0.0];
        for best in [words, distances] {
            let found = judge(&seen(&best.map(|best| (10, best))));
            assert_eq!(why(&found), [(4, Why::LowScore)], "{:?}", found.low_score);
            let low = found.low_score.unwrap();
            assert_eq!(low > 0.0, best == words, "a bound that a score can be below: {low}");
        }
    }

    #[test]
    fn equal_scores_are_all_near() {
        for best in [2.0, 0.0, -2.0] {
            assert_eq!(why(&judge(&seen(&[(5, best); 20]))), []);
        }
    }
}
