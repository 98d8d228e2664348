//! Checks of what a retriever says of its own hits.

use deft_core::{Hit, Judgement};

use super::prepared::{Judged, judge, retrieve};
use super::search::{same, with_searcher};
use super::{K, RetrieverChecks};
use crate::data::texts;
use crate::report::{Unmet, Verdict, ensure, skip_unless};

const UNKNOWN: &str = "it does not say what it misses";

pub(super) fn judged(it: &RetrieverChecks) -> Verdict {
    let queries = texts(25, 32);
    with_searcher(it, |searcher| {
        let found = retrieve(searcher, &queries, K, 2)?;
        let judged = judge(searcher, &queries, &found, K, 2)?;
        match &judged.judgement {
            Judgement::Compared { truth } => ensure!(!truth.is_empty(), "of what is not said"),
            Judgement::Exact => {
                ensure!(it.is_exact, "it says that it misses nothing, and is approximate");
                return Ok(());
            }
            Judgement::Unknown => return Err(Unmet::Skipped(UNKNOWN.to_owned())),
        }
        for (found, nearest) in judged.found.iter().zip(&judged.nearest) {
            check_lists(it, found, nearest)?;
        }
        // The nearest are themselves hits, and those that nothing is missed in.
        let again = judge(searcher, &queries, &judged.nearest, K, 2)?;
        let is_same = again.found == judged.nearest && again.nearest == judged.nearest;
        ensure!(is_same, "the nearest, judged in their turn, have other scores or are others");
        Ok(())
    })
}

/// Checks the hits of one query at their true scores, and the nearest of all.
fn check_lists(it: &RetrieverChecks, found: &[Hit], nearest: &[Hit]) -> Verdict {
    ensure!(found.len() <= nearest.len(), "{} hits, {} nearest", found.len(), nearest.len());
    for (hit, best) in found.iter().zip(nearest) {
        ensure!(hit.score <= best.score, "{hit:?} is nearer than {best:?}, which is the nearest");
    }
    for hit in found {
        let other = nearest.iter().find(|near| near.id == hit.id && near.score != hit.score);
        ensure!(other.is_none(), "one example with two true scores: {hit:?}, {other:?}");
    }
    let Some(last) = nearest.last().filter(|_| it.is_exact) else { return Ok(()) };
    // Scores that a search computes otherwise may round otherwise.
    let limit = last.score - 1e-4 * (1.0 + last.score.abs());
    let missed = found.iter().find(|hit| hit.score < limit);
    ensure!(missed.is_none() && found.len() == nearest.len(), "exact, and it found {missed:?}");
    Ok(())
}

pub(super) fn alone(it: &RetrieverChecks) -> Verdict {
    let queries = texts(12, 33);
    with_searcher(it, |searcher| {
        let found = retrieve(searcher, &queries, K, 1)?;
        let together = judge(searcher, &queries, &found, K, 1)?;
        skip_unless!(together.judgement != Judgement::Unknown, UNKNOWN);
        if together.judgement == Judgement::Exact {
            return Ok(());
        }
        for threads in [2, 8] {
            let other = judge(searcher, &queries, &found, K, threads)?;
            ensure!(equal(&other, &together), "another judgement with {threads} threads");
        }
        for (query, found) in found.iter().enumerate() {
            let (one, found) = (&queries[query..=query], vec![found.clone()]);
            let alone = judge(searcher, one, &found, K, 1)?;
            let is_same = same(&alone.found[0], &together.found[query])
                && same(&alone.nearest[0], &together.nearest[query]);
            ensure!(is_same, "another judgement alone than among other queries: {query}");
        }
        Ok(())
    })
}

fn equal(a: &Judged, b: &Judged) -> bool {
    a.judgement == b.judgement && a.found == b.found && a.nearest == b.nearest
}
