//! Hashing that is quick, and the same in every run.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

/// A map with [`QuickHasher`].
pub(super) type QuickMap<K, V> = HashMap<K, V, BuildHasherDefault<QuickHasher>>;

/// A set with [`QuickHasher`].
pub(super) type QuickSet<K> = HashSet<K, BuildHasherDefault<QuickHasher>>;

/// Multiplies and rotates, eight bytes at a time. It does not defend itself against keys that were
/// made to collide: these would cost time and nothing else, since maps compare keys.
#[derive(Debug, Clone, Default)]
pub(super) struct QuickHasher(u64);

impl QuickHasher {
    fn add(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl Hasher for QuickHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (eights, rest) = bytes.as_chunks::<8>();
        for &eight in eights {
            self.add(u64::from_le_bytes(eight));
        }
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.add(u64::from_le_bytes(last));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.add(u64::from(number));
    }

    fn write_u32(&mut self, number: u32) {
        self.add(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.add(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.add(number as u64);
    }

    fn finish(&self) -> u64 {
        mix(self.0)
    }
}

/// The hash of a text; one of another length is another text, whatever ends it.
pub(super) fn of_text(text: &str) -> u64 {
    let mut hasher = QuickHasher::default();
    hasher.write_usize(text.len());
    hasher.write(text.as_bytes());
    hasher.finish()
}

/// The hash of some hashes, in their order.
pub(super) fn of_hashes(hashes: &[u64]) -> u64 {
    let mut hasher = QuickHasher::default();
    for &hash in hashes {
        hasher.write_u64(hash);
    }
    hasher.finish()
}

/// Spreads what differs between two numbers over all of their bits: the last steps of `SplitMix64`.
pub(super) fn mix(number: u64) -> u64 {
    let mut mixed = number;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_of_many_texts_and_of_orders_of_them_differ() {
        let texts: Vec<String> = (0..20_000).map(|i| format!("word{i}")).collect();
        let hashes: HashSet<u64> = texts.iter().map(|text| of_text(text)).collect();
        assert_eq!(hashes.len(), texts.len());
        assert_ne!(of_text("a"), of_text("a\0"), "what fills the last eight bytes counts");
        let pairs: HashSet<u64> =
            (0..200).flat_map(|a| (0..200).map(move |b| of_hashes(&[a, b]))).collect();
        assert_eq!(pairs.len(), 40_000);
    }

    #[test]
    fn the_low_and_the_high_bits_of_a_hash_are_spread_evenly() {
        for shift in [0, 24, 56] {
            let mut counts = [0; 256];
            for i in 0..25_600 {
                counts[usize::from(of_text(&format!("w{i}")).to_be_bytes()[7 - shift / 8])] += 1;
            }
            assert!(counts.iter().all(|count| (50..160).contains(count)), "{counts:?}");
        }
    }
}
