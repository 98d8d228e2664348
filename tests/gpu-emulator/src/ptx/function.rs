//! A function's code and what it needs to run.

use super::operation::{Instruction, Op, Slot};

/// A kernel or a function that kernels call.
#[derive(Debug, Clone, Default)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// Ends with a return or an exit: no path leads past the end. Branches stay inside.
    pub(crate) code: Vec<Instruction>,
    /// Registers; every slot in the code is below.
    pub(crate) slots: u32,
    /// What registers hold at the start.
    pub(crate) initial: Vec<(Slot, Initial)>,
    /// Bytes of parameters, results and local variables.
    pub(crate) frame_bytes: u32,
    /// Where the frame has the parameters and the results.
    pub(crate) parameters: Vec<Place>,
    pub(crate) results: Vec<Place>,
    /// Bytes of shared memory that the function and the module declare.
    pub(crate) shared_bytes: u32,
}

/// A variable in a frame, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) offset: u32,
    pub(crate) bytes: u32,
    pub(crate) align: u32,
}

/// What a register holds from the start of its function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Initial {
    Literal(u64),
    /// An offset in the function's frame, as an address of local memory.
    Frame(u32),
    /// Where the shared memory begins that the launch adds.
    DynamicShared,
    Special(Special),
}

/// A special register; directions are 0 for x, 1 for y, 2 for z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Special {
    Thread(u8),
    Threads(u8),
    Block(u8),
    Blocks(u8),
    Lane,
}

impl Special {
    pub(super) fn named(name: &str) -> Option<Special> {
        let (register, direction) = match name.rsplit_once('.') {
            Some((register, "x")) => (register, 0),
            Some((register, "y")) => (register, 1),
            Some((register, "z")) => (register, 2),
            _ => (name, u8::MAX),
        };
        Some(match (register, direction) {
            ("%tid", 0..=2) => Special::Thread(direction),
            ("%ntid", 0..=2) => Special::Threads(direction),
            ("%ctaid", 0..=2) => Special::Block(direction),
            ("%nctaid", 0..=2) => Special::Blocks(direction),
            ("%laneid", _) => Special::Lane,
            _ => return None,
        })
    }
}

impl Function {
    /// Whether a thread may have to wait for another one, apart from what it calls.
    pub(super) fn waits(&self) -> bool {
        let waits = |op: &Op| matches!(op, Op::Barrier { .. } | Op::Exchange { .. });
        self.code.iter().any(|instruction| waits(&instruction.op))
    }

    pub(super) fn calls(&self) -> bool {
        self.code.iter().any(|instruction| matches!(instruction.op, Op::Call(_)))
    }
}
