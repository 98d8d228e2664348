//! Queries in, hits of all index units merged.

use std::sync::Arc;

use deft_core::prelude::*;
use deft_core::{Hit, Hits, TopK};

/// Queries that are encoded and searched at once: bounds the memory of their vectors and hits.
pub(crate) const CHUNK: usize = 1024;

/// The index over one run of the pool's rows.
pub(crate) struct Unit {
    /// The pool row that the index calls 0.
    pub(crate) first_row: u64,
    pub(crate) index: Box<dyn Index>,
}

/// A pool open for search.
pub(crate) struct DenseSearcher {
    pub(crate) encoder: Arc<dyn Encoder>,
    pub(crate) units: Vec<Unit>,
    /// Those of the whole pool, where they are kept: what the indexes were built from.
    pub(crate) vectors: Option<VectorStore>,
    /// What the indexes are.
    pub(crate) info: IndexInfo,
}

impl DenseSearcher {
    /// The vectors of queries, and how many of these were cut.
    pub(crate) fn encode(
        &self,
        ctx: &Context<'_>,
        queries: &[&str],
        first: usize,
    ) -> Result<(Vec<f32>, u64)> {
        let dimension = self.encoder.info().dimension;
        let mut vectors = vec![0.0; queries.len() * dimension];
        let report = self.encoder.encode(ctx, queries, TextRole::Query, &mut vectors)?;
        // The vector store refuses such numbers for the pool; here nothing else would, and every
        // comparison with them is false.
        match vectors.iter().position(|number| !number.is_finite()) {
            None => Ok((vectors, report.truncated)),
            Some(at) => Err(Error::new(
                ErrorKind::Data,
                "the encoder gave a query a vector with a value that is no number",
            )
            .with_context("query", first + at / dimension)
            .with_context("text", deft_core::excerpt(queries[at / dimension]))),
        }
    }

    /// The best `k` hits of each query among all units.
    fn search(&self, ctx: &Context<'_>, vectors: Matrix<'_>, k: usize) -> Result<Vec<Vec<Hit>>> {
        let rows: usize = self.units.iter().map(|unit| unit.index.len()).sum();
        let mut best: Vec<_> = (0..vectors.rows()).map(|_| TopK::new(k.min(rows))).collect();
        for unit in &self.units {
            ctx.check()?;
            let mut hits = Hits::new(vectors.rows(), k.min(unit.index.len()));
            unit.index.search(ctx, vectors, hits.as_mut())?;
            for (query, best) in best.iter_mut().enumerate() {
                for hit in hits.of_query(query) {
                    best.push(Hit { id: unit.first_row + hit.id, ..hit });
                }
            }
        }
        Ok(best.into_iter().map(TopK::into_vec).collect())
    }
}

impl Searcher for DenseSearcher {
    fn retrieve(&self, ctx: &Context<'_>, queries: &[&str], mut hits: HitsMut<'_>) -> Result<()> {
        let dimension = self.encoder.info().dimension;
        let (mut done, mut truncated) = (0, 0);
        for chunk in queries.chunks(CHUNK) {
            ctx.check()?;
            let (vectors, cut) = self.encode(ctx, chunk, done)?;
            truncated += cut;
            let mut found = self.search(ctx, Matrix::new(&vectors, dimension)?, hits.k())?;
            for (query, found) in found.iter_mut().enumerate() {
                hits.set(done + query, found);
            }
            done += chunk.len();
            ctx.progress(done, queries.len(), "queries");
        }
        let limit = self.encoder.info().max_query_tokens;
        report_truncated(ctx, "queries", truncated, queries.len(), limit)
    }

    fn judge(
        &self,
        ctx: &Context<'_>,
        queries: &[&str],
        found: HitsMut<'_>,
        nearest: HitsMut<'_>,
    ) -> Result<Judgement> {
        if self.info.exact {
            return Ok(Judgement::Exact);
        }
        let Some(vectors) = &self.vectors else { return Ok(Judgement::Unknown) };
        self.compare_all(ctx, vectors, queries, found, nearest)
    }
}

