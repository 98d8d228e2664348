//! What each instruction does to its thread.

use super::exchange::Offer;
use super::launch::Fault;
use super::space::{Spaces, from_generic, to_generic};
use super::threads::{Block, Flow, State, Thread};
use super::{atomic, compare, convert, float, integer};
use crate::ptx::operation::{
    Address, Atomic, Call, Carry, CarryFlags, Instruction, Op, Slot, Space,
};
use crate::ptx::scalar::{Scalar, low_bits};

impl Thread {
    #[inline]
    pub(super) fn execute(
        &mut self,
        it: &Instruction,
        block: &Block<'_>,
        spaces: &mut Spaces<'_>,
    ) -> Result<Flow, Fault> {
        match it.op {
            Op::Move { to, from } => self.set(to, self.get(from)),
            Op::Integer { what, kind, to, from } => {
                self.set(to, integer::compute(what, kind, self.all(from)));
            }
            Op::Float { what, style, kind, to, from } => {
                self.set(to, float::compute(what, style, kind, self.all(from)));
            }
            Op::Compare { test, to, otherwise, from, also } => {
                let results = compare::test(test, self.all(from), self.is_set(also));
                self.set(otherwise, u64::from(results.1));
                self.set(to, u64::from(results.0));
            }
            Op::Branch { target } => self.jump(target),
            Op::Convert { conversion, to, from } => {
                self.set(to, convert::convert(conversion, self.all(from)));
            }
            Op::Select { kind, to, from: [a, b], predicate } => {
                let chosen = self.get(if self.is_set(predicate) { a } else { b });
                self.set(to, low_bits(chosen, kind.bits()));
            }
            Op::Load { kind, count, bits, address, to } => {
                self.load(address, (kind, bits), &to[..usize::from(count)], spaces)?;
            }
            Op::Store { kind, count, address, from } => {
                self.store(address, kind, &from[..usize::from(count)], spaces)?;
            }
            _ => return self.execute_rare(&it.op, block, spaces),
        }
        Ok(Flow::Next)
    }

    fn execute_rare(
        &mut self,
        op: &Op,
        block: &Block<'_>,
        spaces: &mut Spaces<'_>,
    ) -> Result<Flow, Fault> {
        match *op {
            Op::Carry { what, kind, flags, to, from } => {
                self.carry_on(what, kind, flags, (to, from));
            }
            Op::Set { test, into, to, from, also } => {
                self.set(to, compare::set(test, into, self.all(from), self.is_set(also)));
            }
            Op::Pack { bits, count, to, from } => self.pack(bits, &from[..usize::from(count)], to),
            Op::Unpack { bits, count, to, from } => {
                self.unpack(bits, &to[..usize::from(count)], from);
            }
            Op::Generic { space, back, to, from } => {
                let convert = if back { from_generic } else { to_generic };
                self.set(to, convert(space, self.get(from)));
            }
            Op::Atomic { what, kind, address, to, from } => {
                self.change(address, (what, kind), (to, from), spaces)?;
            }
            _ => return self.turn(op, block, spaces),
        }
        Ok(Flow::Next)
    }

    /// Instructions after which the thread is somewhere else, waits or has ended.
    fn turn(&mut self, op: &Op, block: &Block<'_>, spaces: &mut Spaces<'_>) -> Result<Flow, Fault> {
        match op {
            Op::Call(call) => return self.begin_call(call, block, spaces),
            Op::Return => self.leave(block)?,
            Op::Exit => self.state = State::Ended,
            &Op::Barrier { id } => self.state = State::AtBarrier(self.get(id)),
            &Op::Exchange { what, kind, to, valid, from, mask } => {
                let (from, mask) = (self.all(from), self.get(mask) as u32);
                self.state = State::Exchanges(Offer { what, kind, to, valid, from, mask });
            }
            Op::Trap => return Err(Fault::Failed("`trap`".to_owned())),
            Op::Unknown(text) => {
                return Err(Fault::Failed(format!("an unknown instruction `{text}`")));
            }
            _ => return Ok(Flow::Next),
        }
        Ok(Flow::Leave)
    }

