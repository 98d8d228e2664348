//! Python's `random.Random`: the Mersenne Twister MT19937 and what the standard library draws with
//! it.

use crate::words;

const N: usize = 624;
const M: usize = 397;
const UPPER: u32 = 0x8000_0000;
const LOWER: u32 = 0x7fff_ffff;

/// What `random.Random(seed)` makes, for a seed that is a whole number of at least 0.
///
/// Numbers are the same for all versions of Python since 3.2.
///
/// ```
/// let mut rng = deft_splits::PythonRandom::new(42);
/// let mut order: Vec<usize> = (0..10).collect();
/// rng.shuffle(&mut order);
/// assert_eq!(order, [7, 3, 2, 8, 5, 6, 9, 4, 0, 1]);
/// ```
#[derive(Debug, Clone)]
pub struct PythonRandom {
    state: [u32; N],
    /// How many words of the state were given; at `N` it is renewed.
    given: usize,
}

impl PythonRandom {
    /// The generator of a seed.
    pub fn new(seed: u64) -> Self {
        Self { state: by_array(&words(seed)), given: N }
    }

    /// `random()`: a number from 0, below 1.
    pub fn random(&mut self) -> f64 {
        let (high, low) = (self.next_u32() >> 5, self.next_u32() >> 6);
        (f64::from(high) * 67_108_864.0 + f64::from(low)) / 9_007_199_254_740_992.0
    }

    /// `randrange(n)`: a number below `n`; 0 where `n` is 0, and nothing is drawn for it.
    pub fn below(&mut self, n: usize) -> usize {
        if n == 0 {
            return 0;
        }
        let bits = u64::BITS - (n as u64).leading_zeros();
        loop {
            let number = self.bits(bits);
            if number < n as u64 {
                // Below `n`, which was a `usize`.
                return usize::try_from(number).unwrap_or(0);
            }
        }
    }

    /// `shuffle(items)`.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// `choice(items)`; none of nothing.
    pub fn choice<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }

    /// `getrandbits(count)`, for at most 64 bits.
    fn bits(&mut self, count: u32) -> u64 {
        let low = |word: u32, count: u32| u64::from(word >> (32 - count));
        if count <= 32 {
            return low(self.next_u32(), count);
        }
        u64::from(self.next_u32()) | (low(self.next_u32(), count - 32) << 32)
    }

    fn next_u32(&mut self) -> u32 {
        if self.given == N {
            renew(&mut self.state);
            self.given = 0;
        }
        let mut word = self.state[self.given];
        self.given += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }
}

/// The next `N` words, in place.
fn renew(state: &mut [u32; N]) {
    for i in 0..N {
        let word = (state[i] & UPPER) | (state[(i + 1) % N] & LOWER);
        let twisted = if word & 1 == 0 { 0 } else { 0x9908_b0df };
        state[i] = state[(i + M) % N] ^ (word >> 1) ^ twisted;
    }
}

/// `init_genrand` of the published generator.
fn by_number(seed: u32) -> [u32; N] {
    let mut state = [seed; N];
    for (number, i) in (1..).zip(1..N) {
        let before = state[i - 1];
        state[i] = (before ^ (before >> 30)).wrapping_mul(1_812_433_253).wrapping_add(number);
    }
    state
}

/// `init_by_array` of the published generator, for a key of at most `N` words.
fn by_array(key: &[u32]) -> [u32; N] {
    let mut state = by_number(19_650_218);
    let mut i = 1;
    for step in 0..N {
        let j = step % key.len();
        state[i] = mixed(&state, i, 1_664_525).wrapping_add(key[j]).wrapping_add(number(j));
        i = after(&mut state, i);
    }
    for _ in 1..N {
        state[i] = mixed(&state, i, 1_566_083_941).wrapping_sub(number(i));
        i = after(&mut state, i);
    }
    state[0] = UPPER;
    state
}

fn mixed(state: &[u32; N], i: usize, factor: u32) -> u32 {
    let before = state[i - 1];
    state[i] ^ (before ^ (before >> 30)).wrapping_mul(factor)
}

/// The place after `i`: at the end the first word becomes the last one, and the second is next.
fn after(state: &mut [u32; N], i: usize) -> usize {
    if i + 1 < N {
        return i + 1;
    }
    state[0] = state[N - 1];
    1
}

fn number(place: usize) -> u32 {
    u32::try_from(place).expect("places are below `N`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_python() {
        let mut rng = PythonRandom::new(42);
        assert_eq!(rng.random(), 0.639_426_798_457_883_7);
        assert_eq!(rng.random(), 0.025_010_755_222_666_936);
        assert_eq!(PythonRandom::new(23019).random(), 0.950_051_551_612_403_2);
        let mut rng = PythonRandom::new((1 << 40) + 5);
        assert_eq!([rng.next_u32(), rng.next_u32()], [2_166_296_868, 2_220_160_828]);
        let mut rng = PythonRandom::new(0);
        assert_eq!([rng.next_u32(), rng.next_u32()], [3_626_764_237, 1_654_615_998]);
    }

    #[test]
    fn the_state_is_renewed_when_it_is_used_up() {
        let mut rng = PythonRandom::new(42);
        let words: Vec<u32> = (0..1300).map(|_| rng.next_u32()).collect();
        assert_eq!(words[623..626], [2_929_454_134, 1_071_722_055, 2_864_457_210]);
        assert_eq!(words[1299], 1_463_320_861);
    }

    #[test]
    fn orders_and_choices_are_those_of_python() {
        let mut order: Vec<usize> = (0..4).collect();
        PythonRandom::new(42).shuffle(&mut order);
        assert_eq!(order, [2, 1, 3, 0]);
        // The numbers before and the choices after come out of one generator.
        let mut rng = PythonRandom::new(42);
        let numbers = [rng.random(), rng.random(), rng.random()];
        assert_eq!(numbers[2], 0.275_029_318_369_119_26);
        let chosen: Vec<char> =
            (0..5).filter_map(|_| rng.choice(&['a', 'b', 'c'])).copied().collect();
        assert_eq!(chosen, ['a', 'a', 'c', 'a', 'c']);
    }

    #[test]
    fn one_item_costs_a_draw_and_none_costs_nothing() {
        let (mut rng, mut untouched) = (PythonRandom::new(1), PythonRandom::new(1));
        assert_eq!(rng.choice::<u8>(&[]), None);
        assert_eq!(rng.random(), untouched.random());
        rng.choice(&[7]);
        assert_ne!(rng.random(), untouched.random());
    }
}
