//! The product of a block of rows with a panel of queries, fused with the test of each number.
//!
//! A panel holds up to three vectors' lanes of queries, component by component. For eight rows the sums
//! of all pairs stay in registers: each component of the panel is loaded once for eight rows, and each
//! of the rows is spread over a register once for three vectors of queries. So one load feeds two
//! multiplications and the product runs at what the processor can multiply. Where it has 16 registers
//! it is six rows and two vectors: twelve sums, and room for what is multiplied. (With four rows and
//! three vectors one sum has no register left, and the loop waits for memory: half as fast.) Rows are used as they lie in memory; only queries are packed, once for a
//! search. (The scheme is that of Goto and van de Geijn, *Anatomy of High-Performance Matrix
//! Multiplication*, 2008, section 5, without its outer loops: a block and a panel fit the cache.)

#![expect(clippy::inline_always, reason = "all must be compiled for the vectors of `S`")]

use pulp::{Arch, Simd, WithSimd, bytemuck};

use crate::aligned::Aligned;
use crate::block::Block;
use crate::passed::{Pair, Passed};

/// What a panel is on this processor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Floats in the widest vector.
    pub(crate) lanes: usize,
    /// Queries, at most.
    pub(crate) queries: usize,
}

impl Shape {
    pub(crate) fn of_this_processor() -> Self {
        Arch::new().dispatch(AskShape)
    }
}

struct AskShape;

impl WithSimd for AskShape {
    type Output = Shape;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> Shape {
        let vectors = if has_many_registers::<S>() { 3 } else { 2 };
        Shape { lanes: S::F32_LANES, queries: vectors * S::F32_LANES }
    }
}

#[inline(always)]
fn has_many_registers<S: Simd>() -> bool {
    S::REGISTER_COUNT >= 32
}

/// Queries, component by component.
#[derive(Debug)]
pub(crate) struct Panel {
    numbers: Aligned,
    vectors: usize,
}

impl Panel {
    /// Packs queries of one dimension, at least 1 and at most those of a [`Shape`].
    pub(crate) fn new(queries: &[&[f32]], lanes: usize) -> Self {
        let dimension = queries[0].len();
        let vectors = queries.len().div_ceil(lanes);
        let width = vectors * lanes;
        let mut packed = Aligned::default();
        let numbers = packed.resize(dimension * width);
        numbers.fill(0.0);
        for (lane, query) in queries.iter().enumerate() {
            for (numbers, &x) in numbers.chunks_exact_mut(width).zip(*query) {
                numbers[lane] = x;
            }
        }
        Self { numbers: packed, vectors }
    }
}

/// Hands to `passed` all pairs of a block and a panel that pass.
pub(crate) fn filter<P: Passed>(block: &Block, panel: &Panel, thresholds: &[f32], passed: &mut P) {
    Arch::new().dispatch(Filter { block, panel, thresholds, passed });
}

struct Filter<'a, P> {
    block: &'a Block,
    panel: &'a Panel,
    /// One for each query.
    thresholds: &'a [f32],
    passed: &'a mut P,
}

impl<P: Passed> WithSimd for Filter<'_, P> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match (has_many_registers::<S>(), self.panel.vectors) {
            (true, 1) => self.run::<S, 8, 1>(simd),
            (true, 2) => self.run::<S, 8, 2>(simd),
            (true, _) => self.run::<S, 8, 3>(simd),
            (false, 1) => self.run::<S, 6, 1>(simd),
            (false, _) => self.run::<S, 6, 2>(simd),
        }
    }
}

