//! Numbers as PTX writes them.

use super::scalar::{Scalar, low_bits};
use crate::machine::half;

/// The bits of a literal as a register of a type holds them; `None` where the word is no number.
///
/// `0f` and `0d` are the bits of an `f32` and an `f64`. A predicate is 1 for every number but 0.
pub(super) fn literal(word: &str, negative: bool, kind: Scalar) -> Option<u64> {
    if let Some(bits) = float_bits(word) {
        return Some(float(word, bits, negative, kind));
    }
    if let Some(whole) = whole(word) {
        let signed = if negative { whole.wrapping_neg() } else { whole };
        return Some(match kind {
            Scalar::Pred => u64::from(signed != 0),
            Scalar::F32 | Scalar::F64 => decimal(signed as i64 as f64, kind),
            _ => low_bits(signed, kind.bits()),
        });
    }
    let number: f64 =
        word.parse().ok().filter(|_| word.starts_with(|c: char| c.is_ascii_digit()))?;
    Some(decimal(if negative { -number } else { number }, kind))
}

/// A whole number: decimal, `0x`, `0b` or octal, with or without `U` at its end.
pub(super) fn whole(word: &str) -> Option<u64> {
    let digits = word.strip_suffix(['U', 'u']).unwrap_or(word);
    let (digits, radix) = match digits.get(..2) {
        Some("0x" | "0X") => (&digits[2..], 16),
        Some("0b" | "0B") => (&digits[2..], 2),
        Some(_) if digits.starts_with('0') => (&digits[1..], 8),
        _ => (digits, 10),
    };
    u64::from_str_radix(digits, radix).ok()
}

/// The bits after `0f` or `0d`.
fn float_bits(word: &str) -> Option<u64> {
    let is_float = word.starts_with("0f") || word.starts_with("0F");
    let is_double = word.starts_with("0d") || word.starts_with("0D");
    let digits = if is_float { 8 } else { 16 };
    if !(is_float || is_double) || word.len() != digits + 2 {
        return None;
    }
    u64::from_str_radix(&word[2..], 16).ok()
}

fn float(word: &str, bits: u64, negative: bool, kind: Scalar) -> u64 {
    let is_single = word.len() == 10;
    let bits = bits ^ (u64::from(negative) << if is_single { 31 } else { 63 });
    match kind {
        Scalar::F64 if is_single => f64::from(f32::from_bits(bits as u32)).to_bits(),
        Scalar::F32 if !is_single => u64::from((f64::from_bits(bits) as f32).to_bits()),
        _ => low_bits(bits, kind.bits()),
    }
}

fn decimal(number: f64, kind: Scalar) -> u64 {
    match kind {
        Scalar::F16 | Scalar::Bf16 => half::nearest(number, kind),
        Scalar::F32 => u64::from((number as f32).to_bits()),
        _ => number.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::literal;
    use crate::ptx::scalar::Scalar;

    #[test]
    fn literals_are_the_bits_that_a_register_holds() {
        let cases = [
            ("1", true, Scalar::Pred, 1),
            ("0x8000U", false, Scalar::U16, 0x8000),
            ("4", true, Scalar::S32, 0xffff_fffc),
            ("010", false, Scalar::U32, 8),
            ("0b101", false, Scalar::U32, 5),
            ("0f3F800000", false, Scalar::F32, 0x3f80_0000),
            ("0f3F800000", false, Scalar::U32, 0x3f80_0000),
            ("0d3FF0000000000000", false, Scalar::F64, 0x3ff0_0000_0000_0000),
            ("1.5", true, Scalar::F32, 0xbfc0_0000),
        ];
        for (word, negative, kind, bits) in cases {
            assert_eq!(literal(word, negative, kind), Some(bits), "{word}");
        }
        assert_eq!(literal("%r1", false, Scalar::U32), None);
    }
}
