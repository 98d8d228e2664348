//! Candidates put in their true order, by the stored vectors.
//!
//! Queries of one batch share many candidates, and neighbours in the pool lie side by side on disk:
//! candidates are looked at in the order of their rows, each row being read once for all queries.

use deft_core::Hit;
use deft_core::prelude::*;
use deft_scan::{Scan, score};
use rayon::prelude::*;

/// Rows that are read at once: 8 MiB at 2,048 components, for each thread.
const ROWS: u64 = 1024;
/// Rows between two candidates that are read along: cheaper than another read.
const GAP: u64 = 16;

/// Rows for each candidate from which on counting the candidates of every row takes longer than
/// sorting them.
const SPARSE: usize = 16;

/// A candidate of a query.
#[derive(Debug, Clone, Copy, Default)]
struct Pair {
    row: u64,
    query: u32,
    score: f32,
}

/// The best `k` candidates of each query by their true scores, best first.
pub(crate) fn rerank(
    ctx: &Context<'_>,
    vectors: &Scan,
    queries: Matrix<'_>,
    candidates: Vec<Vec<Hit>>,
    k: usize,
) -> Result<Vec<Vec<Hit>>> {
    let mut pairs = in_order_of_rows(&candidates, vectors.len());
    let work = |run: &mut [Pair]| score_run(ctx, vectors, queries, run);
    let runs: Vec<&mut [Pair]> = pairs.chunk_by_mut(together).flat_map(bounded).collect();
    let mut ranked: Vec<Vec<Hit>> = candidates;
    if ctx.threads() == 1 {
        runs.into_iter().try_for_each(work)?;
        hand_out(&pairs, &mut ranked);
        for hits in &mut ranked {
            keep_best(hits, k);
        }
    } else {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(ctx.threads())
            .build()
            .or_error(ErrorKind::Unexpected, "cannot start the threads of the search")?;
        pool.install(|| runs.into_par_iter().try_for_each(work))?;
        hand_out(&pairs, &mut ranked);
        pool.install(|| ranked.par_iter_mut().for_each(|hits| keep_best(hits, k)));
    }
    Ok(ranked)
}

/// The candidates of all queries, by their rows: half a million for 256 queries, which one thread puts
/// in order while the others wait.
fn in_order_of_rows(candidates: &[Vec<Hit>], rows: usize) -> Vec<Pair> {
    let pairs = (0..).zip(candidates).flat_map(|(query, hits)| {
        hits.iter().map(move |hit| Pair { row: hit.id, query, score: 0.0 })
    });
    let count = candidates.iter().map(Vec::len).sum();
    let starts = (rows / SPARSE <= count).then(|| starts(candidates, rows)).flatten();
    if let Some(starts) = starts {
        return counted(pairs, starts, count);
    }
    let mut pairs: Vec<Pair> = pairs.collect();
    pairs.sort_unstable_by_key(|pair| (pair.row, pair.query));
    pairs
}

/// Pairs in the order of their rows, those of each row beginning at one of `places`.
fn counted(pairs: impl Iterator<Item = Pair>, mut places: Vec<usize>, count: usize) -> Vec<Pair> {
    let mut ordered = vec![Pair::default(); count];
    for pair in pairs {
        #[expect(clippy::cast_possible_truncation, reason = "each row has a place")]
        let place = &mut places[pair.row as usize];
        ordered[*place] = pair;
        *place += 1;
    }
    ordered
}

/// Where the candidates of each row begin among all; `None` where one is of no row.
fn starts(candidates: &[Vec<Hit>], rows: usize) -> Option<Vec<usize>> {
    let mut starts = vec![0; rows + 1];
    for hit in candidates.iter().flatten() {
        *starts[1..].get_mut(usize::try_from(hit.id).ok()?)? += 1;
    }
    for row in 1..=rows {
        starts[row] += starts[row - 1];
    }
    Some(starts)
}