impl<P: Passed> Filter<'_, P> {
    #[inline(always)]
    fn run<S: Simd, const ROWS: usize, const N: usize>(self, simd: S) {
        let panel = S::as_simd_f32s(self.panel.numbers.as_slice()).0.as_chunks::<N>().0;
        let tests = Tests::<S, N>::new(simd, self.thresholds);
        let starts = self.block.starts();
        let rows = starts.len();
        for (first, number) in (0..rows).step_by(ROWS).zip((0..).step_by(ROWS)) {
            // The last row is repeated where none is left.
            let row = |i: usize| (first + i).min(rows - 1);
            let numbers: [_; ROWS] = std::array::from_fn(|i| self.block.row(row(i)));
            let sums = product(simd, panel, numbers, std::array::from_fn(|i| starts[row(i)]));
            for (row, sums) in (number..).zip(&sums).take(rows - first) {
                tests.apply(simd, sums, row, self.passed);
            }
        }
    }
}

/// The products of rows and queries, each added to its row's start.
#[inline(always)]
fn product<S: Simd, const ROWS: usize, const N: usize>(
    simd: S,
    panel: &[[S::f32s; N]],
    mut rows: [&[f32]; ROWS],
    starts: [f32; ROWS],
) -> [[S::f32s; N]; ROWS] {
    let mut sums = [[simd.splat_f32s(0.0); N]; ROWS];
    for (sums, start) in sums.iter_mut().zip(starts) {
        *sums = [simd.splat_f32s(start); N];
    }
    // One length for all spares the test of each index.
    let panel = &panel[..rows[0].len()];
    for row in &mut rows {
        *row = &row[..panel.len()];
    }
    for (component, queries) in panel.iter().enumerate() {
        for (sums, row) in sums.iter_mut().zip(&rows) {
            let x = simd.splat_f32s(row[component]);
            for (sum, &query) in sums.iter_mut().zip(queries) {
                *sum = simd.mul_add_f32s(x, query, *sum);
            }
        }
    }
    sums
}

/// The thresholds of a panel's queries, in vectors.
struct Tests<S: Simd, const N: usize> {
    thresholds: [S::f32s; N],
    /// A bit for each lane that holds a query.
    used: [u32; N],
}

impl<S: Simd, const N: usize> Tests<S, N> {
    #[inline(always)]
    fn new(simd: S, thresholds: &[f32]) -> Self {
        let rest = |vector: usize| &thresholds[(vector * S::F32_LANES).min(thresholds.len())..];
        let used = |vector| (1_u64 << rest(vector).len().min(S::F32_LANES)) - 1;
        #[expect(clippy::cast_possible_truncation, reason = "no vector has more than 32 lanes")]
        let used = std::array::from_fn(|vector| used(vector) as u32);
        let thresholds = std::array::from_fn(|vector| simd.partial_load_f32s(rest(vector)));
        Self { thresholds, used }
    }

    /// Hands on the queries for which a row's sums pass.
    #[inline(always)]
    fn apply(&self, simd: S, sums: &[S::f32s; N], row: u32, to: &mut impl Passed) {
        let mut query = 0;
        for ((&sum, &threshold), &used) in sums.iter().zip(&self.thresholds).zip(&self.used) {
            // What is no number passes: it is not below.
            let mut passed = used & !bits::<S>(simd.less_than_f32s(sum, threshold));
            while passed != 0 {
                let lane = passed.trailing_zeros();
                let sums: &[f32] = bytemuck::cast_slice(std::slice::from_ref(&sum));
                to.take(Pair { row, query: query + lane }, sums[lane as usize]);
                passed &= passed - 1;
            }
            query += lane_count::<S>();
        }
    }
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "no vector has more than 32 lanes")]
fn lane_count<S: Simd>() -> u32 {
    S::F32_LANES as u32
}

/// A bit for each lane of a mask, the first lane's the lowest.
#[inline(always)]
fn bits<S: Simd>(mask: S::m32s) -> u32 {
    let bytes = bytemuck::bytes_of(&mask);
    match *bytes {
        // The mask registers of AVX-512, and one `bool`.
        [low] => u32::from(low),
        [low, high] => u32::from(u16::from_ne_bytes([low, high])),
        // All bits of a lane are set, or none.
        _ => bytes
            .as_chunks::<4>()
            .0
            .iter()
            .rev()
            .fold(0, |bits, lane| bits << 1 | u32::from(lane[0] & 1)),
    }
}

