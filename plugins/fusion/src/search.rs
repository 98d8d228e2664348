//! Queries in, fused hits out.

use deft_core::prelude::*;
use deft_core::{Hit, Hits};
use deft_fuse::{Method, Rule};

use crate::member::Member;

/// Queries that every child searches with before their hits are fused: bounds the memory of these.
const CHUNK: usize = 1024;

/// A pool open for search by all children.
pub(crate) struct FusedSearcher {
    pub(crate) rule: Rule,
    /// Hits that each child is asked for; none for as many as are wanted.
    pub(crate) depth: Option<usize>,
    pub(crate) members: Vec<(Member, Box<dyn Searcher>)>,
    /// Length of the pool.
    pub(crate) examples: usize,
}

impl FusedSearcher {
    /// The hits of every child, one after the other: each may use all threads.
    fn search(&self, ctx: &Context<'_>, queries: &[&str], depth: usize) -> Result<Vec<Hits>> {
        let mut found = Vec::with_capacity(self.members.len());
        for (member, searcher) in &self.members {
            ctx.check()?;
            let mut hits = Hits::new(queries.len(), depth);
            member.blame(searcher.retrieve(&ctx.quiet(), queries, hits.as_mut()))?;
            found.push(hits);
        }
        Ok(found)
    }

    /// The hits of one query, of all children.
    fn fuse(&self, found: &[Hits], query: usize) -> Result<Vec<Hit>> {
        let mut lists = Vec::with_capacity(found.len());
        for (hits, (member, _)) in found.iter().zip(&self.members) {
            if self.rule.method == Method::WeightedSum {
                member.blame(check_finite(hits, query))?;
            }
            let scored = hits.of_query(query).map(|hit| (hit.id, f64::from(hit.score)));
            lists.push(scored.collect::<Vec<_>>());
        }
        Ok(self.rule.fuse(&lists).into_iter().map(as_hit).collect())
    }
}

