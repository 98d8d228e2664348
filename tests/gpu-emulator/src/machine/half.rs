//! Numbers of 16 bits: `f16` and `bf16`.

use super::exact::{Exact, Format};
use crate::ptx::operation::Rounding;
use crate::ptx::scalar::Scalar;

/// What an operation gives that is not a number.
const NOT_A_NUMBER: u64 = 0x7fff;

/// The number that 16 bits stand for; `kind` is `F16` or `Bf16`.
pub(crate) fn number(bits: u64, kind: Scalar) -> f64 {
    if kind == Scalar::Bf16 {
        return f64::from(f32::from_bits((bits as u32) << 16));
    }
    let fraction = (bits & 0x3ff) as f64;
    let magnitude = match (bits >> 10) & 0x1f {
        0 => fraction * power(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        exponent => (1024.0 + fraction) * power(exponent as i32 - 25),
    };
    if bits & 0x8000 == 0 { magnitude } else { -magnitude }
}

/// The bits of the number that is nearest.
pub(crate) fn nearest(number: f64, kind: Scalar) -> u64 {
    rounded(Exact::of(number), kind, Rounding::NearestEven)
}

/// The bits of a number after one rounding.
pub(super) fn rounded(exact: Exact, kind: Scalar, rounding: Rounding) -> u64 {
    let format = if kind == Scalar::Bf16 { Format::BF16 } else { Format::F16 };
    let number = exact.narrowed(format, rounding);
    if number.is_nan() {
        NOT_A_NUMBER
    } else if kind == Scalar::Bf16 {
        u64::from((number as f32).to_bits() >> 16)
    } else {
        u64::from(number.is_sign_negative()) << 15 | magnitude(number.abs())
    }
}

/// The bits of an `f16` that is exact already.
fn magnitude(number: f64) -> u64 {
    if number.is_infinite() {
        return 0x7c00;
    }
    let exponent = (number.to_bits() >> 52) as i32 - 1023;
    if exponent < -14 {
        return (number / power(-24)) as u64;
    }
    let fraction = (number / power(exponent) - 1.0) * 1024.0;
    ((exponent + 15) as u64) << 10 | fraction as u64
}

/// Two to an exponent within an `f64`'s normal numbers.
pub(super) fn power(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::{nearest, number};
    use crate::ptx::scalar::Scalar;

    #[test]
    fn every_half_is_the_nearest_to_its_own_number() {
        for kind in [Scalar::F16, Scalar::Bf16] {
            for bits in 0..=0xffff {
                let value = number(bits, kind);
                if value.is_nan() {
                    assert_eq!(nearest(value, kind), 0x7fff);
                } else {
                    assert_eq!(nearest(value, kind), bits, "{kind:?}");
                }
            }
        }
    }

    #[test]
    fn rounding_is_to_the_nearest_and_ties_go_to_even() {
        let cases = [
            (Scalar::Bf16, 1.0 + 1.0 / 256.0, 0x3f80),
            (Scalar::Bf16, 1.0 + 3.0 / 256.0, 0x3f82),
            (Scalar::Bf16, f64::from(f32::MAX), 0x7f80),
            (Scalar::F16, 65519.0, 0x7bff),
            (Scalar::F16, 65520.0, 0x7c00),
            (Scalar::F16, 2.0_f64.powi(-25), 0),
            (Scalar::F16, 2.0_f64.powi(-25) * 1.01, 1),
        ];
        for (kind, value, bits) in cases {
            assert_eq!(nearest(value, kind), bits, "{value}");
        }
    }
}