    fn carry_on(
        &mut self,
        what: Carry,
        kind: Scalar,
        flags: CarryFlags,
        (to, from): (Slot, [Slot; 3]),
    ) {
        let coming = flags.reads && self.carry;
        let (value, carry) = integer::carry(what, kind, self.all(from), coming);
        self.set(to, value);
        self.carry = if flags.writes { carry } else { self.carry };
    }

    fn pack(&mut self, bits: u8, from: &[Slot], to: Slot) {
        let bits = u32::from(bits);
        let join = |all, &slot: &Slot| all << bits | low_bits(self.get(slot), bits);
        let joined = from.iter().rev().fold(0, join);
        self.set(to, joined);
    }

    fn unpack(&mut self, bits: u8, to: &[Slot], from: Slot) {
        let (bits, value) = (u32::from(bits), self.get(from));
        for (at, &slot) in to.iter().enumerate() {
            self.set(slot, low_bits(value >> (at as u32 * bits), bits));
        }
    }

    fn begin_call(
        &mut self,
        call: &Call,
        block: &Block<'_>,
        spaces: &Spaces<'_>,
    ) -> Result<Flow, Fault> {
        if let Some(index) = call.index {
            self.call(call, index, block)?;
            return Ok(Flow::Leave);
        }
        if &*call.function == "vprintf" {
            return Ok(Flow::Next);
        }
        if &*call.function == "__assertfail" {
            let address = call.arguments.first().map_or(0, |&offset| self.argument(offset));
            let text = spaces.text(address, 200);
            return Err(Fault::Failed(format!("an assertion failed: `{text}`")));
        }
        Err(Fault::Failed(format!("a call of `{}`, which is not there", call.function)))
    }

    fn address(&self, it: Address) -> (Space, u64) {
        (it.space, self.get(it.base).wrapping_add_signed(i64::from(it.offset)))
    }

    fn load(
        &mut self,
        address: Address,
        (kind, bits): (Scalar, u8),
        to: &[Slot],
        spaces: &Spaces<'_>,
    ) -> Result<(), Fault> {
        let (bytes, at) = (kind.bytes(), self.address(address));
        let length = bytes * to.len();
        let place = spaces.find(self.local.len(), at, length, length)?;
        for (lane, &slot) in to.iter().enumerate() {
            let value = kind.extend(spaces.read(&self.local, place, lane * bytes, bytes));
            self.set(slot, low_bits(value, u32::from(bits)));
        }
        Ok(())
    }

    fn store(
        &mut self,
        address: Address,
        kind: Scalar,
        from: &[Slot],
        spaces: &mut Spaces<'_>,
    ) -> Result<(), Fault> {
        let (bytes, at) = (kind.bytes(), self.address(address));
        let length = bytes * from.len();
        let place = spaces.find(self.local.len(), at, length, length)?;
        for (lane, &slot) in from.iter().enumerate() {
            let value = self.get(slot);
            spaces.write(&mut self.local, (place, lane * bytes), value, bytes);
        }
        Ok(())
    }

    /// Reads a value, writes what becomes of it, and keeps the old one.
    fn change(
        &mut self,
        address: Address,
        (what, kind): (Atomic, Scalar),
        (to, from): (Slot, [Slot; 2]),
        spaces: &mut Spaces<'_>,
    ) -> Result<(), Fault> {
        let (bytes, at) = (kind.bytes(), self.address(address));
        let place = spaces.find(self.local.len(), at, bytes, bytes)?;
        let old = spaces.read(&self.local, place, 0, bytes);
        let new = atomic::new_value(what, kind, old, self.all(from));
        spaces.write(&mut self.local, (place, 0), new, bytes);
        self.set(to, old);
        Ok(())
    }
}
