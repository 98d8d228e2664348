//! Integer arithmetic.

use super::decoder::{Decoded, Decoder, Refused};
use crate::ptx::operation::{Carry, CarryFlags, Integer, Op, Slot};
use crate::ptx::scalar::Scalar;

pub(super) fn arithmetic(it: &mut Decoder<'_, '_>, kind: Scalar) -> Decoded<Op> {
    let writes = it.has("cc");
    let high = it.has("hi");
    if let Some(carry) = carry(it.name, high, writes) {
        let flags = CarryFlags { reads: it.name.ends_with('c'), writes };
        it.has("lo");
        let (to, from) = (it.to(0)?, it.all(1, kind)?);
        return it.done(Op::Carry { what: carry, kind, flags, to, from });
    }
    it.has("lo");
    let what = integer(it, high)?;
    let to = it.to(0)?;
    let from = slots(it, what, kind)?;
    it.done(Op::Integer { what, kind, to, from })
}

fn carry(name: &str, high: bool, writes: bool) -> Option<Carry> {
    match name {
        "addc" => Some(Carry::Add),
        "subc" => Some(Carry::Sub),
        "madc" if high => Some(Carry::MadHigh),
        "madc" => Some(Carry::Mad),
        "add" if writes => Some(Carry::Add),
        "sub" if writes => Some(Carry::Sub),
        "mad" if writes && high => Some(Carry::MadHigh),
        "mad" if writes => Some(Carry::Mad),
        _ => None,
    }
}

fn integer(it: &mut Decoder<'_, '_>, high: bool) -> Decoded<Integer> {
    let is_wide = it.has("wide");
    Ok(match it.name {
        "add" => Integer::Add,
        "sub" => Integer::Sub,
        "mul" if is_wide => Integer::MulWide,
        "mul" if high => Integer::MulHigh,
        "mul" => Integer::Mul,
        "mad" if is_wide => Integer::MadWide,
        "mad" if high => Integer::MadHigh,
        "mad" => Integer::Mad,
        "div" => Integer::Div,
        "rem" => Integer::Rem,
        "abs" => Integer::Abs,
        "neg" => Integer::Neg,
        "min" => Integer::Min,
        "max" => Integer::Max,
        "and" => Integer::And,
        "or" => Integer::Or,
        "xor" => Integer::Xor,
        "not" => Integer::Not,
        "shl" => Integer::ShiftLeft,
        "shr" => Integer::ShiftRight,
        "popc" => Integer::CountOnes,
        "clz" => Integer::LeadingZeros,
        "bfi" => Integer::Insert,
        "prmt" => Integer::Permute,
        _ => return Err(Refused::Unknown),
    })
}

/// The operands' slots: counts of bits are 32-bit numbers whatever the type, and what a wide
/// multiplication adds is twice as wide.
fn slots(it: &mut Decoder<'_, '_>, what: Integer, kind: Scalar) -> Decoded<[Slot; 4]> {
    let kinds = match what {
        Integer::ShiftLeft | Integer::ShiftRight => [kind, Scalar::U32, kind, kind],
        Integer::Insert => [kind, kind, Scalar::U32, Scalar::U32],
        Integer::MadWide if kind.bits() == 32 => [kind, kind, Scalar::U64, kind],
        Integer::MadWide => [kind, kind, Scalar::U32, kind],
        _ => [kind; 4],
    };
    let mut from = [it.from(1, kind)?; 4];
    for (at, kind) in (1..it.count()).zip(kinds) {
        from[at - 1] = it.from(at, kind)?;
    }
    Ok(from)
}

/// `shf`.
pub(super) fn funnel(it: &mut Decoder<'_, '_>) -> Decoded<Op> {
    let (left, wrap) = (it.has("l"), it.has("wrap"));
    it.ignore(|modifier| matches!(modifier, "r" | "clamp"));
    let kind = it.kind()?;
    let what = if left { Integer::FunnelLeft { wrap } } else { Integer::FunnelRight { wrap } };
    let (to, from) = (it.to(0)?, it.all(1, kind)?);
    it.done(Op::Integer { what, kind, to, from })
}
