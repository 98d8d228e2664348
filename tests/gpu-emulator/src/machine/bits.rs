//! Operations on single bits, fields of bits and bytes.

use crate::ptx::operation::Integer;
use crate::ptx::scalar::{Scalar, low_bits};

pub(super) fn compute(what: Integer, kind: Scalar, from: [u64; 4]) -> u64 {
    let bits = kind.bits();
    let [a, b, c, d] = from.map(|it| low_bits(it, bits));
    match what {
        Integer::CountOnes => u64::from(a.count_ones()),
        Integer::LeadingZeros => u64::from(a.leading_zeros() - (64 - bits)),
        Integer::ReverseBits => a.reverse_bits() >> (64 - bits),
        Integer::FindHighest => u64::from(highest(kind, a).unwrap_or(u32::MAX)),
        Integer::HighestFromTop => {
            u64::from(highest(kind, a).map_or(u32::MAX, |place| bits - 1 - place))
        }
        Integer::Extract => extract(kind, a, from[1] & 0xff, from[2] & 0xff),
        Integer::Insert => insert(bits, a, b, from[2] & 0xff, from[3] & 0xff),
        Integer::Permute => permute(a, b, c),
        Integer::Logic => logic(a, b, c, d),
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

/// The place of the highest bit that is not the sign.
fn highest(kind: Scalar, a: u64) -> Option<u32> {
    let extended = kind.extend(a);
    let is_negative = kind.is_signed() && (extended as i64) < 0;
    let magnitude = if is_negative { !extended } else { extended };
    magnitude.checked_ilog2()
}

/// A field from a place on, its last bit extended if the type is signed.
fn extract(kind: Scalar, a: u64, from: u64, length: u64) -> u64 {
    let bits = u64::from(kind.bits());
    let extended = kind.extend(a);
    if length == 0 {
        return 0;
    }
    let sign_at = (from + length - 1).min(bits - 1);
    let is_negative = kind.is_signed() && extended >> sign_at & 1 == 1;
    let field = if from >= bits { 0 } else { low_bits(a, bits as u32) >> from };
    let ones = if length >= 64 { u64::MAX } else { (1 << length) - 1 };
    // Beyond the number there is its sign.
    let present = bits.saturating_sub(from).min(length);
    let present = if present >= 64 { u64::MAX } else { (1 << present) - 1 };
    let field = field & ones;
    let result = if is_negative { field | !present } else { field };
    low_bits(result, bits as u32)
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

/// Each bit as a table tells, whose index has the bits of `a`, `b` and `c`.
fn logic(a: u64, b: u64, c: u64, table: u64) -> u64 {
    let chosen = |index: u64| {
        let pick = |value: u64, bit: u64| if index >> bit & 1 == 1 { value } else { !value };
        pick(a, 2) & pick(b, 1) & pick(c, 0)
    };
    let joined = (0..8).filter(|index| table >> index & 1 == 1).map(chosen);
    low_bits(joined.fold(0, |all, one| all | one), 32)
}

#[cfg(test)]
mod tests {
    use super::compute;
    use crate::ptx::operation::Integer;
    use crate::ptx::scalar::Scalar;

    #[test]
    fn fields_bytes_and_tables_are_taken_as_the_instruction_set_says() {
        let cases = [
            (Integer::LeadingZeros, Scalar::U32, [1, 0, 0, 0], 31),
            (Integer::LeadingZeros, Scalar::U64, [0, 0, 0, 0], 64),
            (Integer::ReverseBits, Scalar::U32, [1, 0, 0, 0], 0x8000_0000),
            (Integer::FindHighest, Scalar::U32, [0, 0, 0, 0], 0xffff_ffff),
            (Integer::HighestFromTop, Scalar::U32, [1 << 30, 0, 0, 0], 1),
            (Integer::FindHighest, Scalar::S32, [0xffff_fff0, 0, 0, 0], 3),
            (Integer::Extract, Scalar::U32, [0xabcd, 4, 8, 0], 0xbc),
            (Integer::Extract, Scalar::S32, [0x80, 4, 4, 0], 0xffff_fff8),
            (Integer::Extract, Scalar::S32, [0x8000_0000, 28, 20, 0], 0xffff_fff8),
            (Integer::Insert, Scalar::U64, [0x1234, 7, 32, 32], 0x1234_0000_0007),
            (Integer::Permute, Scalar::U32, [0x3322_1100, 0x7766_5584, 0x5410, 0], 0x5584_1100),
            (Integer::Permute, Scalar::U32, [0, 0x80, 0x000c, 0], 0xff),
            (Integer::Logic, Scalar::U32, [0b1100, 0b1010, 0b1111, 0x80], 0b1000),
            (Integer::FunnelLeft { wrap: true }, Scalar::U32, [0x8000_0000, 1, 33, 0], 3),
            (Integer::FunnelRight { wrap: false }, Scalar::U32, [1, 2, 40, 0], 2),
        ];
        for (what, kind, from, result) in cases {
            assert_eq!(compute(what, kind, from), result, "{what:?} {from:x?}");
        }
    }
}
