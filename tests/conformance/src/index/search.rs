//! Checks of what a search finds.

use deft_core::{ErrorKind, Hit, Hits, Matrix};

use super::built::Built;
use super::{IndexChecks, K};
use crate::data::{self, Random};
use crate::report::{Unmet, Verdict, ensure, skip_unless};
use crate::services::{at_once, must_stop};

pub(super) fn recall(it: &IndexChecks) -> Verdict {
    let (built, queries) = (Built::new(it, it.rows())?, it.queries());
    let found = built.search(built.open("index")?.as_ref(), &queries, K, 2)?;
    let (mut hit, mut wanted) = (0, 0);
    for (query, found) in queries.chunks_exact(it.dimension).zip(&found) {
        let last = built.scan(query)[K - 1].score;
        // Between two rows at nearly the same distance rounding may choose.
        let truth = |hit: &Hit| built.score(query, row(hit));
        hit += found.iter().map(truth).filter(|&score| score > last || near(score, last)).count();
        wanted += K;
    }
    let share = f64::from(u32::try_from(hit).unwrap_or(0)) / wanted as f64;
    ensure!(share >= it.recall, "{share:.3} of the nearest {K} were found; wanted {}", it.recall);
    Ok(())
}

fn row(hit: &Hit) -> usize {
    usize::try_from(hit.id).unwrap_or(usize::MAX)
}

fn near(a: f32, b: f32) -> bool {
    (a - b).abs() <= 1e-4 * (1.0 + a.abs().max(b.abs()))
}

pub(super) fn scores(it: &IndexChecks) -> Verdict {
    let (built, queries) = (Built::new(it, it.rows())?, it.queries());
    let (info, wanted) = (built.factory.info(), it.metric.in_core());
    ensure!(info.metric == wanted, "it says that its scores are {}, not {wanted}", info.metric);
    ensure!(it.is_exact() || !info.exact, "it says that it is exact, and may miss rows");
    let found = built.search(built.open("index")?.as_ref(), &queries, K, 2)?;
    for (query, found) in queries.chunks_exact(it.dimension).zip(&found) {
        ensure!(!found.is_empty(), "a query has no hit at all");
        for hit in found {
            let wanted = built.score(query, row(hit));
            // An index that is not exact may estimate; its estimates must still be on that scale.
            let apart = (hit.score - wanted).abs() / (1.0 + wanted.abs());
            let is_right = near(hit.score, wanted) || !it.is_exact() && apart <= 0.5;
            ensure!(is_right, "row {} has the score {}, should be {wanted}", hit.id, hit.score);
        }
    }
    Ok(())
}

/// Rows of which the others are copies, where ties are looked at.
const DISTINCT: usize = 60;

pub(super) fn ties(it: &IndexChecks) -> Verdict {
    skip_unless!(it.is_exact(), "ties are promised by exact indexes alone");
    let distinct = data::vectors(DISTINCT, it.dimension, 13);
    let rows: Vec<f32> = distinct.iter().copied().cycle().take(it.rows * it.dimension).collect();
    let (built, queries) = (Built::new(it, rows)?, it.queries());
    let index = built.open("index")?;
    // Each row is there often: each of these cuts goes through a group of equals.
    for k in [3, it.rows / DISTINCT + 2] {
        let found = built.search(index.as_ref(), &queries, k, 3)?;
        for (query, found) in queries.chunks_exact(it.dimension).zip(&found) {
            let ids = |hits: &[Hit]| hits.iter().map(|hit| hit.id).collect::<Vec<_>>();
            let (found, wanted) = (ids(found), ids(&built.scan(query)[..k]));
            ensure!(found == wanted, "rows {found:?} were found, should be {wanted:?}");
        }
    }
    Ok(())
}

pub(super) fn k_beyond(it: &IndexChecks) -> Verdict {
    let (built, queries) = (Built::new(it, it.rows())?, it.queries());
    let index = built.open("index")?;
    let few = built.search(index.as_ref(), &queries, K, 2)?;
    let all = built.search(index.as_ref(), &queries, it.rows + 50, 2)?;
    for (few, all) in few.iter().zip(&all) {
        let least = (it.recall * it.rows as f64).floor();
        ensure!(all.len() as f64 >= least, "{} hits of {} rows", all.len(), it.rows);
        let is_start = !it.is_exact() || few[..] == all[..few.len()];
        ensure!(is_start, "the first hits are others with a larger `k`: {few:?}");
    }
    Ok(())
}

