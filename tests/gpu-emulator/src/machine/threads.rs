//! One thread of a block: its registers, its functions' frames, and where it is.

use super::FRESH;
use super::exchange::{LANES, Offer};
use super::launch::Fault;
use super::space::Spaces;
use crate::ptx::Module;
use crate::ptx::function::{Function, Initial, Special};
use crate::ptx::operation::{Call, Instruction, Op, Slot};

/// Most registers and bytes of frames of a thread, and most calls in each other.
const MOST_REGISTERS: usize = 1 << 17;
const MOST_LOCAL_BYTES: usize = 1 << 20;
const MOST_CALLS: usize = 256;
/// Instructions of one thread: more than a minute's. A loop that waits for another thread without a
/// barrier would never end here, for threads run in turns.
const MOST_INSTRUCTIONS: u64 = if cfg!(test) { 1 << 16 } else { 1 << 33 };

/// What all threads of a block have in common.
pub(super) struct Block<'m> {
    pub(super) module: &'m Module,
    pub(super) grid: [u32; 3],
    pub(super) threads: [u32; 3],
    /// The block's place in the grid.
    pub(super) at: [u32; 3],
    /// Where the launch's shared memory begins.
    pub(super) dynamic_shared: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum State {
    #[default]
    Ready,
    /// At the barrier with this number.
    AtBarrier(u64),
    Exchanges(Offer),
    Ended,
}

/// A function that is executed, or that has called another one.
#[derive(Debug, Clone, Copy, Default)]
struct Frame {
    function: usize,
    /// The next instruction.
    at: usize,
    /// Where its registers and its local variables begin.
    registers: usize,
    local: usize,
}

#[derive(Debug, Default)]
pub(super) struct Thread {
    pub(super) registers: Vec<u64>,
    pub(super) local: Vec<u8>,
    callers: Vec<Frame>,
    now: Frame,
    pub(super) carry: bool,
    /// Instructions executed.
    pub(super) clock: u64,
    pub(super) state: State,
    /// The thread's number in its block.
    number: u32,
}

/// What comes after an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Next,
    /// Another function, or the thread has to wait or has ended.
    Leave,
}

impl Thread {
    /// Puts the thread at a kernel's start, with the bytes of each parameter.
    ///
    /// # Errors
    ///
    /// `Failed`: the kernel needs too much.
    pub(super) fn start(
        &mut self,
        number: u32,
        kernel: usize,
        block: &Block<'_>,
        arguments: &[Vec<u8>],
    ) -> Result<(), Fault> {
        self.registers.clear();
        self.local.clear();
        self.callers.clear();
        (self.carry, self.clock, self.state, self.number) = (false, 0, State::Ready, number);
        self.enter(kernel, block)?;
        let places = &block.module.functions[kernel].parameters;
        for (place, bytes) in places.iter().zip(arguments) {
            let into = self.local.get_mut(place.offset as usize..).unwrap_or_default();
            let length = bytes.len().min(place.bytes as usize).min(into.len());
            into[..length].copy_from_slice(&bytes[..length]);
        }
        Ok(())
    }

    /// Runs until the thread waits or has ended.
    ///
    /// # Errors
    ///
    /// What an instruction did wrong, with its line.
    pub(super) fn proceed(
        &mut self,
        block: &Block<'_>,
        spaces: &mut Spaces<'_>,
    ) -> Result<(), Fault> {
        while self.state == State::Ready {
            self.in_function(&block.module.functions[self.now.function], block, spaces)?;
        }
        Ok(())
    }

    fn in_function(
        &mut self,
        function: &Function,
        block: &Block<'_>,
        spaces: &mut Spaces<'_>,
    ) -> Result<(), Fault> {
        loop {
            let Some(it) = function.code.get(self.now.at) else {
                return Err(Fault::Failed("the code has no end".to_owned()));
            };
            self.now.at += 1;
            self.clock += 1;
            if self.clock > MOST_INSTRUCTIONS {
                let fault = Fault::Failed("a thread that does not end".to_owned());
                return Err(located(fault, it, function));
            }
            if it.guard.is_some_and(|(slot, wanted)| self.is_set(slot) != wanted) {
                continue;
            }
            match self.execute(it, block, spaces) {
                Ok(Flow::Next) => {}
                Ok(Flow::Leave) => return Ok(()),
                Err(fault) => return Err(located(fault, it, function)),
            }
        }
    }

    #[inline]
    pub(super) fn get(&self, slot: Slot) -> u64 {
        self.registers[self.now.registers + slot as usize]
    }

