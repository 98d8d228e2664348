//! Checks of what a search finds.

use deft_core::Hit;

use super::prepared::{Found, Prepared, create, pool, pool_of, retrieve};
use super::{K, RetrieverChecks};
use crate::data::{Random, odd_texts, texts};
use crate::report::{Verdict, ensure, skip_unless};
use crate::services;

/// Searches a pool of 230 examples.
fn searched(it: &RetrieverChecks, queries: &[String], k: usize) -> Verdict<Found> {
    with_searcher(it, |searcher| Ok(retrieve(searcher, queries, k, 2)?))
}

pub(super) fn with_searcher<T>(
    it: &RetrieverChecks,
    search: impl FnOnce(&dyn deft_core::Searcher) -> Verdict<T>,
) -> Verdict<T> {
    let (retriever, pool) = (create(it)?, pool());
    let prepared = Prepared::new(retriever.as_ref(), &pool)?;
    search(prepared.open(retriever.as_ref())?.as_ref())
}

pub(super) fn finds(it: &RetrieverChecks) -> Verdict {
    let own: Vec<String> = pool().into_iter().map(|example| example.input).collect();
    let found = searched(it, &own, K)?;
    let finds = |(row, hits): &(usize, &Vec<Hit>)| hits.iter().any(|hit| hit.id == *row as u64);
    let share = found.iter().enumerate().filter(finds).count() as f64 / own.len() as f64;
    ensure!(share >= it.finds, "{share:.3} of the pool's texts do; wanted {}", it.finds);
    Ok(())
}

pub(super) fn hits(it: &RetrieverChecks) -> Verdict {
    // The boundary refuses hits that are no hits: out of order, out of range, twice, no numbers.
    let found = searched(it, &texts(60, 26), K)?;
    let some = found.iter().filter(|hits| !hits.is_empty()).count();
    ensure!(some > 0, "not one of {} queries has a hit", found.len());
    Ok(())
}

/// Times that each text is in the pool, where ties are looked at.
const COPIES: usize = 18;

pub(super) fn ties(it: &RetrieverChecks) -> Verdict {
    skip_unless!(it.is_exact, "it is approximate");
    // Each text is in every part of the pool, so that parts tie with each other.
    let distinct = texts(12, 27);
    let all = distinct.iter().cycle().take(12 * COPIES).cloned().collect();
    let (retriever, pool) = (create(it)?, pool_of(all));
    let prepared = Prepared::new(retriever.as_ref(), &pool)?;
    let searcher = prepared.open(retriever.as_ref())?;
    let found = retrieve(searcher.as_ref(), &distinct, K, 2)?;
    for (row, hits) in found.iter().enumerate() {
        let best = hits.first().map(|hit| usize::try_from(hit.id).unwrap_or(usize::MAX));
        // More examples tie than are asked for: the ten smallest ids of one text.
        let first = best.unwrap_or(row) % 12;
        let ids: Vec<_> = hits.iter().map(|hit| hit.id).collect();
        let wanted: Vec<_> = (0..K).map(|copy| (first + 12 * copy) as u64).collect();
        ensure!(ids == wanted, "examples {ids:?} were found, should be {wanted:?}");
    }
    Ok(())
}

pub(super) fn queries(it: &RetrieverChecks) -> Verdict {
    let queries = texts(40, 28);
    with_searcher(it, |searcher| {
        let together = retrieve(searcher, &queries, K, 1)?;
        for (query, wanted) in queries.iter().zip(&together) {
            let alone = retrieve(searcher, &[query], K, 1)?;
            ensure!(same(&alone[0], wanted), "alone {:?}, among others {wanted:?}", alone[0]);
        }
        let order = Random::new(28).order(queries.len());
        let shuffled: Vec<_> = order.iter().map(|&place| &queries[place]).collect();
        for (found, &place) in retrieve(searcher, &shuffled, K, 1)?.iter().zip(&order) {
            let wanted = &together[place];
            ensure!(same(found, wanted), "in another order {found:?}, before {wanted:?}");
        }
        Ok(())
    })
}

/// The same hits, up to the rounding that an encoder may have.
pub(super) fn same(a: &[Hit], b: &[Hit]) -> bool {
    let near = |(a, b): (&Hit, &Hit)| {
        let apart = (a.score - b.score).abs();
        apart <= 1e-4 * (1.0 + a.score.abs()) && (a.id == b.id || apart > 0.0)
    };
    a.len() == b.len() && a.iter().zip(b).all(near)
}

pub(super) fn odd_queries(it: &RetrieverChecks) -> Verdict {
    with_searcher(it, |searcher| {
        retrieve(searcher, &odd_texts(), K, 2)?;
        let none: [&str; 0] = [];
        retrieve(searcher, &none, K, 2)?;
        retrieve(searcher, &["soup"], 0, 2)?;
        Ok(())
    })
}

pub(super) fn k_beyond(it: &RetrieverChecks) -> Verdict {
    let queries = texts(20, 29);
    let (few, all) = (searched(it, &queries, K)?, searched(it, &queries, 10_000)?);
    for (few, all) in few.iter().zip(&all) {
        ensure!(all.len() >= few.len(), "{} hits, with a smaller `k` {}", all.len(), few.len());
        let is_start = !it.is_exact || few[..] == all[..few.len()];
        ensure!(is_start, "the first hits are others with a larger `k`: {few:?}");
    }
    Ok(())
}

pub(super) fn threads(it: &RetrieverChecks) -> Verdict {
    let queries = texts(60, 30);
    with_searcher(it, |searcher| {
        let one = retrieve(searcher, &queries, K, 1)?;
        for threads in [2, 3, 8] {
            let found = retrieve(searcher, &queries, K, threads)?;
            ensure!(found == one, "other hits with {threads} threads than with one");
        }
        Ok(())
    })
}

pub(super) fn concurrent(it: &RetrieverChecks) -> Verdict {
    let queries = texts(30, 31);
    with_searcher(it, |searcher| {
        let wanted = retrieve(searcher, &queries, K, 1)?;
        for found in services::at_once(4, |_| retrieve(searcher, &queries, K, 1)) {
            ensure!(found? == wanted, "a search beside others found other hits than alone");
        }
        Ok(())
    })
}
