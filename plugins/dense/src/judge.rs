//! Hits held against a scan of all vectors: what an index that is not exact misses.

use deft_core::prelude::*;
use deft_core::{Hit, Hits};
use deft_scan::Scan;

use crate::search::{CHUNK, DenseSearcher};

impl DenseSearcher {
    /// Compares every stored vector with every query: finds the nearest, and the true scores of what
    /// was found. An index may estimate its scores; the scan does not.
    pub(crate) fn compare_all(
        &self,
        ctx: &Context<'_>,
        stored: &VectorStore,
        queries: &[&str],
        mut found: HitsMut<'_>,
        mut nearest: HitsMut<'_>,
    ) -> Result<Judgement> {
        let scan = Scan::new(stored.clone(), self.info.metric);
        for (first, chunk) in (0..).step_by(CHUNK).zip(queries.chunks(CHUNK)) {
            ctx.check()?;
            let (vectors, _) = self.encode(&ctx.quiet(), chunk, first)?;
            let vectors = Matrix::new(&vectors, self.encoder.info().dimension)?;
            let mut best = Hits::new(chunk.len(), nearest.k().min(stored.len()));
            scan.search(ctx, vectors, best.as_mut())?;
            for query in 0..chunk.len() {
                nearest.set(first + query, &mut best.of_query(query).collect());
                let ids: Vec<u64> = found.of_query(first + query).map(|hit| hit.id).collect();
                let mut ranked: Vec<Hit> = Vec::with_capacity(ids.len());
                scan.score_rows(vectors.row(query), &ids, &mut ranked)?;
                found.set(first + query, &mut ranked);
            }
        }
        Ok(Judgement::Compared { truth: truth(stored) })
    }
}

/// What is compared: `f16 vectors`; of lossy ones, how far they are from those that were encoded.
fn truth(stored: &VectorStore) -> String {
    let name = format!("{:?} vectors", stored.vector_type()).to_lowercase();
    match stored.relative_error() {
        Some(error) => format!("{name}, off by {:.2} % at most", 100.0 * error),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Kept;
    use crate::testing::{Flat, Host, dense_over};

    fn ids(hits: &Hits, query: usize) -> Vec<u64> {
        hits.of_query(query).map(|hit| hit.id).collect()
    }

    fn scores(hits: &Hits, query: usize) -> Vec<f32> {
        hits.of_query(query).map(|hit| hit.score).collect()
    }

    #[test]
    fn what_a_lossy_index_misses_is_among_the_nearest() {
        // The vector of row 12 is (12, 1); its index cannot find rows 11 and 12.
        let lossy = Flat { lost: vec![11, 12], score_error: 0.25, ..Flat::default() };
        let host = Host::prepared(dense_over(1000, lossy), 40, 40);
        let (judgement, found, nearest) = host.judge(&["12", "30"], 3);
        assert_eq!(judgement, Judgement::Compared { truth: "f16 vectors".to_owned() });
        assert_eq!((ids(&found, 0), ids(&nearest, 0)), (vec![13, 10, 14], vec![12, 11, 13]));
        // Its scores were off by a quarter; these are not.
        assert_eq!(
            (scores(&found, 0), scores(&nearest, 0)),
            (vec![-1., -4., -4.], vec![0., -1., -1.])
        );
        assert_eq!((ids(&found, 1), ids(&nearest, 1)), (vec![30, 29, 31], vec![30, 29, 31]));
    }

    #[test]
    fn rows_at_one_distance_have_one_score_in_both_lists() {
        // Rows 9 and 11 are as near to 10: which of them is found is a matter of chance.
        let lossy = Flat { lost: vec![9], ..Flat::default() };
        let host = Host::prepared(dense_over(1000, lossy), 40, 40);
        let (_, found, nearest) = host.judge(&["10"], 2);
        assert_eq!((ids(&found, 0), ids(&nearest, 0)), (vec![10, 11], vec![10, 9]));
        assert_eq!(scores(&found, 0), scores(&nearest, 0));
    }

    #[test]
    fn ids_are_those_of_the_pool_whatever_the_units() {
        let lossy = Flat { lost: vec![0], ..Flat::default() };
        let host = Host::prepared(dense_over(7, lossy), 40, 9);
        let (_, found, nearest) = host.judge(&["21"], 3);
        assert_eq!((ids(&found, 0), ids(&nearest, 0)), (vec![20, 22, 19], vec![21, 20, 22]));
    }

    #[test]
    fn an_index_that_is_exact_costs_no_scan() {
        let exact = Flat { exact: true, ..Flat::default() };
        let host = Host::prepared(dense_over(1000, exact), 40, 40);
        let (judgement, _, nearest) = host.judge(&["12"], 3);
        assert_eq!((judgement, ids(&nearest, 0)), (Judgement::Exact, vec![]));
    }

    #[test]
    fn the_precision_of_the_truth_is_that_of_the_stored_vectors() {
        let mut dense = dense_over(1000, Flat::default());
        dense.config.vectors = Kept::F32;
        let (judgement, ..) = Host::prepared(dense, 10, 10).judge(&["1"], 3);
        assert_eq!(judgement, Judgement::Compared { truth: "f32 vectors".to_owned() });
    }

    #[test]
    fn without_vectors_nobody_knows_what_is_missed() {
        let mut dense = dense_over(1000, Flat::default());
        dense.config.vectors = Kept::None;
        let host = Host::prepared(dense, 10, 10);
        assert_eq!(host.judge(&["1"], 3).0, Judgement::Unknown);
    }

    #[test]
    fn a_pool_smaller_than_k_and_more_queries_than_a_chunk_are_judged() {
        let host = Host::prepared(dense_over(4, Flat::default()), 10, 3);
        let queries = vec!["3"; CHUNK + 1];
        let (_, found, nearest) = host.judge(&queries, 50);
        for query in [0, CHUNK] {
            assert_eq!((ids(&found, query).len(), ids(&nearest, query).len()), (10, 10));
            assert_eq!(ids(&found, query), ids(&nearest, query));
        }
    }
}
