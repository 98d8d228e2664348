//! The types of numbers that matrices have, and their rounding.

#![expect(unsafe_code, reason = "numbers are read and written by address")]
#![expect(clippy::cast_possible_truncation, reason = "rounding is what this is for")]

use std::ffi::c_int;

use crate::driver::at;
use crate::machine::half;
use crate::ptx::scalar::Scalar;

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

    /// The type as kernels name it.
    fn scalar(self) -> Scalar {
        match self {
            Self::F16 => Scalar::F16,
            Self::Bf16 => Scalar::Bf16,
            Self::F32 => Scalar::F32,
            Self::F64 => Scalar::F64,
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
            Self::F16 | Self::Bf16 => {
                // SAFETY: the caller's.
                let bits = unsafe { at.cast::<u16>().read_unaligned() };
                half::number(u64::from(bits), self.scalar())
            }
            // SAFETY: the caller's.
            Self::F32 => f64::from(unsafe { at.cast::<f32>().read_unaligned() }),
            // SAFETY: the caller's.
            Self::F64 => unsafe { at.cast::<f64>().read_unaligned() },
        }
    }

    /// Writes a number, rounded once.
    ///
    /// # Safety
    ///
    /// There is room for a number of this type at the address.
    pub(super) unsafe fn write(self, address: u64, number: f64) {
        let at = at::<u8>(address);
        match self {
            Self::F16 | Self::Bf16 => {
                let bits = half::nearest(number, self.scalar()) as u16;
                // SAFETY: the caller's.
                unsafe { at.cast::<u16>().write_unaligned(bits) }
            }
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
        let halved = |kind| half::number(half::nearest(number, kind), kind);
        match self {
            Self::F16 => halved(Scalar::F16),
            Self::Bf16 => halved(Scalar::Bf16),
            Self::Tf32 if single.is_finite() => {
                f64::from(f32::from_bits((single.to_bits() + (1 << 12)) & !0x1FFF))
            }
            Self::None | Self::Tf32 => number,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tf32_has_ten_bits_after_the_first() {
        let unit = 1.0 / 1024.0;
        assert_eq!(Rounding::Tf32.round(1.0 + unit / 2.0), 1.0 + unit);
        assert_eq!(Rounding::Tf32.round(-1.0 - unit / 2.1), -1.0);
        assert_eq!(Rounding::Tf32.round(f64::INFINITY), f64::INFINITY);
    }
}
