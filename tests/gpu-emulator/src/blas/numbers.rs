//! The types of numbers that matrices have, and their rounding.

#![expect(unsafe_code, reason = "numbers are read and written by address")]
#![expect(clippy::cast_possible_truncation, reason = "rounding is what this is for")]

use std::ffi::c_int;

use crate::driver::at;

/// The type of a matrix's numbers, or of a factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    F16,
    Bf16,
    F32,
    F64,
}

impl Type {
    /// The type of a `cudaDataType`; `None` for one that candle does not multiply.
    pub(super) fn of_cuda(number: c_int) -> Option<Self> {
        Some(match number {
            0 => Self::F32,
            1 => Self::F64,
            2 => Self::F16,
            14 => Self::Bf16,
            _ => return None,
        })
    }

    /// Bytes of a number.
    pub(super) fn size(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// The type's name, as candle has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }

    /// Reads a number; nothing is lost.
    ///
    /// # Safety
    ///
    /// A number of this type is at the address.
    pub(super) unsafe fn read(self, address: u64) -> f64 {
        let at = at::<u8>(address);
        match self {
            // SAFETY: the caller's.
            Self::F16 => f64::from(of_f16(unsafe { at.cast::<u16>().read_unaligned() })),
            // SAFETY: the caller's.
            Self::Bf16 => f64::from(of_bf16(unsafe { at.cast::<u16>().read_unaligned() })),
            // SAFETY: the caller's.
            Self::F32 => f64::from(unsafe { at.cast::<f32>().read_unaligned() }),
            // SAFETY: the caller's.
            Self::F64 => unsafe { at.cast::<f64>().read_unaligned() },
        }
    }

    /// Writes a number, rounded once if it has at most the 24 bits of an `f32`, as sums in `f32` have.
    ///
    /// # Safety
    ///
    /// There is room for a number of this type at the address.
    pub(super) unsafe fn write(self, address: u64, number: f64) {
        let at = at::<u8>(address);
        match self {
            // SAFETY: the caller's.
            Self::F16 => unsafe { at.cast::<u16>().write_unaligned(to_f16(number as f32)) },
            // SAFETY: the caller's.
            Self::Bf16 => unsafe { at.cast::<u16>().write_unaligned(to_bf16(number as f32)) },
            // SAFETY: the caller's.
            Self::F32 => unsafe { at.cast::<f32>().write_unaligned(number as f32) },
            // SAFETY: the caller's.
            Self::F64 => unsafe { at.cast::<f64>().write_unaligned(number) },
        }
    }
}

/// To what operands are rounded before they are multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rounding {
    None,
    F16,
    Bf16,
    /// 10 bits of mantissa, halves away from zero, as `cvt.rna.tf32` has it.
    Tf32,
}

impl Rounding {
    /// Rounds a number that has come from an `f32`, or a narrower one, which stays as it is.
    pub(super) fn round(self, number: f64) -> f64 {
        let single = number as f32;
        match self {
            Self::F16 => f64::from(of_f16(to_f16(single))),
            Self::Bf16 => f64::from(of_bf16(to_bf16(single))),
            Self::Tf32 if single.is_finite() => {
                f64::from(f32::from_bits((single.to_bits() + (1 << 12)) & !0x1FFF))
            }
            Self::None | Self::Tf32 => number,
        }
    }
}

/// The number of a bf16's bits.
fn of_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// The bits of the nearest bf16, the even one of two.
fn to_bf16(number: f32) -> u16 {
    let bits = number.to_bits();
    if number.is_nan() {
        return upper(bits) | 0x40;
    }
    upper(bits + 0x7FFF + ((bits >> 16) & 1))
}

/// The number of an f16's bits.
fn of_f16(bits: u16) -> f32 {
    let (sign, exponent, mantissa) =
        (u32::from(bits >> 15) << 31, u32::from(bits >> 10) & 0x1F, u32::from(bits) & 0x3FF);
    let magnitude = match exponent {
        // Below the normal numbers all have the same unit, 2⁻²⁴.
        0 => (mantissa as f32 / 16_777_216.0).to_bits(),
        0x1F => 0x7F80_0000 | mantissa << 13,
        _ => (exponent + 112) << 23 | mantissa << 13,
    };
    f32::from_bits(sign | magnitude)
}

/// The bits of the nearest f16, the even one of two.
fn to_f16(number: f32) -> u16 {
    let (sign, magnitude) = (upper(number.to_bits()) & 0x8000, number.abs());
    if magnitude.is_nan() {
        return sign | 0x7E00;
    }
    if magnitude >= 65520.0 {
        return sign | 0x7C00;
    }
    let bits = magnitude.to_bits();
    let rounded = if magnitude < 1.0 / 16384.0 {
        // To add 0.5 leaves units of 2⁻²⁴, rounded as is wanted.
        (magnitude + 0.5).to_bits() - 0.5_f32.to_bits()
    } else {
        (bits + 0xFFF + ((bits >> 13) & 1) - (112 << 23)) >> 13
    };
    sign | upper(rounded << 16)
}

/// The upper half of 32 bits.
fn upper(bits: u32) -> u16 {
    (bits >> 16) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_go_to_the_even_bf16() {
        let one = 0x3F80;
        assert_eq!(to_bf16(1.0), one);
        assert_eq!(to_bf16(1.0 + 1.0 / 256.0), one);
        assert_eq!(to_bf16(1.0 + 3.0 / 256.0), one + 2);
        assert_eq!(to_bf16(1.0 + 1.001 / 256.0), one + 1);
        assert_eq!(to_bf16(f32::MAX), 0x7F80);
        assert!(of_bf16(to_bf16(f32::NAN)).is_nan());
    }

    #[test]
    fn every_f16_is_itself_and_halves_go_to_the_even_one() {
        for bits in (0..=u16::MAX).filter(|bits| bits & 0x7C00 != 0x7C00) {
            assert_eq!(to_f16(of_f16(bits)), bits);
        }
        for bits in 0..0x7BFF {
            let (low, high) = (of_f16(bits), of_f16(bits + 1));
            assert_eq!(to_f16(f32::midpoint(low, high)), bits + (bits & 1), "after {low}");
        }
        assert_eq!((to_f16(65519.0), to_f16(65520.0)), (0x7BFF, 0x7C00));
        assert_eq!(of_f16(to_f16(f32::NEG_INFINITY)), f32::NEG_INFINITY);
        assert!(of_f16(to_f16(f32::NAN)).is_nan());
    }

    #[test]
    fn tf32_has_ten_bits_after_the_first() {
        let unit = 1.0 / 1024.0;
        assert_eq!(Rounding::Tf32.round(1.0 + unit / 2.0), 1.0 + unit);
        assert_eq!(Rounding::Tf32.round(-1.0 - unit / 2.1), -1.0);
        assert_eq!(Rounding::Tf32.round(f64::INFINITY), f64::INFINITY);
    }
}
