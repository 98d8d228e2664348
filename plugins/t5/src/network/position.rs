//! Relative positions: T5 learns one bias per head and bucket of distances.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{Result, Tensor, Var};

use super::attention::PositionBias;
use super::config::NetworkConfig;
use super::ops::is_host;

/// The learned table and the rule that maps distances to its rows.
#[derive(Debug, Clone)]
pub(crate) struct Positions {
    /// `[buckets, heads]`.
    table: Tensor,
    buckets: usize,
    max_distance: usize,
    /// The encoder tells before from after; the decoder sees only what is before.
    bidirectional: bool,
    /// The bias of the first so many queries and keys, where the table does not change.
    square: Option<Arc<Mutex<Option<Tensor>>>>,
}

/// Queries and keys whose bias is remembered: 17 MB of 16-bit numbers for the 32 heads of T5-XL at
/// the usual 512 tokens, four times as much at most.
const REMEMBERED: usize = 1024;
/// The sides of a remembered bias are a multiple of this, so that it rarely grows.
const SIDE: usize = 64;

impl Positions {
    pub(super) fn new(config: &NetworkConfig, table: Tensor, bidirectional: bool) -> Self {
        let (buckets, max_distance) = (config.buckets, config.max_distance);
        Self { table, buckets, max_distance, bidirectional, square: None }
    }

    /// The same for a network whose weights do not change: on a GPU the bias is made once, of which
    /// every batch takes a part. In main memory it would only push scores out of the cache.
    pub(super) fn remembering(self) -> Self {
        let square = (!is_host(&self.table)).then(Arc::default);
        Self { square, ..self }
    }

    /// A bias as a graph begins with it: a variable, unless the table is frozen and nothing goes back
    /// through it.
    pub(super) fn begin(&self, bias: &Tensor) -> Result<Tensor> {
        if self.table.track_op() {
            Ok(Var::from_tensor(bias)?.into_inner())
        } else {
            Ok(bias.clone())
        }
    }

    /// The bias of every head, query and key: `[heads, queries, keys]`.
    pub(super) fn bias(&self, queries: usize, keys: usize) -> Result<Tensor> {
        self.bias_from(0, queries, keys)
    }

    /// The same for queries from position `first` on.
    pub(super) fn bias_from(&self, first: usize, queries: usize, keys: usize) -> Result<Tensor> {
        let longest = keys.max(first + queries);
        match &self.square {
            Some(square) if longest <= REMEMBERED => {
                let square = self.square(square, longest)?;
                // Whole: every block reads it.
                square.narrow(1, first, queries)?.narrow(2, 0, keys)?.contiguous()
            }
            _ => self.compute(first, queries, keys),
        }
    }

    /// The bias of so many queries and keys, or more.
    fn square(&self, known: &Mutex<Option<Tensor>>, longest: usize) -> Result<Tensor> {
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some(square) if square.dim(1)? >= longest => Ok(square.clone()),
            _ => {
                let side = longest.next_multiple_of(SIDE);
                Ok(known.insert(self.compute(0, side, side)?).clone())
            }
        }
    }

    fn compute(&self, first: usize, queries: usize, keys: usize) -> Result<Tensor> {
        // Distances from the last query to the first key, up to the first query to the last key.
        let before = (1..first + queries).rev().map(|distance| self.bucket(distance, false));
        let after = (0..keys).map(|distance| self.bucket(distance, distance > 0));
        let buckets = before.chain(after).take(queries - 1 + keys).collect();
        let hidden_from = (!self.bidirectional).then_some(first + queries);
        PositionBias { queries, keys, buckets, hidden_from }.of(&self.table)
    }

    /// The row of the table for a key at a distance before or after its query.
    ///
    /// Half of a direction's buckets are for exact small distances, the other half grows
    /// logarithmically up to the largest distance, which stands for everything beyond.
    fn bucket(&self, distance: usize, after: bool) -> usize {
        let (buckets, start, distance) = match (self.bidirectional, after) {
            (true, after) => (self.buckets / 2, if after { self.buckets / 2 } else { 0 }, distance),
            (false, false) => (self.buckets, 0, distance),
            (false, true) => (self.buckets, 0, 0),
        };
        let exact = buckets / 2;
        if distance < exact {
            return start + distance;
        }
        // In f32, as the models were trained.
        let share =
            (distance as f32 / exact as f32).ln() / (self.max_distance as f32 / exact as f32).ln();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a floor ≥ 0")]
        let step = (share * (buckets - exact) as f32) as usize;
        start + (exact + step).min(buckets - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    fn positions(bidirectional: bool) -> Positions {
        let table = Tensor::zeros((32, 1), DType::F32, &Device::Cpu).expect("a table");
        Positions { table, buckets: 32, max_distance: 128, bidirectional, square: None }
    }

    #[test]
    fn the_encoder_has_half_the_buckets_for_each_direction() {
        let p = positions(true);
        let before: Vec<_> = [0, 1, 7, 8, 11, 12, 64, 90, 91, 1000]
            .iter()
            .map(|&distance| p.bucket(distance, false))
            .collect();
        assert_eq!(before, [0, 1, 7, 8, 8, 9, 14, 14, 15, 15]);
        assert_eq!((p.bucket(1, true), p.bucket(1000, true)), (17, 31));
    }

    #[test]
    fn the_bias_of_some_queries_is_a_part_of_that_of_all() {
        let values: Vec<f32> = (0..32 * 2).map(|x| x as f32).collect();
        let table = Tensor::from_vec(values, (32, 2), &Device::Cpu).expect("a table");
        for bidirectional in [true, false] {
            let p = Positions { table: table.clone(), ..positions(bidirectional) };
            let whole = p.bias(9, 9).expect("a bias");
            for (first, queries) in [(0, 4), (3, 5), (8, 1)] {
                let found = p.bias_from(first, queries, 9).expect("a bias");
                let wanted = whole.narrow(1, first, queries).expect("rows");
                let values = |t: &Tensor| t.to_vec3::<f32>().expect("values");
                assert_eq!(values(&found), values(&wanted), "{first} {queries}");
            }
        }
    }

    #[test]
    fn the_decoder_has_all_buckets_for_what_is_before() {
        let p = positions(false);
        assert_eq!([0, 15, 16, 18, 19, 200].map(|d| p.bucket(d, false)), [0, 15, 16, 16, 17, 31]);
        assert_eq!(p.bucket(3, true), 0);
    }

    #[test]
    fn a_bias_is_a_variable_where_its_table_is_trained() {
        let frozen = positions(true);
        let table = Var::from_tensor(&frozen.table).expect("a variable").into_inner();
        let trained = Positions { table, ..frozen.clone() };
        let begins = |p: &Positions| {
            let bias = p.bias(3, 3).and_then(|bias| p.begin(&bias.detach())).expect("a bias");
            bias.is_variable()
        };
        assert_eq!((begins(&frozen), begins(&trained)), (false, true));
    }
}