/// Gives each query its candidates in the place of what it had.
fn hand_out(pairs: &[Pair], ranked: &mut [Vec<Hit>]) {
    ranked.iter_mut().for_each(Vec::clear);
    for &Pair { row, query, score } in pairs {
        ranked[query as usize].push(Hit { id: row, score });
    }
}

/// Keeps the best, in order: most candidates are not worth one.
fn keep_best(hits: &mut Vec<Hit>, k: usize) {
    if k < hits.len() {
        hits.select_nth_unstable_by(k, Hit::rank_order);
        hits.truncate(k);
    }
    hits.sort_unstable_by(Hit::rank_order);
}

fn together(a: &Pair, b: &Pair) -> bool {
    b.row - a.row <= GAP
}

/// A run in pieces of no more than [`ROWS`] rows.
fn bounded(run: &mut [Pair]) -> impl Iterator<Item = &mut [Pair]> {
    let first = run.first().map_or(0, |pair| pair.row);
    run.chunk_by_mut(move |a, b| (a.row - first) / ROWS == (b.row - first) / ROWS)
}

/// Reads the rows of a run and scores its pairs.
fn score_run(
    ctx: &Context<'_>,
    vectors: &Scan,
    queries: Matrix<'_>,
    run: &mut [Pair],
) -> Result<()> {
    ctx.check()?;
    let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(()) };
    let (first, last) = (place(first.row)?, place(last.row)?);
    let mut numbers = Vec::new();
    vectors.vectors().read(first..last + 1, &mut numbers)?;
    let rows = Matrix::new(&numbers, queries.dimension())?;
    for pair in run {
        let row = rows.row(place(pair.row)? - first);
        pair.score = score(vectors.metric(), queries.row(pair.query as usize), row);
    }
    Ok(())
}

fn place(row: u64) -> Result<usize> {
    usize::try_from(row).or_error(ErrorKind::Unexpected, "a row that no memory could hold")
}

#[cfg(test)]
mod tests {
    use super::*;
    use deft_core::{NoServices, VectorType, part_name, write_vectors};
    use deft_scan::Metric;

    #[test]
    fn the_best_candidates_are_those_of_the_best_true_scores_wherever_they_lie() {
        let dir = tempfile::tempdir().expect("a folder");
        let numbers: Vec<f32> = (0..5000).flat_map(|row| [row as f32, 1.0]).collect();
        let rows = Matrix::new(&numbers, 2).expect("whole rows");
        let part = dir.path().join(part_name(0, ".safetensors"));
        write_vectors(&part, rows, VectorType::F32, 0, "e").expect("written");
        let vectors = Scan::new(VectorStore::open(dir.path()).expect("opened"), Metric::L2);
        let queries = [0.0, 1.0, 4000.0, 3.0];
        let queries = Matrix::new(&queries, 2).expect("whole rows");
        // Dense runs, longer than what is read at once, and single rows far from others: many that are
        // counted by row, and few that are sorted.
        let ids = |step: usize| (0..5000).step_by(step).map(|id| Hit { id, score: f32::NAN });
        for (one, other) in [(1, 7), (16, 1700), (4999, 17)] {
            let candidates = vec![ids(one).collect(), ids(other).collect()];
            for threads in [1, 3] {
                let ctx = Context::new(&NoServices, 0, threads);
                let ranked = rerank(&ctx, &vectors, queries, candidates.clone(), 40);
                let ranked = ranked.expect("ranked");
                for (query, step) in [(0, one), (1, other)] {
                    let q = queries.row(query);
                    let mut wanted: Vec<_> = ids(step)
                        .map(|hit| {
                            let (dx, dy) = (q[0] - hit.id as f32, q[1] - 1.0);
                            Hit { score: -(dx * dx + dy * dy), ..hit }
                        })
                        .collect();
                    wanted.sort_by(Hit::rank_order);
                    wanted.truncate(40);
                    assert_eq!(ranked[query], wanted, "query {query}, every {step}. row");
                }
            }
        }
    }
}
