//! Results with what was lost of them, so that they can be rounded once, in any direction.

use super::half::power;
use crate::ptx::operation::Rounding;

/// A number near a result, and the side on which the result is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exact {
    /// The `f64` nearest to the result.
    value: f64,
    /// The result is `value` and a little with this sign: less than half a unit in the last place.
    /// 0 or not a number where `value` is exact.
    error: f64,
}

/// A format narrower than `f64`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Format {
    /// Bits of the significand, with the first.
    precision: i32,
    /// Of the smallest normal number.
    least_exponent: i32,
    largest: f64,
}

impl Format {
    pub(super) const F16: Format = Format { precision: 11, least_exponent: -14, largest: 65504.0 };
    pub(super) const BF16: Format =
        Format { precision: 8, least_exponent: -126, largest: 3.389_531_389_251_535_5e38 };
    pub(super) const F32: Format =
        Format { precision: 24, least_exponent: -126, largest: f32::MAX as f64 };
}

impl Exact {
    pub(super) fn of(value: f64) -> Exact {
        Exact { value, error: 0.0 }
    }

    pub(super) fn integer(value: i128) -> Exact {
        let nearest = value as f64;
        Exact { value: nearest, error: (value - nearest as i128) as f64 }
    }

    pub(super) fn sum(a: f64, b: f64) -> Exact {
        let value = a + b;
        let of_b = value - a;
        Exact { value, error: (a - (value - of_b)) + (b - of_b) }
    }

    /// `a * b + c`.
    pub(super) fn fused(a: f64, b: f64, c: f64) -> Exact {
        let product = a * b;
        let lost = a.mul_add(b, -product);
        let sum = Exact::sum(product, c);
        let value = a.mul_add(b, c);
        Exact { value, error: (sum.value - value) + sum.error + lost }
    }

    pub(super) fn product(a: f64, b: f64) -> Exact {
        let value = a * b;
        Exact { value, error: a.mul_add(b, -value) }
    }

    pub(super) fn quotient(a: f64, b: f64) -> Exact {
        let value = a / b;
        let rest = (-value).mul_add(b, a);
        Exact { value, error: if b < 0.0 { -rest } else { rest } }
    }

    pub(super) fn root(a: f64) -> Exact {
        let value = a.sqrt();
        Exact { value, error: (-value).mul_add(value, a) }
    }

    /// The result as an `f64`.
    pub(super) fn rounded(self, rounding: Rounding) -> f64 {
        let Exact { value, error } = self;
        match rounding {
            Rounding::Down if error < 0.0 => value.next_down(),
            Rounding::Up if error > 0.0 => value.next_up(),
            Rounding::Zero if error < 0.0 && value > 0.0 => value.next_down(),
            Rounding::Zero if error > 0.0 && value < 0.0 => value.next_up(),
            _ => value,
        }
    }

    /// The one of the two `f64` around the result whose last bit is 1, or the result where it is one:
    /// what is rounded from there is right as if rounded from the result itself.
    pub(super) fn odd(self) -> f64 {
        let is_even = self.value.to_bits() & 1 == 0;
        if is_even && self.error > 0.0 {
            self.value.next_up()
        } else if is_even && self.error < 0.0 {
            self.value.next_down()
        } else {
            self.value
        }
    }

    /// The result in a narrower format, as an `f64`.
    pub(super) fn narrowed(self, format: Format, rounding: Rounding) -> f64 {
        let value = self.odd();
        if value == 0.0 || !value.is_finite() {
            return value;
        }
        let exponent = ((value.to_bits() >> 52) & 0x7ff) as i32 - 1023;
        let unit = power(exponent.max(format.least_exponent) - format.precision + 1);
        let narrow = integral(value / unit, rounding) * unit;
        if narrow.abs() <= format.largest {
            return narrow.copysign(value);
        }
        let is_cut = match rounding {
            Rounding::NearestEven => false,
            Rounding::Zero => true,
            Rounding::Down => value > 0.0,
            Rounding::Up => value < 0.0,
        };
        let magnitude = if is_cut { format.largest } else { f64::INFINITY };
        magnitude.copysign(value)
    }
}

/// A whole number, with the sign of 0 kept.
pub(super) fn integral(value: f64, rounding: Rounding) -> f64 {
    match rounding {
        Rounding::NearestEven => value.round_ties_even(),
        Rounding::Zero => value.trunc(),
        Rounding::Down => value.floor(),
        Rounding::Up => value.ceil(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Exact, Format, Rounding};

    #[test]
    fn a_sum_is_rounded_once_and_in_every_direction() {
        let sum = Exact::sum(1.0, 2.0_f64.powi(-80));
        assert_eq!(sum.rounded(Rounding::Up), 1.0_f64.next_up());
        assert_eq!(sum.rounded(Rounding::Zero), 1.0);
        // Half a unit and a little more: rounded to f64 first, it would become a tie.
        let more = Exact::sum(1.0 + 2.0_f64.powi(-8), 2.0_f64.powi(-80));
        assert_eq!(more.narrowed(Format::BF16, Rounding::NearestEven), 1.0 + 2.0_f64.powi(-7));
        let less = Exact::sum(-1.0, 2.0_f64.powi(-80));
        assert_eq!(less.narrowed(Format::F32, Rounding::Zero), -f64::from(1.0_f32.next_down()));
    }

    #[test]
    fn overflow_is_the_largest_number_where_rounding_is_towards_zero() {
        let large = Exact::of(1e39);
        assert_eq!(large.narrowed(Format::F32, Rounding::Zero), f64::from(f32::MAX));
        assert_eq!(large.narrowed(Format::F32, Rounding::Up), f64::INFINITY);
    }
}
