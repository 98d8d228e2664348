//! Changes to a valid input.

use std::ops::Range;

use proptest::prelude::*;
use proptest::sample::select;

/// A valid input, and the parts of it where a change is likeliest to matter.
#[derive(Debug, Clone)]
pub struct Seed {
    /// The input.
    pub bytes: Vec<u8>,
    hot: Vec<Range<usize>>,
}

impl Seed {
    /// An input that is of interest everywhere.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), hot: Vec::new() }
    }

    /// Names a part that is changed more often than the rest: a header, a table.
    #[must_use]
    pub fn hot(mut self, range: Range<usize>) -> Self {
        self.hot.push(range);
        self
    }

    /// The input after these changes.
    pub fn mutated(&self, mutations: &[Mutation]) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        for mutation in mutations {
            mutation.apply(&mut bytes, &self.hot);
        }
        bytes
    }
}

/// A place in an input of any length.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Which of the parts of interest, or the whole where there is none of this number.
    part: u8,
    at: u32,
}

impl Place {
    fn within(self, length: usize, hot: &[Range<usize>]) -> usize {
        let part = hot.get(usize::from(self.part) % (hot.len() + 1)).cloned();
        let part = part.unwrap_or(0..length);
        let (start, end) = (part.start.min(length), part.end.min(length));
        // One beyond the last is a place, too.
        start + self.at as usize % (end - start + 1)
    }
}

/// One change.
#[derive(Debug, Clone)]
pub enum Mutation {
    /// One bit is the other.
    FlipBit(Place, u8),
    /// One byte has another value.
    Set(Place, u8),
    /// So many bytes are gone.
    Delete(Place, u16),
    /// So many bytes are there again and again.
    Repeat(Place, u16, u8),
    /// Something is put in.
    Insert(Place, Vec<u8>),
    /// Something takes the place of as many bytes.
    Overwrite(Place, Vec<u8>),
    /// The end is missing.
    Truncate(Place),
    /// Two lines have changed places.
    SwapLines(Place, Place),
}

impl Mutation {
    fn apply(&self, bytes: &mut Vec<u8>, hot: &[Range<usize>]) {
        let length = bytes.len();
        let span = |place: Place, count: usize| {
            let start = place.within(length, hot);
            start..start.saturating_add(count).min(length)
        };
        match self {
            Self::FlipBit(place, bit) => {
                bytes[span(*place, 1)].iter_mut().for_each(|byte| *byte ^= 1 << (bit % 8));
            }
            Self::Set(place, value) => bytes[span(*place, 1)].fill(*value),
            Self::Delete(place, count) => drop(bytes.drain(span(*place, usize::from(*count)))),
            Self::Repeat(place, count, times) => {
                let span = span(*place, usize::from(*count));
                let copies = bytes[span.clone()].repeat(usize::from(*times));
                bytes.splice(span.start..span.start, copies);
            }
            Self::Insert(place, new) => {
                let at = span(*place, 0);
                bytes.splice(at, new.iter().copied());
            }
            Self::Overwrite(place, new) => {
                let span = span(*place, new.len());
                let fitting = new[..span.len()].to_vec();
                bytes.splice(span, fitting);
            }
            Self::Truncate(place) => bytes.truncate(span(*place, 0).start),
            Self::SwapLines(one, other) => {
                let (one, other) = (span(*one, 0).start, span(*other, 0).start);
                swap_lines(bytes, one, other);
            }
        }
    }
}

fn swap_lines(bytes: &mut Vec<u8>, one: usize, other: usize) {
    let line_of = |at: usize| bytes[..at].split(|&byte| byte == b'\n').count() - 1;
    let (one, other) = (line_of(one), line_of(other));
    let mut lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
    lines.swap(one, other);
    *bytes = lines.join(&b'\n');
}

