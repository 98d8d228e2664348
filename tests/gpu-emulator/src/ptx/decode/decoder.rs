//! What all instructions have in common: modifiers, types and operands.

use super::operand::Operand;
use crate::ptx::function::Initial;
use crate::ptx::literal::literal;
use crate::ptx::operation::{Address, Op, Rounding, Slot, Space, Style};
use crate::ptx::scalar::Scalar;
use crate::ptx::scope::{Scope, Variable};

/// Why there is no instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ptx) enum Refused {
    /// It may be right, but it is not known here.
    Unknown,
    /// The text cannot be right.
    Wrong(String),
}

pub(super) type Decoded<T> = Result<T, Refused>;

/// One instruction's text while it is read.
pub(super) struct Decoder<'s, 'a> {
    scope: &'s mut Scope,
    pub(super) name: &'a str,
    /// The parts after the name that no one has taken yet.
    modifiers: Vec<&'a str>,
    operands: Vec<Operand<'a>>,
    /// What has to be done before, with no guard.
    pub(super) before: Vec<Op>,
}

impl<'s, 'a> Decoder<'s, 'a> {
    pub(super) fn new(
        scope: &'s mut Scope,
        opcode: &'a str,
        operands: Vec<Operand<'a>>,
    ) -> Decoder<'s, 'a> {
        let mut parts = opcode.split('.');
        let name = parts.next().unwrap_or_default();
        Decoder { scope, name, modifiers: parts.collect(), operands, before: Vec::new() }
    }

    /// Takes a modifier; false where it is not there.
    pub(super) fn has(&mut self, modifier: &str) -> bool {
        let at = self.modifiers.iter().position(|&it| it == modifier);
        at.map(|at| self.modifiers.remove(at)).is_some()
    }

    /// Takes the first modifier that a function knows.
    pub(super) fn one<T>(&mut self, of: impl Fn(&str) -> Option<T>) -> Option<T> {
        let found = self.modifiers.iter().enumerate().find_map(|(at, it)| Some((at, of(it)?)));
        let (at, value) = found?;
        self.modifiers.remove(at);
        Some(value)
    }

    /// Takes the first type.
    pub(super) fn kind(&mut self) -> Decoded<Scalar> {
        self.one(Scalar::named).ok_or(Refused::Unknown)
    }

    /// Takes all modifiers for which a function holds.
    pub(super) fn ignore(&mut self, of: impl Fn(&str) -> bool) {
        self.modifiers.retain(|it| !of(it));
    }

    pub(super) fn style(&mut self) -> Style {
        self.has("noftz");
        Style {
            rounding: self.one(rounding).unwrap_or_default(),
            flush: self.has("ftz"),
            saturate: self.has("sat"),
        }
    }

    /// The instruction, if all its modifiers are understood.
    pub(super) fn done(&self, op: Op) -> Decoded<Op> {
        if self.modifiers.is_empty() { Ok(op) } else { Err(Refused::Unknown) }
    }

    pub(super) fn count(&self) -> usize {
        self.operands.len()
    }

    pub(super) fn operand(&self, at: usize) -> Decoded<Operand<'a>> {
        self.operands.get(at).cloned().ok_or(Refused::Unknown)
    }

    /// The register that takes a result.
    pub(super) fn to(&mut self, at: usize) -> Decoded<Slot> {
        let operand = self.operand(at)?;
        Ok(self.result(&operand)?.0)
    }

    /// The same, with the register's bits.
    pub(super) fn result(&mut self, operand: &Operand<'a>) -> Decoded<(Slot, u8)> {
        match operand {
            Operand::Word { text: "_", .. } => Ok((self.scope.spare(), 64)),
            Operand::Word { text, .. } => match self.find(text)? {
                Variable::Register { slot, kind } => Ok((slot, kind.bits() as u8)),
                Variable::Place(_) => Err(Refused::Wrong(format!("`{text}` is no register"))),
            },
            _ => Err(Refused::Unknown),
        }
    }

    /// Two results, or one and a register that nobody reads: `%r1|%p1`.
    pub(super) fn two_results(&mut self, at: usize) -> Decoded<(Slot, Slot)> {
        if let Operand::Two(first, second) = self.operand(at)? {
            let word = |text| Operand::Word { text, negative: false, offset: 0 };
            Ok((self.result(&word(first))?.0, self.result(&word(second))?.0))
        } else {
            Ok((self.to(at)?, self.scope.spare()))
        }
    }

    pub(super) fn from(&mut self, at: usize, kind: Scalar) -> Decoded<Slot> {
        let operand = self.operand(at)?;
        self.value(&operand, kind)
    }

    /// The slots of the operands from `at` on, as many as there are; others are those of the first.
    pub(super) fn all<const N: usize>(&mut self, at: usize, kind: Scalar) -> Decoded<[Slot; N]> {
        let mut slots = [self.from(at, kind)?; N];
        for (slot, at) in slots.iter_mut().zip(at..self.count()) {
            *slot = self.from(at, kind)?;
        }
        Ok(slots)
    }

    /// The slot of a value: a register, a number, an address or a predicate's opposite.
    pub(super) fn value(&mut self, operand: &Operand<'a>, kind: Scalar) -> Decoded<Slot> {
        match *operand {
            Operand::Word { text, negative, offset } => {
                if let Some(bits) = literal(text, negative, kind) {
                    return Ok(self.given(bits));
                }
                match self.find(text)? {
                    Variable::Register { slot, .. } => Ok(slot),
                    Variable::Place(place) => self.place(place, offset),
                }
            }
            Operand::Not(text) => {
                let Variable::Register { slot: from, .. } = self.find(text)? else {
                    return Err(Refused::Unknown);
                };
                let (to, what) = (self.scope.spare(), crate::ptx::operation::Integer::IsZero);
                self.before.push(Op::Integer { what, kind: Scalar::Pred, to, from: [from; 4] });
                Ok(to)
            }
            _ => Err(Refused::Unknown),
        }
    }

    /// A variable's address with an offset.
    fn place(&mut self, place: Initial, offset: i64) -> Decoded<Slot> {
        let place = match place {
            Initial::Literal(address) => Initial::Literal(address.wrapping_add_signed(offset)),
            place if offset == 0 => place,
            _ => return Err(Refused::Unknown),
        };
        Ok(self.scope.given(place))
    }

    pub(super) fn given(&mut self, bits: u64) -> Slot {
        self.scope.given(Initial::Literal(bits))
    }

    pub(super) fn spare(&mut self) -> Slot {
        self.scope.spare()
    }

    pub(super) fn address(&mut self, at: usize, space: Space) -> Decoded<Address> {
        let Operand::Address { base, offset } = self.operand(at)? else {
            return Err(Refused::Unknown);
        };
        let offset = i32::try_from(offset).map_err(|_| Refused::Unknown)?;
        let base = Operand::Word { text: base, negative: false, offset: 0 };
        Ok(Address { space, base: self.value(&base, Scalar::U64)?, offset })
    }

    fn find(&mut self, name: &str) -> Decoded<Variable> {
        self.scope.find(name).ok_or_else(|| {
            // It may be a special register that is not known here.
            if name.starts_with('%') {
                Refused::Unknown
            } else {
                Refused::Wrong(format!("`{name}` is not declared"))
            }
        })
    }
}

fn rounding(modifier: &str) -> Option<Rounding> {
    Some(match modifier {
        // `approx` and `full` are the hardware's own accuracy, or better.
        "rn" | "approx" | "full" => Rounding::NearestEven,
        "rz" => Rounding::Zero,
        "rm" => Rounding::Down,
        "rp" => Rounding::Up,
        _ => return None,
    })
}
