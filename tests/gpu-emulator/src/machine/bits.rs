//! Operations on single bits, fields of bits and bytes.

use crate::ptx::operation::Integer;
use crate::ptx::scalar::{Scalar, low_bits};

pub(super) fn compute(what: Integer, kind: Scalar, from: [u64; 4]) -> u64 {
    let bits = kind.bits();
    let [a, b, c, _] = from.map(|it| low_bits(it, bits));
    match what {
        Integer::CountOnes => u64::from(a.count_ones()),
        Integer::LeadingZeros => u64::from(a.leading_zeros() - (64 - bits)),
        Integer::Insert => insert(bits, a, b, from[2] & 0xff, from[3] & 0xff),
        Integer::Permute => permute(a, b, c),
        Integer::FunnelLeft { wrap } => {
            let by = if wrap { c & 31 } else { c.min(32) };
            low_bits((b << 32 | a) << by >> 32, 32)
        }
        Integer::FunnelRight { wrap } => {
            let by = if wrap { c & 31 } else { c.min(32) };
            low_bits((b << 32 | a) >> by, 32)
        }
        _ => a,
    }
}

/// `b` with as many low bits of `a` put in from a place on.
fn insert(bits: u32, a: u64, b: u64, at: u64, length: u64) -> u64 {
    let ones = if length >= 64 { u64::MAX } else { (1 << length) - 1 };
    let mask = if at >= 64 { 0 } else { ones << at };
    let field = if at >= 64 { 0 } else { a << at };
    low_bits(b & !mask | field & mask, bits)
}

/// Four of the eight bytes of two numbers, or the sign of these bytes.
fn permute(a: u64, b: u64, selector: u64) -> u64 {
    let bytes = b << 32 | a;
    let byte = |at: u64| {
        let choice = selector >> (at * 4);
        let byte = bytes >> ((choice & 7) * 8) & 0xff;
        let sign = if byte & 0x80 == 0 { 0 } else { 0xff };
        (if choice & 8 == 0 { byte } else { sign }) << (at * 8)
    };
    (0..4).map(byte).sum()
}

#[cfg(test)]
mod tests {
    use super::compute;
    use crate::ptx::operation::Integer;
    use crate::ptx::scalar::Scalar;

    #[test]
    fn fields_and_bytes_are_taken_as_the_instruction_set_says() {
        let cases = [
            (Integer::LeadingZeros, Scalar::U32, [1, 0, 0, 0], 31),
            (Integer::LeadingZeros, Scalar::U64, [0, 0, 0, 0], 64),
            (Integer::Insert, Scalar::U64, [0x1234, 7, 32, 32], 0x1234_0000_0007),
            (Integer::Permute, Scalar::U32, [0x3322_1100, 0x7766_5584, 0x5410, 0], 0x5584_1100),
            (Integer::Permute, Scalar::U32, [0, 0x80, 0x000c, 0], 0xff),
            (Integer::FunnelLeft { wrap: true }, Scalar::U32, [0x8000_0000, 1, 33, 0], 3),
            (Integer::FunnelRight { wrap: false }, Scalar::U32, [1, 2, 40, 0], 2),
        ];
        for (what, kind, from, result) in cases {
            assert_eq!(compute(what, kind, from), result, "{what:?} {from:x?}");
        }
    }
}
