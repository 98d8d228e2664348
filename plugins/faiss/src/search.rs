//! Searching: as many candidates as the hits need, then their order.

use std::sync::{Mutex, PoisonError};

use deft_core::Hit;
use deft_core::prelude::*;
use deft_scan::Scan;

use crate::native::Native;
use crate::{openmp, rerank};

/// Rows beyond those wanted that are fetched to see whether a tie goes on behind the cut.
const BEYOND: usize = 16;
/// How many times those wanted a tie at the cut is followed; codes of few bits make ties of thousands.
const MOST: usize = 8;

/// How much a search looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Effort {
    pub(crate) ef_search: usize,
    pub(crate) nprobe: Option<usize>,
    /// Candidates per hit that are ranked again; 0 for FAISS's own order.
    pub(crate) refine: usize,
}

/// A FAISS index open for search.
#[derive(Debug)]
pub(crate) struct FaissIndex {
    /// FAISS spreads one search over its threads; searches come one after the other.
    native: Mutex<Native>,
    rows: usize,
    dimension: usize,
    effort: Effort,
    vectors: Option<Scan>,
}

impl FaissIndex {
    pub(crate) fn new(mut native: Native, effort: Effort, vectors: Option<Scan>) -> Result<Self> {
        if let Some(nprobe) = effort.nprobe
            && !native.set("nprobe", nprobe)?
        {
            return Err(no_lists());
        }
        let (rows, dimension) = (native.len(), native.dimension());
        Ok(Self { native: Mutex::new(native), rows, dimension, effort, vectors })
    }

    /// What FAISS finds, by its own scores.
    fn fetch(&self, ctx: &Context<'_>, queries: &[f32], count: usize) -> Result<Vec<Vec<Hit>>> {
        let mut native = self.native.lock().unwrap_or_else(PoisonError::into_inner);
        openmp::set_threads(ctx.threads());
        // FAISS looks at `efSearch` candidates and fills up the places behind them with nothing.
        native.set("efSearch", self.effort.ef_search.max(count))?;
        let found = native.search(queries, count)?;
        let rows = self.rows as u64;
        match found.iter().flatten().find(|hit| hit.id >= rows) {
            None => Ok(found),
            Some(hit) => {
                Err(Error::new(ErrorKind::Data, "the index finds a row that it does not have")
                    .with_context("row", hit.id)
                    .with_context("rows", rows)
                    .with_hint("its rows have ids of their own: name one whose row n is line n"))
            }
        }
    }

    /// The nearest `count` rows and some more by FAISS's scores.
    ///
    /// A tie at the cut is followed until it ends, but for candidates of which a part is ranked again:
    /// there the hits' cut lies far from it, and quantized scores make ties that mean nothing.
    fn candidates(
        &self,
        ctx: &Context<'_>,
        queries: Matrix<'_>,
        count: usize,
    ) -> Result<Vec<Vec<Hit>>> {
        let at_first = (count + BEYOND).min(self.rows);
        let follows = self.effort.refine <= 1;
        let most = if follows { count.saturating_mul(MOST).min(self.rows) } else { 0 };
        let mut found = self.fetch(ctx, queries.as_slice(), at_first)?;
        for (query, hits) in found.iter_mut().enumerate() {
            let mut fetched = at_first;
            while fetched < most && is_cut_in_a_tie(hits, count, fetched) {
                ctx.check()?;
                fetched = (2 * fetched).min(most);
                let more = self.fetch(ctx, queries.row(query), fetched)?;
                *hits = more.into_iter().next().unwrap_or_default();
            }
        }
        Ok(found)
    }
}

/// The error of an index that is none of lists.
pub(crate) fn no_lists() -> Error {
    Error::option_at("nprobe", "this index has no lists to look at")
        .with_hint("`nprobe` goes with `IVF…`, `ef_search` with `HNSW…`")
}

/// Whether the hits behind the last one wanted may go on with its score.
fn is_cut_in_a_tie(hits: &[Hit], wanted: usize, fetched: usize) -> bool {
    let score = |place: usize| hits.get(place - 1).map(|hit| hit.score);
    hits.len() == fetched && score(wanted.min(fetched)) == score(fetched)
}

impl Index for FaissIndex {
    fn len(&self) -> usize {
        self.rows
    }

    fn search(&self, ctx: &Context<'_>, queries: Matrix<'_>, mut hits: HitsMut<'_>) -> Result<()> {
        if queries.dimension() != self.dimension {
            return Err(Error::new(
                ErrorKind::Unexpected,
                "the queries have another dimension than the index",
            )
            .with_context("queries", queries.dimension())
            .with_context("index", self.dimension));
        }
        ctx.check()?;
        let k = hits.k().min(self.rows);
        if k == 0 || queries.rows() == 0 {
            return Ok(());
        }
        let count = k.saturating_mul(self.effort.refine.max(1)).min(self.rows);
        let mut found = self.candidates(ctx, queries, count)?;
        if let Some(vectors) = self.vectors.as_ref().filter(|_| self.effort.refine > 0) {
            found = rerank::rerank(ctx, vectors, queries, found, k)?;
        }
        for (query, found) in found.iter_mut().enumerate() {
            hits.set(query, found);
        }
        Ok(())
    }
}
