//! From an opcode and its operands to an instruction; here: moves, integers and jumps.

use super::decoder::{Decoded, Decoder, Refused};
use super::operand::Operand;
use super::operation::{Carry, CarryFlags, Integer, Op, Slot};
use super::scalar::Scalar;
use super::{decode_float, decode_memory, decode_warp};

/// The instruction of a statement without its guard.
pub(super) fn op(it: &mut Decoder<'_, '_>) -> Decoded<Op> {
    match it.name {
        "mov" => mov(it),
        "ret" => plain(it, Op::Return),
        "exit" => it.done(Op::Exit),
        "trap" => it.done(Op::Trap),
        "membar" | "fence" | "nanosleep" | "prefetch" | "prefetchu" | "brkpt" => Ok(Op::Nothing),
        "selp" => select(it),
        "slct" => select_by_sign(it),
        "setp" | "set" | "testp" | "cvt" => decode_float::compare_or_convert(it),
        "ld" | "ldu" | "st" | "atom" | "red" | "cvta" | "isspacep" => decode_memory::op(it),
        "bar" | "barrier" | "shfl" | "vote" | "activemask" | "match" | "redux" => {
            decode_warp::op(it)
        }
        _ => arithmetic(it),
    }
}

fn plain(it: &mut Decoder<'_, '_>, op: Op) -> Decoded<Op> {
    it.has("uni");
    it.done(op)
}

fn mov(it: &mut Decoder<'_, '_>) -> Decoded<Op> {
    let kind = it.kind()?;
    let op = match (it.operand(0)?, it.operand(1)?) {
        (Operand::Vector(parts), _) => {
            let (bits, count) = lanes(kind, parts.len())?;
            let mut to = [0; 4];
            for (slot, part) in to.iter_mut().zip(&parts) {
                *slot = it.result(part)?.0;
            }
            Op::Unpack { bits, count, to, from: it.from(1, kind)? }
        }
        (_, Operand::Vector(parts)) => {
            let (bits, count) = lanes(kind, parts.len())?;
            let part_kind = if bits == 16 { Scalar::U16 } else { Scalar::U32 };
            let mut from = [0; 4];
            for (slot, part) in from.iter_mut().zip(&parts) {
                *slot = it.value(part, part_kind)?;
            }
            Op::Pack { bits, count, to: it.to(0)?, from }
        }
        (_, Operand::Word { text: "%clock" | "%clock64" | "%globaltimer", .. }) => {
            Op::Clock { to: it.to(0)? }
        }
        _ => Op::Move { to: it.to(0)?, from: it.from(1, kind)? },
    };
    it.done(op)
}

/// Bits and number of the parts of a register.
fn lanes(kind: Scalar, count: usize) -> Decoded<(u8, u8)> {
    match (kind.bits(), count) {
        (bits @ (16 | 32 | 64), 2 | 4) if bits as usize / count >= 8 => {
            Ok(((bits as usize / count) as u8, count as u8))
        }
        _ => Err(Refused::Unknown),
    }
}

fn select(it: &mut Decoder<'_, '_>) -> Decoded<Op> {
    let kind = it.kind()?;
    let (to, from) = (it.to(0)?, [it.from(1, kind)?, it.from(2, kind)?]);
    let predicate = it.from(3, Scalar::Pred)?;
    it.done(Op::Select { kind, to, from, predicate })
}

fn select_by_sign(it: &mut Decoder<'_, '_>) -> Decoded<Op> {
    it.has("ftz");
    let (kind, by) = (it.kind()?, it.kind()?);
    let (to, from) = (it.to(0)?, [it.from(1, kind)?, it.from(2, kind)?]);
    let number = it.from(3, by)?;
    it.done(Op::SelectBySign { kind, by, to, from, number })
}

/// What computes a number of its operands: the type tells whether they are integers.
fn arithmetic(it: &mut Decoder<'_, '_>) -> Decoded<Op> {
    if it.name == "shf" {
        return funnel(it);
    }
    let kind = it.kind()?;
    if kind.is_float() {
        return decode_float::arithmetic(it, kind);
    }
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
    let (is_wide, is_from_top) = (it.has("wide"), it.has("shiftamt"));
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
        "cnot" => Integer::IsZero,
        "shl" => Integer::ShiftLeft,
        "shr" => Integer::ShiftRight,
        "sad" => Integer::AbsoluteDifference,
        "popc" => Integer::CountOnes,
        "clz" => Integer::LeadingZeros,
        "brev" => Integer::ReverseBits,
        "bfind" if is_from_top => Integer::HighestFromTop,
        "bfind" => Integer::FindHighest,
        "bfe" => Integer::Extract,
        "bfi" => Integer::Insert,
        "prmt" => Integer::Permute,
        "lop3" => Integer::Logic,
        _ => return Err(Refused::Unknown),
    })
}

/// The operands' slots: counts of bits are 32-bit numbers whatever the type, and what a wide
/// multiplication adds is twice as wide.
fn slots(it: &mut Decoder<'_, '_>, what: Integer, kind: Scalar) -> Decoded<[Slot; 4]> {
    let kinds = match what {
        Integer::ShiftLeft | Integer::ShiftRight => [kind, Scalar::U32, kind, kind],
        Integer::Extract => [kind, Scalar::U32, Scalar::U32, kind],
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

fn funnel(it: &mut Decoder<'_, '_>) -> Decoded<Op> {
    let (left, wrap) = (it.has("l"), it.has("wrap"));
    it.ignore(|modifier| matches!(modifier, "r" | "clamp"));
    let kind = it.kind()?;
    let what = if left { Integer::FunnelLeft { wrap } } else { Integer::FunnelRight { wrap } };
    let (to, from) = (it.to(0)?, it.all(1, kind)?);
    it.done(Op::Integer { what, kind, to, from })
}
