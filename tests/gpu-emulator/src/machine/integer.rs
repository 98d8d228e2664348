//! Integer arithmetic and operations on bits.

use super::bits;
use crate::ptx::operation::{Carry, Integer};
use crate::ptx::scalar::{Scalar, low_bits};

/// The result of an operation on registers, as a register holds it.
#[inline]
pub(super) fn compute(what: Integer, kind: Scalar, from: [u64; 4]) -> u64 {
    let [a, b, c] = [kind.extend(from[0]), kind.extend(from[1]), kind.extend(from[2])];
    let result = match what {
        Integer::Add => a.wrapping_add(b),
        Integer::Sub => a.wrapping_sub(b),
        Integer::Mul => a.wrapping_mul(b),
        Integer::Mad => a.wrapping_mul(b).wrapping_add(c),
        Integer::MulHigh => high(kind, a, b),
        Integer::MadHigh => high(kind, a, b).wrapping_add(c),
        // The extended operands' product has all the bits that twice the width takes.
        Integer::MulWide => return low_bits(a.wrapping_mul(b), kind.bits() * 2),
        Integer::MadWide => {
            return low_bits(a.wrapping_mul(b).wrapping_add(from[2]), kind.bits() * 2);
        }
        Integer::Div => quotient(kind, a, b),
        Integer::Rem => remainder(kind, a, b),
        Integer::Abs => (a as i64).unsigned_abs(),
        Integer::Neg => a.wrapping_neg(),
        Integer::Min if kind.is_signed() => (a as i64).min(b as i64) as u64,
        Integer::Max if kind.is_signed() => (a as i64).max(b as i64) as u64,
        Integer::Min => a.min(b),
        Integer::Max => a.max(b),
        Integer::And => a & b,
        Integer::Or => a | b,
        Integer::Xor => a ^ b,
        Integer::Not => !a,
        Integer::IsZero => u64::from(a == 0),
        Integer::ShiftLeft => shift_left(a, low_bits(from[1], 32)),
        Integer::ShiftRight => shift_right(kind, a, low_bits(from[1], 32)),
        _ => return bits::compute(what, kind, from),
    };
    low_bits(result, kind.bits())
}

/// The upper half of a product.
fn high(kind: Scalar, a: u64, b: u64) -> u64 {
    let product = if kind.is_signed() {
        i128::from(a as i64).wrapping_mul(i128::from(b as i64)) as u128
    } else {
        u128::from(a) * u128::from(b)
    };
    (product >> kind.bits()) as u64
}

/// All ones where the divisor is 0.
fn quotient(kind: Scalar, a: u64, b: u64) -> u64 {
    if b == 0 {
        u64::MAX
    } else if kind.is_signed() {
        (a as i64).wrapping_div(b as i64) as u64
    } else {
        a / b
    }
}

/// The dividend where the divisor is 0.
fn remainder(kind: Scalar, a: u64, b: u64) -> u64 {
    if b == 0 {
        a
    } else if kind.is_signed() {
        (a as i64).wrapping_rem(b as i64) as u64
    } else {
        a % b
    }
}

fn shift_left(a: u64, by: u64) -> u64 {
    a.checked_shl(by as u32).unwrap_or(0)
}

/// By the type's width and more, 0 or the sign.
fn shift_right(kind: Scalar, a: u64, by: u64) -> u64 {
    let by = by.min(u64::from(kind.bits()));
    if kind.is_signed() {
        ((a as i64) >> by.min(63)) as u64
    } else {
        a.checked_shr(by as u32).unwrap_or(0)
    }
}

/// A sum with the carry that comes in, and the carry that goes out; a difference's is a borrow.
pub(super) fn carry(what: Carry, kind: Scalar, from: [u64; 3], coming: bool) -> (u64, bool) {
    let bits = kind.bits();
    let [a, b, c] = from.map(|it| low_bits(it, bits));
    let coming = u128::from(coming);
    let sum = match what {
        Carry::Add => u128::from(a) + u128::from(b) + coming,
        Carry::Sub => u128::from(a).wrapping_sub(u128::from(b)).wrapping_sub(coming),
        // The lower half is the same for signed and unsigned numbers.
        Carry::Mad => u128::from(low_bits(a.wrapping_mul(b), bits)) + u128::from(c) + coming,
        Carry::MadHigh => {
            let upper = low_bits(high(kind, kind.extend(a), kind.extend(b)), bits);
            u128::from(upper) + u128::from(c) + coming
        }
    };
    (low_bits(sum as u64, bits), sum >> bits & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::{carry, compute};
    use crate::ptx::operation::{Carry, Integer};
    use crate::ptx::scalar::Scalar;

    #[test]
    fn results_are_what_the_width_of_the_type_leaves() {
        let minus = |value: i32| u64::from(value.cast_unsigned());
        let cases = [
            (Integer::Add, Scalar::U16, [0xffff, 2, 0], 1),
            (Integer::Mul, Scalar::S32, [minus(-3), 5, 0], minus(-15)),
            (Integer::MulWide, Scalar::S32, [minus(-3), 5, 0], (-15_i64).cast_unsigned()),
            (Integer::MulHigh, Scalar::U64, [u64::MAX, u64::MAX, 0], u64::MAX - 1),
            (Integer::MulHigh, Scalar::S32, [minus(-1), 1, 0], minus(-1)),
            (Integer::Div, Scalar::U32, [7, 0, 0], 0xffff_ffff),
            (Integer::Div, Scalar::S32, [minus(i32::MIN), minus(-1), 0], minus(i32::MIN)),
            (Integer::Div, Scalar::S64, [1 << 63, u64::MAX, 0], 1 << 63),
            (Integer::ShiftLeft, Scalar::U32, [1, 32, 0], 0),
            (Integer::ShiftLeft, Scalar::U64, [1, 64, 0], 0),
            (Integer::ShiftRight, Scalar::S32, [minus(-8), 99, 0], minus(-1)),
            (Integer::ShiftRight, Scalar::U16, [0x8000, 16, 0], 0),
            (Integer::Min, Scalar::S16, [0x8000, 1, 0], 0x8000),
            (Integer::Not, Scalar::Pred, [1, 0, 0], 0),
            (Integer::Neg, Scalar::S16, [1, 0, 0], 0xffff),
        ];
        for (what, kind, [a, b, c], result) in cases {
            assert_eq!(compute(what, kind, [a, b, c, 0]), result, "{what:?} {kind:?}");
        }
    }

    #[test]
    fn a_carry_goes_from_one_word_to_the_next() {
        let ones = 0xffff_ffff;
        assert_eq!(carry(Carry::Add, Scalar::U32, [ones, 1, 0], false), (0, true));
        assert_eq!(carry(Carry::Add, Scalar::U32, [0, 0, 0], true), (1, false));
        assert_eq!(carry(Carry::Sub, Scalar::U32, [0, 1, 0], false), (ones, true));
        assert_eq!(carry(Carry::Sub, Scalar::U64, [5, 1, 0], true), (3, false));
        assert_eq!(carry(Carry::Mad, Scalar::U32, [ones, ones, ones], false), (0, true));
        assert_eq!(carry(Carry::MadHigh, Scalar::U32, [ones, ones, 1], true), (0, true));
    }
}
