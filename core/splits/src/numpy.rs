//! numpy's `default_rng`: the generator PCG64 (XSL-RR, 128 bits of state) and its shuffle.

use crate::low;
use crate::seed_sequence::state;

const MULTIPLIER: u128 = 0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645;

/// What `numpy.random.default_rng(seed)` makes, as far as permutations need it.
///
/// ```
/// let mut rng = deft_splits::NumpyRng::new(42);
/// assert_eq!(rng.permutation(10), [5, 6, 0, 7, 3, 2, 4, 9, 1, 8]);
/// ```
#[derive(Debug, Clone)]
pub struct NumpyRng {
    state: u128,
    increment: u128,
    /// The high half of a 64-bit number whose low half was given already.
    half: Option<u32>,
}

impl NumpyRng {
    /// The generator of a seed.
    pub fn new(seed: u64) -> Self {
        let [high, low, increment_high, increment_low] = state(seed);
        let wide = |high: u64, low: u64| (u128::from(high) << 64) | u128::from(low);
        let increment = (wide(increment_high, increment_low) << 1) | 1;
        let mut rng = Self { state: 0, increment, half: None };
        rng.step();
        rng.state = rng.state.wrapping_add(wide(high, low));
        rng.step();
        rng
    }

    /// The numbers below `n` in random order, as `Generator.permutation(n)` gives them.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for last in (1..n).rev() {
            order.swap(last, self.up_to(last));
        }
        order
    }

    /// A number from 0 to `max`, which is at least 1: bits are drawn until they are no larger.
    fn up_to(&mut self, max: usize) -> usize {
        let max = max as u64;
        let mask = u64::MAX >> max.leading_zeros();
        loop {
            let bits = match u32::try_from(max) {
                Ok(_) => u64::from(self.next_u32()),
                Err(_) => self.next_u64(),
            };
            let number = bits & mask;
            if number <= max {
                return usize::try_from(number).expect("no larger than `max`, which was a usize");
            }
        }
    }

    fn step(&mut self) {
        self.state = self.state.wrapping_mul(MULTIPLIER).wrapping_add(self.increment);
    }

    fn next_u64(&mut self) -> u64 {
        self.step();
        let (high, low) = (low_half(self.state >> 64), low_half(self.state));
        let rotation = u32::try_from(self.state >> 122).expect("six bits are left");
        (high ^ low).rotate_right(rotation)
    }

    fn next_u32(&mut self) -> u32 {
        if let Some(high) = self.half.take() {
            return high;
        }
        let word = self.next_u64();
        self.half = Some(low(word >> 32));
        low(word)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
const fn low_half(word: u128) -> u64 {
    word as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permutations_are_those_of_numpy() {
        let of = |seed| NumpyRng::new(seed).permutation(10);
        assert_eq!(of(42), [5, 6, 0, 7, 3, 2, 4, 9, 1, 8]);
        assert_eq!(of(0), [4, 6, 2, 7, 3, 5, 9, 0, 8, 1]);
        assert_eq!(of((1 << 40) + 5), [8, 1, 2, 5, 3, 0, 9, 7, 4, 6], "a seed of two words");
        let long = NumpyRng::new(42).permutation(100_000);
        assert_eq!(long[..5], [45262, 49850, 30394, 90177, 95569]);
        assert_eq!(NumpyRng::new(42).permutation(1), [0]);
        assert!(NumpyRng::new(42).permutation(0).is_empty());
    }

    #[test]
    fn a_permutation_holds_every_number_once() {
        for n in [2, 3, 64, 65, 1000] {
            let mut order = NumpyRng::new(7).permutation(n);
            order.sort_unstable();
            assert!(order.iter().copied().eq(0..n));
        }
    }

    #[test]
    fn the_state_of_a_seed_is_that_of_numpy() {
        let rng = NumpyRng::new(42);
        assert_eq!(rng.state, 274_674_114_334_540_486_603_088_602_300_644_985_544);
        assert_eq!(rng.increment, 332_724_090_758_049_132_448_979_897_138_935_081_983);
    }
}
