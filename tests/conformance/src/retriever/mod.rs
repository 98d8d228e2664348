//! What a retriever promises.

mod judge;
mod prepared;
mod search;
mod units;

use crate::Component;
use crate::component::suite;
use crate::report::Check;

/// The checks of a retriever.
#[derive(Debug, Clone)]
pub struct RetrieverChecks {
    pub(crate) component: Component,
    finds: f64,
    is_exact: bool,
    has_checksums: bool,
}

suite!(RetrieverChecks, CHECKS);

const CHECKS: &[Check<RetrieverChecks>] = &[
    Check::new("phases", "phases and their fingerprints stay the same", units::phases),
    Check::new("unit_order", "units in any order lead to the same hits", units::order),
    Check::new("unit_again", "a unit done twice leads to the same hits", units::again),
    Check::new(
        "interrupted",
        "a unit cancelled, thrown away and done again leads to the same hits",
        units::interrupted,
    ),
    Check::new(
        "elsewhere",
        "units may be done by other instances than the one that searches",
        units::elsewhere,
    ),
    Check::new("at_once", "units of a phase may be done at the same time", units::at_once),
    Check::new(
        "own_files",
        "a unit writes its own file or folder and nothing else",
        units::own_files,
    ),
    Check::new("odd_pool", "a pool may hold any text", units::odd_pool),
    Check::new(
        "pool_sizes",
        "the last part may be short, the pool a single row",
        units::pool_sizes,
    ),
    Check::new("empty_pool", "an empty pool is unsupported, or finds nothing", units::empty_pool),
    Check::new("damaged", "a file cut or missing gives an error or the same hits", units::damaged),
    Check::new(
        "damaged_bits",
        "a bit turned over in a file gives an error or the same hits",
        units::damaged_bits,
    ),
    Check::new(
        "cancelled",
        "what is cancelled stops within a second, and says so",
        units::cancelled,
    ),
    Check::new("finds", "the text of an example finds the example", search::finds),
    Check::new("hits", "hits are examples of the pool, each once, best first", search::hits),
    Check::new("ties", "ties go to the smaller id, at the cut, too", search::ties),
    Check::new("queries", "hits do not depend on other queries or their order", search::queries),
    Check::new("odd_queries", "any text may be a query, the empty one, too", search::odd_queries),
    Check::new("k_beyond_pool", "a `k` above the pool's length is no error", search::k_beyond),
    Check::new("threads", "hits do not depend on the number of threads", search::threads),
    Check::new("concurrent", "searches at once do not disturb each other", search::concurrent),
    Check::new(
        "judged",
        "a judgement has the nearest of all, and the hits with their true scores",
        judge::judged,
    ),
    Check::new(
        "judged_alone",
        "a judgement depends neither on other queries nor on the number of threads",
        judge::alone,
    ),
];

impl RetrieverChecks {
    pub(crate) fn new(component: Component) -> Self {
        Self { component, finds: 0.9, is_exact: true, has_checksums: false }
    }

    /// Puts a component, from this library or another, into one of its slots.
    #[must_use]
    pub fn with_child(mut self, slot: &str, child: Component) -> Self {
        self.component = self.component.with_child(slot, child);
        self
    }

    /// The share of the pool's texts that must find themselves among the first ten hits; 0.9 by
    /// default.
    #[must_use]
    pub fn with_self_recall(mut self, share: f64) -> Self {
        self.finds = share;
        self
    }

    /// Its files have checksums that are looked at: no bit is turned over unnoticed. Without this it
    /// is not checked what becomes of such damage, since a host trusts its store.
    #[must_use]
    pub fn with_checksums(mut self) -> Self {
        self.has_checksums = true;
        self
    }

    /// It looks for near hits, not for the nearest: ties at the cut are left to chance, and hits
    /// may be others with another `k`.
    #[must_use]
    pub fn approximate(mut self) -> Self {
        self.is_exact = false;
        self
    }
}

const K: usize = 10;
