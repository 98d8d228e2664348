//! numpy's `SeedSequence`: a seed of any size into as many well mixed words as a generator wants.

use crate::words;

const POOL: usize = 4;

const INIT_IN: u32 = 0x43b0_d7e5;
const MULTIPLY_IN: u32 = 0x931e_8875;
const INIT_OUT: u32 = 0x8b51_f9dd;
const MULTIPLY_OUT: u32 = 0x58f3_8ded;
const MIX_LEFT: u32 = 0xca01_f9dd;
const MIX_RIGHT: u32 = 0x4973_f715;

/// The words that `SeedSequence(seed).generate_state(n, uint64)` gives.
pub(crate) fn state<const N: usize>(seed: u64) -> [u64; N] {
    let pool = pool(seed);
    let mut hash = Hash { constant: INIT_OUT, factor: MULTIPLY_OUT };
    let mut next = 0;
    std::array::from_fn(|_| {
        let mut half = || {
            let word = hash.of(pool[next % POOL]);
            next += 1;
            u64::from(word)
        };
        let low = half();
        low | (half() << 32)
    })
}

/// The seed's entropy, mixed: every word of the pool depends on every word of the seed.
fn pool(seed: u64) -> [u32; POOL] {
    // A seed of 64 bits has two words at most, fewer than the pool.
    let seed = words(seed);
    let mut hash = Hash { constant: INIT_IN, factor: MULTIPLY_IN };
    let mut pool: [u32; POOL] =
        std::array::from_fn(|i| hash.of(seed.get(i).copied().unwrap_or_default()));
    for from in 0..POOL {
        for to in (0..POOL).filter(|&to| to != from) {
            pool[to] = mix(pool[to], hash.of(pool[from]));
        }
    }
    pool
}

/// A hash that is another one each time.
struct Hash {
    constant: u32,
    factor: u32,
}

impl Hash {
    fn of(&mut self, word: u32) -> u32 {
        let word = word ^ self.constant;
        self.constant = self.constant.wrapping_mul(self.factor);
        let word = word.wrapping_mul(self.constant);
        word ^ (word >> 16)
    }
}

fn mix(left: u32, right: u32) -> u32 {
    let word = left.wrapping_mul(MIX_LEFT).wrapping_sub(right.wrapping_mul(MIX_RIGHT));
    word ^ (word >> 16)
}
