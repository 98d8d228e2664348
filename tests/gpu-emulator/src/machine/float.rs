//! Floating-point arithmetic. Approximations are as exact here as the format allows.

use super::exact::{Exact, Format};
use super::half;
use crate::ptx::operation::{Float, Rounding, Style};
use crate::ptx::scalar::Scalar;

/// The result of an operation on registers.
pub(super) fn compute(what: Float, style: Style, kind: Scalar, from: [u64; 3]) -> u64 {
    if kind.is_pair() {
        let one = |shift: u32| {
            compute(what, style, kind.of_one(), from.map(|it| it >> shift & 0xffff)) << shift
        };
        return one(0) | one(16);
    }
    let from = if style.flush { from.map(|it| flushed(it, kind)) } else { from };
    let bits = match what {
        Float::Neg | Float::Abs | Float::CopySign => return sign(what, kind, from),
        _ if style.rounding != Rounding::NearestEven => rounded(what, style, kind, from),
        _ if kind == Scalar::F32 => single(what, from.map(|it| f32::from_bits(it as u32))),
        _ if kind == Scalar::F64 => double(what, from.map(f64::from_bits)).to_bits(),
        _ => rounded(what, style, kind, from),
    };
    if style == Style::default() { bits } else { styled(bits, style, kind) }
}

/// A register as a number.
pub(super) fn decode(kind: Scalar, bits: u64) -> f64 {
    match kind {
        Scalar::F32 => f64::from(f32::from_bits(bits as u32)),
        Scalar::F16 | Scalar::Bf16 => half::number(bits & 0xffff, kind),
        _ => f64::from_bits(bits),
    }
}

/// A result as a register holds it.
pub(super) fn encode(kind: Scalar, exact: Exact, rounding: Rounding) -> u64 {
    match (kind, rounding) {
        (Scalar::F16 | Scalar::Bf16, _) => half::rounded(exact, kind, rounding),
        (Scalar::F32, Rounding::NearestEven) => single_bits(exact.odd() as f32),
        (Scalar::F32, _) => single_bits(exact.narrowed(Format::F32, rounding) as f32),
        _ => exact.rounded(rounding).to_bits(),
    }
}

/// What `.ftz` and `.sat` make of a result.
pub(super) fn styled(bits: u64, style: Style, kind: Scalar) -> u64 {
    let bits = if style.flush { flushed(bits, kind) } else { bits };
    if !style.saturate {
        return bits;
    }
    let value = decode(kind, bits);
    let value = if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) };
    // Adding 0 makes -0 a 0.
    encode(kind, Exact::of(value + 0.0), Rounding::NearestEven)
}

/// Subnormal numbers as zeros of their sign.
pub(super) fn flushed(bits: u64, kind: Scalar) -> u64 {
    let (exponent, sign) = match kind {
        Scalar::F32 => (0x7f80_0000, 1 << 31),
        Scalar::F64 => (0x7ff0_0000_0000_0000, 1 << 63),
        _ => return bits,
    };
    if bits & exponent == 0 { bits & sign } else { bits }
}

/// The bits of an `f32`; all that are not numbers are one.
fn single_bits(value: f32) -> u64 {
    if value.is_nan() { 0x7fff_ffff } else { u64::from(value.to_bits()) }
}

fn sign(what: Float, kind: Scalar, [a, b, _]: [u64; 3]) -> u64 {
    let sign = 1 << (kind.bits() - 1);
    match what {
        Float::Neg => a ^ sign,
        Float::Abs => a & (sign - 1),
        _ => b & (sign - 1) | a & sign,
    }
}

fn single(what: Float, [a, b, c]: [f32; 3]) -> u64 {
    single_bits(match what {
        Float::Add => a + b,
        Float::Sub => a - b,
        Float::Mul => a * b,
        Float::Fma => a.mul_add(b, c),
        Float::Div => a / b,
        Float::Reciprocal => 1.0 / a,
        Float::Sqrt => a.sqrt(),
        // Through f64: rounded a second time, which an approximation may be.
        _ => double(what, [a, b, c].map(f64::from)) as f32,
    })
}

