//! Conversions between types.

use super::exact::{Exact, integral};
use super::float::{decode, encode, flushed, styled};
use crate::ptx::operation::{Conversion, Style};
use crate::ptx::scalar::{Scalar, low_bits};

/// The converted value as a register of the conversion's bits holds it. A pair is made of both
/// operands: the first becomes the high half.
pub(super) fn convert(it: Conversion, [a, b]: [u64; 2]) -> u64 {
    if it.into.is_pair() {
        let half = Conversion { into: it.into.of_one(), ..it };
        return one(half, a) << 16 | one(half, b);
    }
    low_bits(one(it, a), u32::from(it.bits))
}

fn one(it: Conversion, bits: u64) -> u64 {
    match (it.from.is_float(), it.into.is_float()) {
        (false, false) => integer(it, bits),
        (false, true) => {
            let exact = Exact::integer(whole(it.from, bits));
            styled(
                encode(it.into, exact, it.style.rounding),
                Style { flush: false, ..it.style },
                it.into,
            )
        }
        (true, false) => float_to_integer(it, bits),
        (true, true) => float(it, bits),
    }
}

/// The number that a register of an integer type holds.
fn whole(kind: Scalar, bits: u64) -> i128 {
    let extended = kind.extend(bits);
    if kind.is_signed() { i128::from(extended as i64) } else { i128::from(extended) }
}

fn integer(it: Conversion, bits: u64) -> u64 {
    if !it.style.saturate {
        return it.into.extend(it.from.extend(bits));
    }
    let (least, largest) = range(it.into);
    whole(it.from, bits).clamp(least, largest) as u64
}

fn range(kind: Scalar) -> (i128, i128) {
    let bits = kind.bits();
    if kind.is_signed() {
        (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    } else {
        (0, (1 << bits) - 1)
    }
}

/// Beyond the type's range it is the end of the range. What is not a number is 0 between types of up
/// to 32 bits; if one has 64, it is the highest bit alone.
fn float_to_integer(it: Conversion, bits: u64) -> u64 {
    let bits = if it.style.flush { flushed(bits, it.from) } else { bits };
    let value = decode(it.from, bits);
    if value.is_nan() {
        let is_wide = it.from.bits() == 64 || it.into.bits() == 64;
        return it.into.extend(u64::from(is_wide) << (it.into.bits() - 1));
    }
    let (least, largest) = range(it.into);
    (integral(value, it.style.rounding) as i128).clamp(least, largest) as u64
}

fn float(it: Conversion, bits: u64) -> u64 {
    let bits = if it.style.flush { flushed(bits, it.from) } else { bits };
    let value = decode(it.from, bits);
    let value = if it.integral { integral(value, it.style.rounding) } else { value };
    styled(encode(it.into, Exact::of(value), it.style.rounding), it.style, it.into)
}
