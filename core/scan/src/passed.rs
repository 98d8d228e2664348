//! What passes the filter.

#![expect(clippy::inline_always, reason = "the filter's loop must be compiled with it")]

/// A row of a block and a query of a panel whose product is not below the query's threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pair {
    pub(crate) row: u32,
    pub(crate) query: u32,
}

/// Takes the pairs that pass, in an order that means nothing.
pub(crate) trait Passed {
    fn take(&mut self, pair: Pair, product: f32);
}

/// Pairs that are to be scored: their products are not needed any more.
impl Passed for Vec<Pair> {
    #[inline(always)]
    fn take(&mut self, pair: Pair, _product: f32) {
        self.push(pair);
    }
}

/// Pairs that wait for their scores.
impl Passed for Vec<(Pair, f32)> {
    #[inline(always)]
    fn take(&mut self, pair: Pair, product: f32) {
        self.push((pair, product));
    }
}