fn double(what: Float, [a, b, c]: [f64; 3]) -> f64 {
    match what {
        Float::Add => a + b,
        Float::Sub => a - b,
        Float::Mul => a * b,
        Float::Fma => a.mul_add(b, c),
        Float::Div => a / b,
        Float::Reciprocal => 1.0 / a,
        Float::Sqrt => a.sqrt(),
        Float::ReciprocalSqrt => 1.0 / a.sqrt(),
        Float::Sin => a.sin(),
        Float::Cos => a.cos(),
        Float::Exp2 => a.exp2(),
        Float::Log2 => a.log2(),
        Float::Tanh => a.tanh(),
        Float::Min { nan } => least(a, b, nan),
        Float::Max { nan } => -least(-a, -b, nan),
        Float::Neg => -a,
        Float::Abs => a.abs(),
        Float::CopySign => b.copysign(a),
    }
}

/// The smaller number, -0 before 0; `nan` tells whether it has to be one where an operand is none.
fn least(a: f64, b: f64, nan: bool) -> f64 {
    match (a.is_nan(), b.is_nan()) {
        (false, false) if a < b || (a == b && a.is_sign_negative()) => a,
        (false, false) => b,
        (true, true) => f64::NAN,
        _ if nan => f64::NAN,
        (true, false) => b,
        (false, true) => a,
    }
}

/// With one rounding of any direction, or to 16 bits.
fn rounded(what: Float, style: Style, kind: Scalar, from: [u64; 3]) -> u64 {
    let [a, b, c] = from.map(|it| decode(kind, it));
    let exact = match what {
        Float::Add => Exact::sum(a, b),
        Float::Sub => Exact::sum(a, -b),
        Float::Mul => Exact::product(a, b),
        Float::Fma => Exact::fused(a, b, c),
        Float::Div => Exact::quotient(a, b),
        Float::Reciprocal => Exact::quotient(1.0, a),
        Float::Sqrt => Exact::root(a),
        _ => Exact::of(double(what, [a, b, c])),
    };
    encode(kind, exact, style.rounding)
}

#[cfg(test)]
mod tests {
    use super::{Float, Rounding, Scalar, Style, compute};

    fn directed(what: Float, rounding: Rounding, [a, b]: [f32; 2]) -> f64 {
        let style = Style { rounding, ..Style::default() };
        let bits = compute(what, style, Scalar::F32, [a, b, 0.0].map(|it| it.to_bits().into()));
        f64::from(f32::from_bits(bits as u32))
    }

    #[test]
    fn quotients_and_roots_are_between_their_roundings_down_and_up() {
        let numbers = [1.0_f32, 3.0, 0.1, 7e-20, 1e20, 1.0 + f32::EPSILON, 1e-40];
        for a in numbers {
            // The products of two f32 are exact as f64.
            let [low, high] = [Rounding::Down, Rounding::Up]
                .map(|rounding| directed(Float::Sqrt, rounding, [a, 0.0]));
            assert!(low * low <= a.into() && f64::from(a) <= high * high, "root of {a}");
            for b in numbers {
                let [low, high] = [Rounding::Down, Rounding::Up]
                    .map(|rounding| directed(Float::Div, rounding, [a, b]));
                let [a, b] = [a, b].map(f64::from);
                assert!(low * b <= a && a <= high * b, "{a} / {b}: {low} to {high}");
                assert!(high.is_infinite() || (high as f32).next_down() <= low as f32);
            }
        }
    }

    #[test]
    fn what_is_not_a_number_is_0_where_results_are_saturated() {
        let nan = u64::from(f32::NAN.to_bits());
        let saturated = Style { saturate: true, ..Style::default() };
        assert_eq!(compute(Float::Add, saturated, Scalar::F32, [nan, 0, 0]), 0);
        let two = u64::from(2.0_f32.to_bits());
        assert_eq!(compute(Float::Add, saturated, Scalar::F32, [two, 0, 0]), 0x3f80_0000);
    }
}
