//! The random orders of Python's data libraries, number for number.
//!
//! The paper's queries, evaluation sets and references were drawn with them, so a reader that is to
//! be compared with its numbers must draw the same.
//!
//! - [`NumpyRng`]: numpy's `default_rng(seed)`, as far as `permutation` needs it;
//! - [`shuffle`] and [`train_test_split`]: what Hugging Face's `datasets` makes of such an order;
//! - [`PythonRandom`]: Python's `random.Random(seed)`.
//!
//! Positions are counted from 0, and nothing here reads a clock, a file or the environment.

mod hugging_face;
mod numpy;
#[cfg(test)]
mod parity;
mod python;
mod seed_sequence;

pub use hugging_face::{Held, Split, shuffle, train_test_split};
pub use numpy::NumpyRng;
pub use python::PythonRandom;

/// The low half of a word.
#[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
const fn low(word: u64) -> u32 {
    word as u32
}

/// The 32-bit words of a seed, lowest first; at least one.
fn words(seed: u64) -> Vec<u32> {
    match low(seed >> 32) {
        0 => vec![low(seed)],
        high => vec![low(seed), high],
    }
}