    #[inline]
    pub(super) fn set(&mut self, slot: Slot, value: u64) {
        self.registers[self.now.registers + slot as usize] = value;
    }

    #[inline]
    pub(super) fn all<const N: usize>(&self, slots: [Slot; N]) -> [u64; N] {
        slots.map(|slot| self.get(slot))
    }

    pub(super) fn is_set(&self, slot: Slot) -> bool {
        self.get(slot) & 1 == 1
    }

    pub(super) fn jump(&mut self, target: u32) {
        self.now.at = target as usize;
    }

    /// Calls a function of the module: its parameters are copied from the caller's frame.
    pub(super) fn call(
        &mut self,
        call: &Call,
        index: usize,
        block: &Block<'_>,
    ) -> Result<(), Fault> {
        let caller = self.now;
        self.callers.push(caller);
        self.enter(index, block)?;
        let places = &block.module.functions[index].parameters;
        for (place, &from) in places.iter().zip(&call.arguments) {
            let (from, to) = (caller.local + from as usize, self.now.local + place.offset as usize);
            self.copy(from, to, place.bytes as usize)?;
        }
        Ok(())
    }

    /// 8 bytes of the frame; 0 where they are not all there.
    pub(super) fn argument(&self, offset: u32) -> u64 {
        let bytes = self.local.get(self.now.local + offset as usize..);
        bytes.and_then(|bytes| bytes.first_chunk()).map_or(0, |&bytes| u64::from_le_bytes(bytes))
    }

    /// Leaves a function: its results are copied to the caller's frame, or the thread ends.
    pub(super) fn leave(&mut self, block: &Block<'_>) -> Result<(), Fault> {
        let Some(caller) = self.callers.pop() else {
            self.state = State::Ended;
            return Ok(());
        };
        let left = std::mem::replace(&mut self.now, caller);
        let functions = &block.module.functions;
        if let Op::Call(call) = &functions[caller.function].code[caller.at - 1].op {
            let places = &functions[left.function].results;
            for (place, &to) in places.iter().zip(&call.results) {
                let (from, to) = (left.local + place.offset as usize, caller.local + to as usize);
                self.copy(from, to, place.bytes as usize)?;
            }
        }
        self.registers.truncate(left.registers);
        self.local.truncate(left.local);
        Ok(())
    }

    fn copy(&mut self, from: usize, to: usize, length: usize) -> Result<(), Fault> {
        let most = self.local.len().saturating_sub(length);
        if length > self.local.len() || from > most || to > most {
            return Err(Fault::Failed("a call whose arguments do not fit".to_owned()));
        }
        self.local.copy_within(from..from + length, to);
        Ok(())
    }

    /// Gives a function its registers and its frame.
    fn enter(&mut self, index: usize, block: &Block<'_>) -> Result<(), Fault> {
        let function = &block.module.functions[index];
        let (registers, local) = (self.registers.len(), self.local.len().next_multiple_of(16));
        let (slots, bytes) = (function.slots as usize, function.frame_bytes as usize);
        if registers + slots > MOST_REGISTERS
            || local + bytes > MOST_LOCAL_BYTES
            || self.callers.len() > MOST_CALLS
        {
            return Err(Fault::Failed(format!("`{}` needs too much memory", function.name)));
        }
        self.registers.resize(registers + slots, 0);
        self.local.resize(local + bytes, FRESH);
        self.now = Frame { function: index, at: 0, registers, local };
        for &(slot, initial) in &function.initial {
            let value = match initial {
                Initial::Literal(value) => value,
                Initial::Frame(offset) => local as u64 + u64::from(offset),
                Initial::DynamicShared => block.dynamic_shared,
                Initial::Special(special) => self.special(special, block),
            };
            self.set(slot, value);
        }
        Ok(())
    }

    fn special(&self, special: Special, block: &Block<'_>) -> u64 {
        let [x, y, _] = block.threads;
        u64::from(match special {
            Special::Thread(0) => self.number % x,
            Special::Thread(1) => self.number / x % y,
            Special::Thread(_) => self.number / (x * y),
            Special::Threads(direction) => block.threads[usize::from(direction)],
            Special::Block(direction) => block.at[usize::from(direction)],
            Special::Blocks(direction) => block.grid[usize::from(direction)],
            Special::Lane => self.number % LANES as u32,
        })
    }
}

fn located(fault: Fault, it: &Instruction, function: &Function) -> Fault {
    let at = |what: &str| format!("{what}, in line {} of `{}`", it.line, function.name);
    match fault {
        Fault::Address(what) => Fault::Address(at(&what)),
        Fault::Failed(what) => Fault::Failed(at(&what)),
    }
}
