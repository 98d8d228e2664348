//! Instructions as the machine runs them: operands are slots of a thread's registers, and what a
//! text leaves open (literals, addresses, special registers) is in slots as well.

pub(crate) use super::arithmetic::{
    Carry, CarryFlags, Combine, Conversion, Float, Integer, Relation, Rounding, Style, Test,
};
use super::scalar::Scalar;

/// Where a value is: an index into the registers of the function that runs.
pub(crate) type Slot = u32;

/// One instruction, and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Instruction {
    /// The predicate under which it is executed, and the value that this must have.
    pub(crate) guard: Option<(Slot, bool)>,
    pub(crate) op: Op,
    /// The line of the PTX, from 1.
    pub(crate) line: u32,
}

/// What an instruction does. `from` are its operands in the order of the text.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Move {
        to: Slot,
        from: Slot,
    },
    Integer {
        what: Integer,
        kind: Scalar,
        to: Slot,
        from: [Slot; 4],
    },
    Carry {
        what: Carry,
        kind: Scalar,
        flags: CarryFlags,
        to: Slot,
        from: [Slot; 3],
    },
    Float {
        what: Float,
        style: Style,
        kind: Scalar,
        to: Slot,
        from: [Slot; 3],
    },
    /// `setp`: `to` is the combined comparison, `otherwise` the one with the opposite comparison.
    Compare {
        test: Test,
        to: Slot,
        otherwise: Slot,
        from: [Slot; 2],
        also: Slot,
    },
    /// `set`: all ones or 1.0 of the type `into`, or 0.
    Set {
        test: Test,
        into: Scalar,
        to: Slot,
        from: [Slot; 2],
        also: Slot,
    },
    Select {
        kind: Scalar,
        to: Slot,
        from: [Slot; 2],
        predicate: Slot,
    },
    Convert {
        conversion: Conversion,
        to: Slot,
        from: [Slot; 2],
    },
    /// Joins as many registers of `bits` each into one, the first in the lowest bits.
    Pack {
        bits: u8,
        count: u8,
        to: Slot,
        from: [Slot; 4],
    },
    Unpack {
        bits: u8,
        count: u8,
        to: [Slot; 4],
        from: Slot,
    },
    /// An address of a space becomes a generic one, or (`back`) the other way.
    Generic {
        space: Space,
        back: bool,
        to: Slot,
        from: Slot,
    },
    Load {
        kind: Scalar,
        count: u8,
        bits: u8,
        address: Address,
        to: [Slot; 4],
    },
    Store {
        kind: Scalar,
        count: u8,
        address: Address,
        from: [Slot; 4],
    },
    Atomic {
        what: Atomic,
        kind: Scalar,
        address: Address,
        to: Slot,
        from: [Slot; 2],
    },
    Branch {
        target: u32,
    },
    Call(Box<Call>),
    Return,
    Exit,
    Trap,
    /// Waits for all threads of the block that have not ended.
    Barrier {
        id: Slot,
    },
    Exchange {
        what: Exchange,
        kind: Scalar,
        to: Slot,
        valid: Slot,
        from: [Slot; 3],
        mask: Slot,
    },
    Nothing,
    /// What the decoder does not know, in the text's words.
    Unknown(Box<str>),
}

/// Which memory an address is in. Parameters are local memory here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Space {
    Generic,
    Global,
    Shared,
    Local,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) space: Space,
    pub(crate) base: Slot,
    /// Bytes.
    pub(crate) offset: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Atomic {
    Add,
    Min,
    Max,
    And,
    Or,
    Xor,
    Exchange,
    CompareExchange,
    /// Counts up to a limit and then from 0.
    Increment,
    Decrement,
}

/// A call of a function of the module, or of one that it only declares.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) function: Box<str>,
    /// Its place in the module's functions; `None` where it has no body.
    pub(crate) index: Option<usize>,
    /// Offsets of the variables in the caller's frame, in bytes.
    pub(crate) arguments: Vec<u32>,
    pub(crate) results: Vec<u32>,
}

/// What the lanes of a warp give each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exchange {
    ShuffleUp,
    ShuffleDown,
    ShuffleXor,
    ShuffleIndex,
    VoteAll,
    VoteAny,
    Ballot,
    /// `bar.warp.sync`.
    Wait,
}