/// Says how many texts the encoder did not read to their end: in the log if there are any, and to the
/// host also if there are none, for 0 is worth knowing.
pub(crate) fn report_truncated(
    ctx: &Context<'_>,
    what: &str,
    truncated: u64,
    count: usize,
    limit: Option<usize>,
) -> Result<()> {
    if truncated > 0 {
        let limit = limit
            .map_or_else(|| "the encoder's limit".to_owned(), |tokens| format!("{tokens} tokens"));
        ctx.info(&format!("{truncated} of {count} {what} were cut at {limit}"));
    }
    let told = serde_json::json!({"texts": count, "truncated": truncated, "limit": limit});
    match ctx.call("truncated", &told.to_string()) {
        // An older host does not count.
        Err(error) if error.kind() != ErrorKind::Unsupported => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use deft_core::NoServices;
    use serde_json::json;

    use super::*;
    use crate::testing::{Host, LONG, dense};

    #[test]
    fn cut_queries_are_reported_once() {
        let host = Host::prepared(dense(100, 0), 10, 4);
        host.retrieve(&["3", LONG, "5"], 2);
        assert_eq!(host.logged(), ["1 of 3 queries were cut at the encoder's limit"]);
    }

    #[test]
    fn the_host_is_told_of_queries_whether_one_is_cut_or_none() {
        let host = Host::prepared(dense(100, 0), 10, 4);
        let before = host.told().len();
        host.retrieve(&["3", LONG, "5"], 2);
        host.retrieve(&["3"], 2);
        let wanted = [(3, 1), (1, 0)].map(
            |(texts, truncated)| json!({"texts": texts, "truncated": truncated, "limit": null}),
        );
        assert_eq!(host.told()[before..], wanted);
    }

    #[test]
    fn a_host_that_does_not_count_is_no_reason_to_fail() {
        let ctx = Context::new(&NoServices, 0, 1);
        report_truncated(&ctx, "queries", 1, 2, Some(8)).expect("an older host");
    }

    #[test]
    fn many_units_find_what_one_unit_finds() {
        let queries = ["0", "7", "12", "499", "1000"];
        let wanted = Host::prepared(dense(1000, 0), 500, 100).retrieve(&queries, 20);
        for rows_per_unit in [1, 7, 64, 499] {
            let host = Host::prepared(dense(rows_per_unit, 0), 500, 100);
            assert_eq!(host.retrieve(&queries, 20), wanted, "{rows_per_unit} rows per unit");
        }
        // The vector of "7" is (7, 1): rows 7, then 6 and 8 with the tie to the smaller id.
        assert_eq!(wanted[1].iter().take(3).map(|hit| hit.id).collect::<Vec<_>>(), [7, 6, 8]);
    }

    #[test]
    fn a_pool_smaller_than_k_gives_all_it_has() {
        let host = Host::prepared(dense(4, 0), 10, 3);
        let found = host.retrieve(&["3"], 1000);
        assert_eq!(found[0].len(), 10);
        let mut ids: Vec<_> = found[0].iter().map(|hit| hit.id).collect();
        ids.sort_unstable();
        assert_eq!(ids, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn a_query_has_the_same_hits_alone_and_among_more_than_a_chunk_of_others() {
        let host = Host::prepared(dense(30, 0), 100, 100);
        let texts: Vec<_> = (0..CHUNK + 10).map(|i| (i % 100).to_string()).collect();
        let queries: Vec<_> = texts.iter().map(String::as_str).collect();
        let together = host.retrieve(&queries, 5);
        for query in [0, 99, CHUNK - 1, CHUNK, CHUNK + 9] {
            assert_eq!(host.retrieve(&queries[query..=query], 5)[0], together[query]);
        }
    }

    #[test]
    fn a_query_vector_that_is_no_number_is_an_error_that_shows_the_text() {
        let host = Host::prepared(dense(30, 0), 10, 10);
        let error = host.try_retrieve(&["1", "inf"], 5).expect_err("not finite");
        assert_eq!((error.context("query"), error.context("text")), (Some("1"), Some("inf")));
    }
}