pub(super) fn queries(it: &IndexChecks) -> Verdict {
    let (built, queries) = (Built::new(it, it.rows())?, it.queries());
    let index = built.open("index")?;
    let together = built.search(index.as_ref(), &queries, K, 1)?;
    let rows: Vec<&[f32]> = queries.chunks_exact(it.dimension).collect();
    for (query, wanted) in rows.iter().zip(&together) {
        let alone = built.search(index.as_ref(), query, K, 1)?;
        ensure!(same(&alone[0], wanted), "alone {:?}, among others {wanted:?}", alone[0]);
    }
    let order = Random::new(14).order(rows.len());
    let shuffled: Vec<f32> = order.iter().flat_map(|&place| rows[place]).copied().collect();
    let found = built.search(index.as_ref(), &shuffled, K, 1)?;
    for (found, &place) in found.iter().zip(&order) {
        let wanted = &together[place];
        ensure!(same(found, wanted), "in another order {found:?}, before {wanted:?}");
    }
    Ok(())
}

/// The same rows, with scores that differ by rounding at most.
fn same(a: &[Hit], b: &[Hit]) -> bool {
    let pairs = || a.iter().zip(b);
    a.len() == b.len() && pairs().all(|(a, b)| a.id == b.id && near(a.score, b.score))
}

pub(super) fn threads(it: &IndexChecks) -> Verdict {
    let (built, queries) = (Built::new(it, it.rows())?, it.queries());
    let index = built.open("index")?;
    let one = built.search(index.as_ref(), &queries, K, 1)?;
    for threads in [2, 3, 8] {
        let found = built.search(index.as_ref(), &queries, K, threads)?;
        ensure!(found == one, "other hits with {threads} threads than with one");
    }
    Ok(())
}

pub(super) fn concurrent(it: &IndexChecks) -> Verdict {
    let (built, queries) = (Built::new(it, it.rows())?, it.queries());
    let index = built.open("index")?;
    let wanted = built.search(index.as_ref(), &queries, K, 1)?;
    for found in at_once(4, |_| built.search(index.as_ref(), &queries, K, 1)) {
        ensure!(found? == wanted, "a search beside others found other hits than alone");
    }
    Ok(())
}

pub(super) fn no_queries(it: &IndexChecks) -> Verdict {
    let built = Built::new(it, it.rows())?;
    let index = built.open("index")?;
    built.search(index.as_ref(), &[], K, 2)?;
    let found = built.search(index.as_ref(), &it.queries(), 0, 2)?;
    ensure!(found.iter().all(Vec::is_empty), "a `k` of 0 gave hits");
    Ok(())
}

pub(super) fn one_vector(it: &IndexChecks) -> Verdict {
    let built = match Built::new(it, data::vectors(1, it.dimension, 15)) {
        Err(error) if error.kind() == ErrorKind::Data && Built::trains(it)? => {
            return Err(Unmet::Skipped(format!("it cannot learn from one row: {error}")));
        }
        built => built?,
    };
    let index = built.open("index")?;
    for found in built.search(index.as_ref(), &it.queries(), K, 2)? {
        let ids: Vec<u64> = found.iter().map(|hit| hit.id).collect();
        ensure!(ids == [0], "the one row should be the only hit, found rows {ids:?}");
    }
    Ok(())
}

pub(super) fn duplicates(it: &IndexChecks) -> Verdict {
    // A graph, for one, hangs few of them together.
    skip_unless!(it.is_exact(), "an index that misses some may miss most of many equal rows");
    let one = data::vectors(1, it.dimension, 16);
    let rows: Vec<f32> = one.iter().copied().cycle().take(it.rows * it.dimension).collect();
    let built = Built::new(it, rows)?;
    let found = built.search(built.open("index")?.as_ref(), &one, it.rows, 2)?;
    let least = (it.recall * it.rows as f64).floor();
    ensure!(found[0].len() as f64 >= least, "{} of {} equal rows", found[0].len(), it.rows);
    let scores = found[0].iter().map(|hit| hit.score);
    let (low, high) = scores.fold((f32::MAX, f32::MIN), |(l, h), x| (l.min(x), h.max(x)));
    ensure!(low == high, "equal rows have scores from {low} to {high}");
    Ok(())
}

pub(super) fn cancelled(it: &IndexChecks) -> Verdict {
    let (built, queries) = (Built::new(it, it.rows())?, it.queries());
    let index = built.open("index")?;
    let queries = Matrix::new(&queries, it.dimension)?;
    [1, 2].iter().try_for_each(|&threads| {
        let mut hits = Hits::new(queries.rows(), K);
        must_stop("`search`", threads, |ctx| index.search(ctx, queries, hits.as_mut()))
    })
}