#[cfg(test)]
mod tests {
    use pulp::Scalar;

    use super::*;
    use crate::Metric;

    const DIMENSION: usize = 21;

    type ToPairs<'a> = Filter<'a, Vec<(Pair, f32)>>;

    fn numbers(count: usize, salt: usize) -> Vec<f32> {
        let number = |i: usize| ((i * 2_654_435_761 + salt * 40_503) >> 7) % 257;
        (0..count).map(|i| (number(i) as f32 - 128.0) / 128.0).collect()
    }

    /// Runs the filter with every kind of vectors that this processor has, and compares with sums
    /// in f64. The numbers are multiples of 1/128, so that f32 does not round.
    fn check(rows: usize, queries: usize, metric: Metric) {
        let (row_numbers, query_numbers) =
            (numbers(rows * DIMENSION, 1), numbers(queries * DIMENSION, 2));
        let block = Block::of_rows(&row_numbers, DIMENSION, metric);
        let queries: Vec<_> = query_numbers.chunks_exact(DIMENSION).collect();
        let thresholds: Vec<_> = (0..queries.len()).map(|i| i as f32 / 4.0 - 3.0).collect();
        let mut wanted = Vec::new();
        for (row, b) in (0..).zip(row_numbers.chunks_exact(DIMENSION)) {
            for (query, a) in (0..).zip(&queries) {
                let dot: f64 = a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum();
                let half: f64 = b.iter().map(|&y| f64::from(y) * f64::from(y) / 2.0).sum();
                let product = if metric == Metric::L2 { dot - half } else { dot };
                if product >= f64::from(thresholds[query as usize]) {
                    wanted.push((Pair { row, query }, product));
                }
            }
        }
        let found = |Shape { lanes, queries: most }, run: &dyn Fn(ToPairs<'_>)| {
            if queries.len() <= most {
                let panel = Panel::new(&queries, lanes);
                let mut passed = Vec::new();
                run(Filter {
                    block: &block,
                    panel: &panel,
                    thresholds: &thresholds,
                    passed: &mut passed,
                });
                passed.sort_unstable_by_key(|&(pair, _)| pair);
                let found: Vec<_> = passed.iter().map(|&(pair, p)| (pair, f64::from(p))).collect();
                assert_eq!(found, wanted, "{lanes} lanes, {rows} rows, {} queries", queries.len());
            }
        };
        found(Shape::of_this_processor(), &|filter| Arch::new().dispatch(filter));
        let scalar = Scalar::new();
        found(Simd::vectorize(scalar, AskShape), &|filter| Simd::vectorize(scalar, filter));
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            found(Simd::vectorize(simd, AskShape), &|filter| Simd::vectorize(simd, filter));
        }
    }

    #[test]
    fn pairs_are_those_whose_product_passes_at_every_shape() {
        for metric in [Metric::L2, Metric::Ip] {
            for rows in [1, 3, 4, 7, 8, 9, 16, 61] {
                for queries in [1, 2, 3, 8, 9, 16, 17, 24, 31, 32, 33, 47, 48] {
                    check(rows, queries, metric);
                }
            }
        }
    }

    #[test]
    fn what_is_no_number_passes_and_unused_lanes_do_not() {
        let block = Block::of_rows(&[f32::MAX; 2 * DIMENSION], DIMENSION, Metric::L2);
        let query = [-f32::MAX; DIMENSION];
        let panel = Panel::new(&[&query], Shape::of_this_processor().lanes);
        let mut pairs = Vec::new();
        filter::<Vec<Pair>>(&block, &panel, &[f32::NEG_INFINITY], &mut pairs);
        assert_eq!(pairs, [Pair { row: 0, query: 0 }, Pair { row: 1, query: 0 }]);
    }
}