/// Numbers and marks that programs trip over, as text and as little-endian bytes.
fn interesting() -> Vec<Vec<u8>> {
    let mut found: Vec<Vec<u8>> = [
        "-1",
        "0",
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "4294967295",
        "1e999",
        "NaN",
        "null",
        "\u{feff}",
        "\u{2028}",
        "\r\n",
        "\n",
        "\"",
        "\\",
        "{}",
        "[]",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    found.extend([vec![0], vec![0xff], vec![0; 8], vec![0xff; 8], vec![0xff; 4], vec![0x80; 10]]);
    for number in [i64::MAX, i64::MIN, 1 << 31, 1 << 32, 1 << 40, 1 << 62, i64::from(i32::MAX)] {
        found.push(number.to_le_bytes().to_vec());
    }
    found
}

/// One to six changes; `words` are the format's own.
pub(crate) fn mutations(words: &'static [&'static str]) -> impl Strategy<Value = Vec<Mutation>> {
    let place = || (any::<u8>(), any::<u32>()).prop_map(|(part, at)| Place { part, at });
    let count = || prop_oneof![4 => 1u16..16, 1 => any::<u16>()];
    let mut known = interesting();
    known.extend(words.iter().map(|word| word.as_bytes().to_vec()));
    let text = prop_oneof![4 => select(known), 1 => prop::collection::vec(any::<u8>(), 1..16)];
    let one = prop_oneof![
        3 => (place(), any::<u8>()).prop_map(|(place, bit)| Mutation::FlipBit(place, bit)),
        3 => (place(), any::<u8>()).prop_map(|(place, byte)| Mutation::Set(place, byte)),
        2 => (place(), count()).prop_map(|(place, count)| Mutation::Delete(place, count)),
        1 => (place(), count(), 1u8..8)
            .prop_map(|(place, count, times)| Mutation::Repeat(place, count, times)),
        4 => (place(), text.clone()).prop_map(|(place, new)| Mutation::Insert(place, new)),
        4 => (place(), text).prop_map(|(place, new)| Mutation::Overwrite(place, new)),
        1 => place().prop_map(Mutation::Truncate),
        1 => (place(), place()).prop_map(|(one, other)| Mutation::SwapLines(one, other)),
    ];
    prop::collection::vec(one, 1..=6)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Place = Place { part: 0, at: 0 };

    #[test]
    fn every_mutation_is_what_it_says() {
        let seed = Seed::new("ab\ncd");
        let at = |at| Place { part: 0, at };
        for (mutation, wanted) in [
            (Mutation::FlipBit(FIRST, 1), "cb\ncd"),
            (Mutation::Set(at(1), b'x'), "ax\ncd"),
            (Mutation::Delete(at(1), 3), "ad"),
            (Mutation::Delete(at(3), 900), "ab\n"),
            (Mutation::Repeat(FIRST, 2, 2), "ababab\ncd"),
            (Mutation::Insert(at(5), b"!".to_vec()), "ab\ncd!"),
            (Mutation::Overwrite(at(4), b"xyz".to_vec()), "ab\ncx"),
            (Mutation::Truncate(at(2)), "ab"),
            (Mutation::SwapLines(FIRST, at(4)), "cd\nab"),
        ] {
            let found = seed.mutated(std::slice::from_ref(&mutation));
            assert_eq!(String::from_utf8(found).unwrap(), wanted, "{mutation:?}");
        }
        let everywhere = Mutation::Delete(at(7), 9);
        assert!(Seed::new("").mutated(&[everywhere]).is_empty());
    }

    #[test]
    fn a_part_of_interest_is_where_changes_go() {
        let seed = Seed::new("0123456789").hot(3..5);
        let places: Vec<usize> =
            (0..20).map(|at| Place { part: 0, at }.within(10, &seed.hot)).collect();
        assert!(places.iter().all(|place| (3..=5).contains(place)));
        assert_eq!(Place { part: 1, at: 9 }.within(10, &seed.hot), 9);
    }
}