/// What is infinite has no place between the least and the largest score.
fn check_finite(hits: &Hits, query: usize) -> Result<()> {
    match hits.of_query(query).find(|hit| !hit.score.is_finite()) {
        None => Ok(()),
        Some(hit) => {
            Err(Error::new(ErrorKind::Data, "a score that is not finite cannot be summed")
                .with_context("score", hit.score)
                .with_context("id", hit.id)
                .with_hint("`method: reciprocal_rank` looks at ranks alone"))
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a hit's score has 32 bits")]
fn as_hit((id, score): (u64, f64)) -> Hit {
    Hit { id, score: score as f32 }
}

impl Searcher for FusedSearcher {
    fn retrieve(&self, ctx: &Context<'_>, queries: &[&str], mut hits: HitsMut<'_>) -> Result<()> {
        let depth = self.depth.unwrap_or(hits.k()).min(self.examples);
        for (first, chunk) in (0..).step_by(CHUNK).zip(queries.chunks(CHUNK)) {
            let found = self.search(ctx, chunk, depth)?;
            for query in 0..chunk.len() {
                hits.set(first + query, &mut self.fuse(&found, query)?);
            }
            ctx.progress(first + chunk.len(), queries.len(), "queries");
        }
        Ok(())
    }

    /// Nothing is missed where no child misses anything. What a fusion of others misses does not follow
    /// from what each of them does, and nobody knows it.
    fn judge(
        &self,
        ctx: &Context<'_>,
        _queries: &[&str],
        _found: HitsMut<'_>,
        _nearest: HitsMut<'_>,
    ) -> Result<Judgement> {
        for (member, searcher) in &self.members {
            // Asked about no query, a child has nothing to compare, and says all the same what it is.
            let (mut found, mut nearest) = (Hits::new(0, 1), Hits::new(0, 1));
            let judged = searcher.judge(ctx, &[], found.as_mut(), nearest.as_mut());
            if member.blame(judged)? != Judgement::Exact {
                return Ok(Judgement::Unknown);
            }
        }
        Ok(Judgement::Exact)
    }
}

#[cfg(test)]
mod tests {
    use deft_fuse::Normalize;

    use super::*;
    use crate::config::FusionConfig;
    use crate::testing::{Fixed, retrieve, searcher_of, try_retrieve};

    fn dense() -> Fixed {
        Fixed { hits: vec![(7, -1.0), (3, -2.0), (5, -5.0)], ..Fixed::named("dense") }
    }

    fn bm25() -> Fixed {
        Fixed { hits: vec![(3, 12.0), (9, 8.0)], ..Fixed::named("bm25") }
    }

    fn ids(hits: &[Hit]) -> Vec<u64> {
        hits.iter().map(|hit| hit.id).collect()
    }

    #[test]
    fn ranks_are_summed_and_ties_go_to_the_smaller_id() {
        let found = retrieve(vec![dense(), bm25()], FusionConfig::default(), 10);
        // 3 is second and first; 9 is second, 7 first, 5 third.
        assert_eq!(ids(&found), [3, 7, 9, 5]);
        let wanted = [1.0 / 62.0 + 1.0 / 61.0, 1.0 / 61.0, 1.0 / 62.0, 1.0 / 63.0];
        for (hit, wanted) in found.iter().zip(wanted) {
            assert!((f64::from(hit.score) - wanted).abs() < 1e-8, "{hit:?}");
        }
        let turned = Fixed { hits: vec![(9, 2.0), (4, 1.0)], ..Fixed::named("other") };
        let same = Fixed { hits: vec![(4, 8.0), (9, 7.0)], ..Fixed::named("another") };
        assert_eq!(ids(&retrieve(vec![turned, same], FusionConfig::default(), 10)), [4, 9]);
    }

    #[test]
    fn scores_are_summed_once_each_list_is_normalized() {
        let config = FusionConfig { method: Method::WeightedSum, ..FusionConfig::default() };
        let found = retrieve(vec![dense(), bm25()], config.clone(), 10);
        // Of the first list 1, 3/4 and 0; of the second 1 and 0.
        let wanted = [(3, 1.75), (7, 1.0), (5, 0.0), (9, 0.0)];
        assert_eq!(found.iter().map(|hit| (hit.id, hit.score)).collect::<Vec<_>>(), wanted);
        let weights = Some(vec![0.0, 2.0]);
        let plain = FusionConfig { weights, normalize: Some(Normalize::None), ..config };
        let found = retrieve(vec![dense(), bm25()], plain, 10);
        let wanted = [(3, 24.0), (9, 16.0)];
        assert_eq!(found.iter().map(|hit| (hit.id, hit.score)).collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn each_child_is_asked_for_as_many_hits_as_are_wanted_or_for_the_depth() {
        let with_depth = |depth, k| {
            let config = FusionConfig { depth, ..FusionConfig::default() };
            ids(&retrieve(vec![dense(), bm25()], config, k))
        };
        assert_eq!(with_depth(None, 1), [3], "7 and 3 tie, each first in one list");
        assert_eq!(with_depth(Some(2), 1), [3]);
        assert_eq!(with_depth(Some(1), 10), [3, 7], "fewer hits than wanted");
        assert_eq!(with_depth(Some(usize::MAX), 10), [3, 7, 9, 5], "no more than there are");
        assert!(with_depth(None, 0).is_empty());
    }

    #[test]
    fn queries_beyond_a_chunk_have_the_same_hits() {
        let texts = vec!["a"; CHUNK + 3];
        let found = try_retrieve(vec![dense(), bm25()], FusionConfig::default(), &texts, 10)
            .expect("found");
        assert_eq!(found.len(), CHUNK + 3);
        assert!(found.iter().all(|hits| *hits == found[0]));
    }

    #[test]
    fn a_child_that_fails_in_a_search_is_named() {
        let failing = Fixed { fails_in: "retrieve", ..bm25() };
        let error = try_retrieve(vec![dense(), failing], FusionConfig::default(), &["a"], 3)
            .expect_err("it fails");
        assert_eq!(error.context("child"), Some("retrievers[1] (bm25)"));
    }

    #[test]
    fn a_score_that_is_not_finite_is_ranked_and_not_summed() {
        let endless = || Fixed { hits: vec![(1, f32::INFINITY), (2, 0.0)], ..Fixed::named("odd") };
        let ranked = retrieve(vec![dense(), endless()], FusionConfig::default(), 10);
        assert_eq!(ranked.len(), 5);
        let config = FusionConfig { method: Method::WeightedSum, ..FusionConfig::default() };
        let error =
            try_retrieve(vec![dense(), endless()], config, &["a"], 3).expect_err("infinite");
        assert_eq!(error.context("child"), Some("retrievers[1] (odd)"));
        assert_eq!((error.context("score"), error.context("id")), (Some("inf"), Some("1")));
    }

    #[test]
    fn nothing_is_missed_where_no_child_misses_anything() {
        let judged = |members: Vec<Fixed>| {
            let searcher = searcher_of(members, FusionConfig::default()).expect("opened");
            let ctx = Context::new(&deft_core::NoServices, 0, 1);
            let (mut found, mut nearest) = (Hits::new(1, 3), Hits::new(1, 3));
            searcher.judge(&ctx, &["a"], found.as_mut(), nearest.as_mut()).expect("judged")
        };
        let exact = |fixed: Fixed| Fixed { judgement: Judgement::Exact, ..fixed };
        assert_eq!(judged(vec![exact(dense()), exact(bm25())]), Judgement::Exact);
        assert_eq!(judged(vec![exact(dense()), bm25()]), Judgement::Unknown);
        let compared = Judgement::Compared { truth: "vectors".to_owned() };
        let approximate = Fixed { judgement: compared, ..dense() };
        assert_eq!(judged(vec![approximate, exact(bm25())]), Judgement::Unknown);
    }
}
