//! The types of PTX's instructions, and how a register of 64 bits holds a value of each.

/// A type of an instruction. Untyped bits (`.b32`) are unsigned numbers here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scalar {
    /// A predicate: 0 or 1.
    Pred,
    U8,
    U16,
    U32,
    U64,
    S8,
    S16,
    S32,
    S64,
    F16,
    Bf16,
    F32,
    F64,
    /// Two numbers in one register of 32 bits, the first in the low half.
    F16x2,
    Bf16x2,
}

impl Scalar {
    /// The type that a modifier names, without its point.
    pub(crate) fn named(name: &str) -> Option<Scalar> {
        Some(match name {
            "pred" => Scalar::Pred,
            "u8" | "b8" => Scalar::U8,
            "u16" | "b16" => Scalar::U16,
            "u32" | "b32" => Scalar::U32,
            "u64" | "b64" => Scalar::U64,
            "s8" => Scalar::S8,
            "s16" => Scalar::S16,
            "s32" => Scalar::S32,
            "s64" => Scalar::S64,
            "f16" => Scalar::F16,
            "bf16" => Scalar::Bf16,
            "f32" => Scalar::F32,
            "f64" => Scalar::F64,
            "f16x2" => Scalar::F16x2,
            "bf16x2" => Scalar::Bf16x2,
            _ => return None,
        })
    }

    /// Bits of a value; 1 for a predicate.
    pub(crate) fn bits(self) -> u32 {
        match self {
            Scalar::Pred => 1,
            Scalar::U8 | Scalar::S8 => 8,
            Scalar::U16 | Scalar::S16 | Scalar::F16 | Scalar::Bf16 => 16,
            Scalar::U64 | Scalar::S64 | Scalar::F64 => 64,
            _ => 32,
        }
    }

    /// Bytes of a value in memory.
    pub(crate) fn bytes(self) -> usize {
        (self.bits() as usize).div_ceil(8)
    }

    pub(crate) fn is_signed(self) -> bool {
        matches!(self, Scalar::S8 | Scalar::S16 | Scalar::S32 | Scalar::S64)
    }

    /// Whether this is a floating-point type, of one number or two.
    pub(crate) fn is_float(self) -> bool {
        matches!(self, Scalar::F16 | Scalar::Bf16 | Scalar::F32 | Scalar::F64) || self.is_pair()
    }

    pub(crate) fn is_pair(self) -> bool {
        matches!(self, Scalar::F16x2 | Scalar::Bf16x2)
    }

    /// The type of each of a pair's numbers; the type itself where it is not a pair.
    pub(crate) fn of_one(self) -> Scalar {
        match self {
            Scalar::F16x2 => Scalar::F16,
            Scalar::Bf16x2 => Scalar::Bf16,
            one => one,
        }
    }

    /// The value in the low bits of a register, extended to 64 bits as the type says.
    pub(crate) fn extend(self, register: u64) -> u64 {
        let unused = 64 - self.bits();
        if self.is_signed() {
            ((register << unused) as i64 >> unused) as u64
        } else {
            register << unused >> unused
        }
    }
}

/// A value's low bits, the others 0: how a register of that many bits holds it.
pub(crate) fn low_bits(value: u64, bits: u32) -> u64 {
    value & (u64::MAX >> (64 - bits.clamp(1, 64)))
}
