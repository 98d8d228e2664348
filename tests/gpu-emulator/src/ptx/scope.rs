//! What a function's names stand for, and its registers' slots.

use std::collections::HashMap;

use super::function::{Initial, Special};
use super::operation::Slot;
use super::scalar::Scalar;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variable {
    Register {
        slot: Slot,
        kind: Scalar,
    },
    /// A variable in memory, by its address.
    Place(Initial),
}

/// The names of one block of braces.
#[derive(Debug, Default)]
struct Names {
    id: u32,
    single: HashMap<String, Variable>,
    /// `%r<5>`: the prefix, the first slot, how many, and their type.
    ranges: Vec<(String, Slot, u32, Scalar)>,
}

/// The names that a function's text may use where the reader is, and the slots it has given out.
#[derive(Debug)]
pub(super) struct Scope {
    blocks: Vec<Names>,
    opened: u32,
    slots: u32,
    /// Bytes of the frame that are taken.
    frame: u32,
    given: HashMap<Initial, Slot>,
}

impl Scope {
    pub(super) fn new() -> Scope {
        let blocks = vec![Names::default()];
        Scope { blocks, opened: 0, slots: 0, frame: 0, given: HashMap::new() }
    }

    pub(super) fn open(&mut self) {
        self.opened += 1;
        self.blocks.push(Names { id: self.opened, ..Names::default() });
    }

    /// Leaves a block; false where it was the last.
    pub(super) fn close(&mut self) -> bool {
        self.blocks.pop();
        !self.blocks.is_empty()
    }

    /// The numbers of the blocks that are open, the outermost first.
    pub(super) fn path(&self) -> Vec<u32> {
        self.blocks.iter().map(|block| block.id).collect()
    }

    pub(super) fn register(&mut self, name: &str, kind: Scalar) {
        let slot = self.spare();
        self.name(name, Variable::Register { slot, kind });
    }

    /// Registers `prefix0`, `prefix1` and so on.
    pub(super) fn registers(&mut self, prefix: &str, count: u32, kind: Scalar) {
        let first = self.slots;
        self.slots = self.slots.saturating_add(count);
        if let Some(block) = self.blocks.last_mut() {
            block.ranges.push((prefix.to_owned(), first, count, kind));
        }
    }

    /// Takes bytes of the frame for a variable; returns their offset.
    pub(super) fn place(&mut self, name: &str, bytes: u32, align: u32) -> u32 {
        let offset = self.frame.next_multiple_of(align.max(1));
        self.frame = offset.saturating_add(bytes);
        self.name(name, Variable::Place(Initial::Frame(offset)));
        offset
    }

    pub(super) fn name(&mut self, name: &str, variable: Variable) {
        if let Some(block) = self.blocks.last_mut() {
            block.single.insert(name.to_owned(), variable);
        }
    }

    /// A slot that no name has.
    pub(super) fn spare(&mut self) -> Slot {
        self.slots += 1;
        self.slots - 1
    }

    /// The slot that holds a value from the function's start.
    pub(super) fn given(&mut self, value: Initial) -> Slot {
        if let Some(&slot) = self.given.get(&value) {
            return slot;
        }
        let slot = self.spare();
        self.given.insert(value, slot);
        slot
    }

    /// What a name stands for here; special registers and the warp's size count as names.
    pub(super) fn find(&mut self, name: &str) -> Option<Variable> {
        if let Some(found) = self.blocks.iter().rev().find_map(|block| block.find(name)) {
            return Some(found);
        }
        let value = match name {
            "WARP_SZ" => Initial::Literal(32),
            _ => Initial::Special(Special::named(name)?),
        };
        Some(Variable::Register { slot: self.given(value), kind: Scalar::U32 })
    }

    /// How many slots, bytes of frame, and what slots hold from the start.
    pub(super) fn finish(self) -> (u32, u32, Vec<(Slot, Initial)>) {
        let mut initial: Vec<_> =
            self.given.into_iter().map(|(value, slot)| (slot, value)).collect();
        initial.sort_by_key(|&(slot, _)| slot);
        (self.slots, self.frame, initial)
    }
}

impl Names {
    fn find(&self, name: &str) -> Option<Variable> {
        if let Some(&variable) = self.single.get(name) {
            return Some(variable);
        }
        let prefix = name.trim_end_matches(|sign: char| sign.is_ascii_digit());
        let number: u32 = name[prefix.len()..].parse().ok()?;
        let of_prefix =
            |range: &&(String, Slot, u32, Scalar)| range.0 == prefix && number < range.2;
        let (_, first, _, kind) = self.ranges.iter().rev().find(of_prefix)?;
        Some(Variable::Register { slot: first + number, kind: *kind })
    }
}
