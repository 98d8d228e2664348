//! What arithmetic instructions compute, and how.

use super::scalar::Scalar;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Integer {
    Add,
    Sub,
    Mul,
    MulHigh,
    MulWide,
    Mad,
    MadHigh,
    MadWide,
    Div,
    Rem,
    Abs,
    Neg,
    Min,
    Max,
    And,
    Or,
    Xor,
    Not,
    /// 1 where the operand is 0.
    IsZero,
    ShiftLeft,
    ShiftRight,
    CountOnes,
    LeadingZeros,
    Insert,
    Permute,
    FunnelLeft {
        wrap: bool,
    },
    FunnelRight {
        wrap: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carry {
    Add,
    Sub,
    Mad,
    MadHigh,
}

/// Whether an instruction adds the carry, and whether it sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CarryFlags {
    pub(crate) reads: bool,
    pub(crate) writes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Float {
    Add,
    Sub,
    Mul,
    Fma,
    Div,
    Reciprocal,
    Sqrt,
    ReciprocalSqrt,
    Sin,
    Cos,
    Exp2,
    Log2,
    Tanh,
    Neg,
    Abs,
    CopySign,
    /// With `nan`, not a number where one operand is not; otherwise the other operand.
    Min {
        nan: bool,
    },
    Max {
        nan: bool,
    },
}

/// How a result is rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Rounding {
    #[default]
    NearestEven,
    Zero,
    Down,
    Up,
}

/// What is done with a floating-point result besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Style {
    pub(crate) rounding: Rounding,
    /// `.ftz`: subnormal `f32` are 0, as operands and as results.
    pub(crate) flush: bool,
    /// `.sat`: into 0..=1, not a number becomes 0; for integers, into the type's range.
    pub(crate) saturate: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    /// These with `U` hold as well where an operand is not a number.
    Equ,
    Neu,
    Ltu,
    Leu,
    Gtu,
    Geu,
    Num,
    Nan,
}

/// A comparison, and how another predicate is combined with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Test {
    pub(crate) relation: Relation,
    pub(crate) kind: Scalar,
    pub(crate) flush: bool,
    pub(crate) combine: Combine,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Combine {
    Alone,
    And,
    Or,
    Xor,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Conversion {
    pub(crate) from: Scalar,
    pub(crate) into: Scalar,
    pub(crate) style: Style,
    /// Rounded to a whole number, as the style says.
    pub(crate) integral: bool,
    /// Bits of the register that takes the result.
    pub(crate) bits: u8,
}
